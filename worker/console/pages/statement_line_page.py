"""A row of a run: what the statement and we say of it, and how people explain it."""

from __future__ import annotations

import htpy as h
from aiohttp import web

from schemas.report import Run
from worker.console.acted import act_of
from worker.console.elements import facts, form, moment
from worker.console.layout import missing, page, see_other
from worker.console.pages.statement_parts import (
    accounts_of,
    ids_shown,
    notes_by_line,
    outcome_shown,
    run_of_path,
    side_shown,
)
from worker.console.route_table import may_act
from worker.console.told_sentences import told
from worker.console.visit import Visit
from worker.postgres.statements.runs import read_line
from worker.postgres.statements.uploads import add_note, read_notes

LONGEST_NOTE = 1_000


async def show_line(visit: Visit) -> web.StreamResponse:
    return await _line_page(visit)


async def explain_line(visit: Visit) -> web.StreamResponse:
    """Keep a person's explanation beside a row. It changes no payment."""
    run, line = await run_of_path(visit), visit.request.match_info["line"]
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
    run, line = await run_of_path(visit), visit.request.match_info["line"]
    row = await read_line(visit.database, run.id, line) if run else None
    if run is None or row is None:
        return missing(visit)
    notes = notes_by_line(await read_notes(visit.database, run.id)).get(line, [])
    title = visit.say("books.line", row=line) if row.row is not None else visit.say("books.line.none")
    return page(
        visit,
        title,
        h.p[h.a(href=f"/statements/runs/{run.id}")[visit.say("books.back")]],
        h.p(".note.bad", role="alert")[visit.say(wrong)] if wrong else None,
        facts(
            visit,
            ("books.outcome", outcome_shown(visit, row.outcome)),
            ("books.why", told(visit, row.why) if row.why else None),
            ("books.ids", ids_shown(row)),
            ("books.there", side_shown(visit, row.there, row.status_there)),
            ("books.here", side_shown(visit, row.here, row.status_here)),
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
