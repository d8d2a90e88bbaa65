"""A run over a statement: what is not matched, the report to print, and the CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, Sequence

import htpy as h
from aiohttp import web

from schemas.report import Money, Report, Row, Run, Sum
from worker.console.csv_sending import send_csv
from worker.console.elements import Column, facts, table, taka
from worker.console.layout import missing, page
from worker.console.pages.statement_parts import (
    ids_shown,
    notes_by_line,
    outcome_shown,
    run_of_path,
    run_state,
    side_shown,
)
from worker.console.told_sentences import told
from worker.console.visit import Visit
from worker.postgres.statements.runs import read_rows
from worker.postgres.statements.uploads import Note, read_notes
from worker.reconciliation.report.outcome_words import WORDS_OF_OUTCOMES
from worker.reconciliation.report.page import POLICY, report_page
from worker.reconciliation.report.table import COLUMNS, cells
from worker.reconciliation.report.told import period
from worker.reconciliation.report_of_run import about_of, report_of

SHOWN = 100
"""So many rows of each outcome; the CSV has all."""

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
    run = await run_of_path(visit)
    if run is None:
        return missing(visit)
    report = await report_of(about_of(visit.context.config, run), visit.database, run)
    notes = notes_by_line(await read_notes(visit.database, run.id))
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
    run = await run_of_path(visit)
    if run is None:
        return missing(visit)
    report = await report_of(about_of(visit.context.config, run), visit.database, run)
    policy = {"Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'"}
    return web.Response(text=report_page(report), content_type="text/html", charset="utf-8", headers=policy)


async def send_rows(visit: Visit) -> web.StreamResponse:
    """Every row with its outcome as CSV, as `payproof reconcile show RUN --csv` writes it."""
    run = await run_of_path(visit)
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
        (outcome_shown(visit, outcome), *_sums_of(visit, report.sums[outcome].rows, report.sums[outcome]))
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


def _cells(visit: Visit, run: Run, row: Row, notes: dict[str, list[Note]]) -> Sequence[h.Node]:
    line = str(row.row) if row.row is not None else row.payment_id or ""
    name = f"{row.row:,}" if row.row is not None else visit.say("none")
    found = notes.get(line, [])
    return (
        h.a(href=f"/statements/runs/{run.id}/lines/{line}")[name] if line else name,
        outcome_shown(visit, row.outcome),
        ids_shown(row),
        side_shown(visit, row.there, row.status_there),
        side_shown(visit, row.here, row.status_here),
        told(visit, row.why) if row.why else None,
        [h.p(".small")[f"{one.actor}: {one.words}"] for one in found] or None,
    )
