"""A run over a statement: what is not matched, how people explain it, the report to print, and the CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal

import htpy as h
from aiohttp import web

from schemas.report import Money, Report, Row, Run, Sum
from schemas.statements import LineOutcome
from worker.console.acted import act_of
from worker.console.csv_sending import send_csv
from worker.console.elements import Column, facts, form, moment, table, taka
from worker.console.layout import missing, page, see_other
from worker.console.pages.statement_parts import accounts_of, run_state
from worker.console.route_table import may_act
from worker.console.told_sentences import told
from worker.console.visit import Visit
from worker.postgres.statements.runs import read_line, read_rows, read_run
from worker.postgres.statements.uploads import Note, add_note, read_notes
from worker.reconciliation.report.outcome_words import WORDS_OF_OUTCOMES
from worker.reconciliation.report.page import POLICY, report_page
from worker.reconciliation.report.table import COLUMNS, cells
from worker.reconciliation.report.told import period
from worker.reconciliation.report_of_run import about_of, report_of

SHOWN = 100
"""So many rows of each outcome; the CSV has all."""

LONGEST_NOTE = 1_000
BATCH = 200
_OUTCOMES = (
    Column("books.outcome"), Column("books.rows", number=True), Column("books.money.there", number=True),
    Column("books.money.here", number=True), Column("books.money.difference", number=True),
)  # fmt: skip
_ROWS = (
    Column("books.row"), Column("books.outcome"), Column("books.ids"), Column("books.there", number=True),
    Column("books.here", number=True), Column("books.why"), Column("books.notes"),
)  # fmt: skip


async def show_run(visit: Visit) -> web.StreamResponse:
    run = await _run(visit)
    if run is None:
        return missing(visit)
    report = await report_of(about_of(visit.context.config, run), visit.database, run)
    notes = _by_line(await read_notes(visit.database, run.id))
    here = f"/statements/runs/{run.id}"
    differing = [row for outcome in WORDS_OF_OUTCOMES for row in report.shown.get(outcome, [])[:SHOWN]]
    return page(
        visit,
        visit.say("books.run.title", account=run.account, period=period(report.about)),
        h.p(".lead")[_headline(visit, report)],
        h.p[run_state(visit, run)],
        h.p(".note")[visit.say("books.stopped.why"), " ", h.span(lang="en")[run.stopped]] if run.stopped else None,
        _money(visit, report),
        h.div(".buttons")[
            h.a(".button", href=f"{here}/rows.csv")[visit.say("books.csv")],
            h.a(".button.second", href=f"{here}/report")[visit.say("books.print")],
        ],
        table(visit, visit.say("books.outcomes"), _OUTCOMES, _sums(visit, report), empty=visit.say("none")),
        _young(visit, report),
        h.h2[visit.say("books.exceptions")],
        table(visit, visit.say("books.exceptions.table", count=SHOWN), _ROWS,
              [_cells(visit, run, row, notes) for row in differing], empty=visit.say("books.exceptions.none")),
    )  # fmt: skip


async def show_report(visit: Visit) -> web.StreamResponse:
    """The report as it is printed, under its own policy: its style is inline."""
    run = await _run(visit)
    if run is None:
        return missing(visit)
    report = await report_of(about_of(visit.context.config, run), visit.database, run)
    policy = {"Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'"}
    return web.Response(text=report_page(report), content_type="text/html", charset="utf-8", headers=policy)


async def send_rows(visit: Visit) -> web.StreamResponse:
    """Every row with its outcome as CSV, as `payproof reconcile show RUN --csv` writes it."""
    run = await _run(visit)
    if run is None:
        return missing(visit)
    return await send_csv(visit, f"{run.id}.csv", _csv_of(visit, run))


async def _csv_of(visit: Visit, run: Run) -> AsyncGenerator[str, None]:
    text = io.StringIO()
    writer = csv.writer(text)
    text.write("\ufeff")
    writer.writerow(COLUMNS)
    written = 0
    async for row in read_rows(visit.database, run.id):
        writer.writerow(cells(row))
        written += 1
        if written % BATCH == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


async def show_line(visit: Visit) -> web.StreamResponse:
    return await _line_page(visit)


async def explain_line(visit: Visit) -> web.StreamResponse:
    """Keep a person's explanation beside a row. It changes no payment."""
    run, line = await _run(visit), visit.request.match_info["line"]
    if run is None or await read_line(visit.database, run.id, line) is None:
        return missing(visit)
    words = visit.field("words")[:LONGEST_NOTE]
    if not words:
        return await _line_page(visit, wrong="books.note.empty")
    merchant = accounts_of(visit)[run.account].merchant
    record = act_of(visit, "statement.explained", f"{run.id} {line}", merchant=merchant, why=words)
    await add_note(visit.database, run.id, line, words, record)
    return see_other(f"/statements/runs/{run.id}/lines/{line}")


async def _line_page(visit: Visit, *, wrong: str | None = None) -> web.StreamResponse:
    run, line = await _run(visit), visit.request.match_info["line"]
    row = await read_line(visit.database, run.id, line) if run else None
    if run is None or row is None:
        return missing(visit)
    notes = _by_line(await read_notes(visit.database, run.id)).get(line, [])
    title = visit.say("books.line", row=line) if row.row is not None else visit.say("books.line.none")
    return page(
        visit,
        title,
        h.p[h.a(href=f"/statements/runs/{run.id}")[visit.say("books.back")]],
        h.p(".note.bad", role="alert")[visit.say(wrong)] if wrong else None,
        facts(
            visit,
            ("books.outcome", _outcome(visit, row.outcome)),
            ("books.why", told(visit, row.why) if row.why else None),
            ("books.ids", _ids(row)),
            ("books.there", _side(visit, row.there, row.status_there)),
            ("books.here", _side(visit, row.here, row.status_here)),
            ("books.when", moment(visit, row.at) if row.at else None),
        ),
        h.h2[visit.say("books.notes")],
        [
            h.div(".card")[h.p[one.words], h.p(".small.quiet")[one.actor, ", ", moment(visit, one.at)]]
            for one in notes
        ]
        or h.p(".quiet")[visit.say("books.notes.none")],
        _note_form(visit, run, line) if may_act(visit) else None,
        status=422 if wrong else 200,
    )  # fmt: skip


def _note_form(visit: Visit, run: Run, line: str) -> h.Element:
    return form(
        visit,
        f"/statements/runs/{run.id}/lines/{line}",
        h.label(for_="words")[visit.say("books.note")],
        h.textarea("#words", name="words", rows="3", maxlength=str(LONGEST_NOTE), required=True),
        h.button[visit.say("books.note.add")],
    )


async def _run(visit: Visit) -> Run | None:
    """The run of the path, where it is of an account that the operator sees."""
    run = await read_run(visit.database, visit.request.match_info["run"])
    return run if run is not None and run.account in accounts_of(visit) else None


def _headline(visit: Visit, report: Report) -> str:
    money = report.money
    if report.explained:
        return visit.say("books.explained", rows=f"{report.rows:,}", amount=taka(visit, money.there))
    return visit.say(
        "books.unexplained",
        amount=taka(visit, money.unexplained),
        count=f"{money.unexplained_rows:,}",
        rows=f"{report.rows:,}",
    )


def _money(visit: Visit, report: Report) -> h.Element:
    money = report.money
    return facts(
        visit,
        ("books.money.there", taka(visit, money.there)),
        ("books.money.here", taka(visit, money.here)),
        ("books.money.difference", taka(visit, money.difference)),
        ("books.money.refunds", taka(visit, money.refunds)),
        ("books.money.fees", taka(visit, money.fees)),
    )


def _sums(visit: Visit, report: Report) -> list[Sequence[h.Node]]:
    """A row for each outcome, and one of all; the columns add up."""
    found: list[Sequence[h.Node]] = [
        (_outcome(visit, outcome), *_sums_of(visit, report.sums[outcome].rows, report.sums[outcome]))
        for outcome in WORDS_OF_OUTCOMES
        if outcome in report.sums
    ]
    return [*found, (h.b[visit.say("books.all")], *_sums_of(visit, report.rows, report.money))]


def _sums_of(visit: Visit, rows: int, sums: Money | Sum) -> tuple[str, ...]:
    return (f"{rows:,}", taka(visit, sums.there), taka(visit, sums.here), taka(visit, sums.difference))


def _young(visit: Visit, report: Report) -> h.Element | None:
    """Payments of the statement's last hours, which it need not have."""
    young = report.young
    if not young.rows:
        return None
    return h.p[visit.say("books.young", count=f"{young.rows:,}", amount=taka(visit, young.here))]


def _outcome(visit: Visit, outcome: LineOutcome) -> h.Element:
    words = WORDS_OF_OUTCOMES[outcome]
    return h.span(f".{words.tone}")[
        h.span(aria_hidden="true")[words.mark], " ", visit.say(f"books.outcome.{outcome.value}")
    ]


def _cells(visit: Visit, run: Run, row: Row, notes: dict[str, list[Note]]) -> Sequence[h.Node]:
    line = str(row.row) if row.row is not None else row.payment_id or ""
    name = f"{row.row:,}" if row.row is not None else visit.say("none")
    found = notes.get(line, [])
    return (
        h.a(href=f"/statements/runs/{run.id}/lines/{line}")[name] if line else name,
        _outcome(visit, row.outcome),
        _ids(row),
        _side(visit, row.there, row.status_there),
        _side(visit, row.here, row.status_here),
        told(visit, row.why) if row.why else None,
        [h.p(".small")[f"{one.actor}: {one.words}"] for one in found] or None,
    )


def _ids(row: Row) -> h.Node:
    names = [one for one in (row.reference, row.transaction_id, row.session_id) if one]
    link = h.a(".id", href=f"/find?q={row.payment_id}")[row.payment_id] if row.payment_id else None
    if not names:
        return link
    return h.fragment[h.span(".id")[" · ".join(names)], (h.br, link) if link else None]


def _side(visit: Visit, amount: object, status: str | None) -> h.Node:
    told = [taka(visit, amount)] if isinstance(amount, Decimal) else []
    told += [status] if status else []
    return h.span[", ".join(told)] if told else None


def _by_line(notes: Sequence[Note]) -> dict[str, list[Note]]:
    found: dict[str, list[Note]] = {}
    for one in notes:
        found.setdefault(one.line, []).append(one)
    return found
