"""Statements: uploading one, those that wait to be reconciled, and the runs."""

from __future__ import annotations

from collections.abc import Sequence

import htpy as h
from aiohttp import web

from consumers.account import Account
from schemas.report import Run
from schemas.statements import LineOutcome
from worker.console.acted import act_of
from worker.console.elements import Column, form, moment, table
from worker.console.layout import page, see_other
from worker.console.pages.statement_parts import accounts_of, cipher_of, run_state
from worker.console.route_table import may_act
from worker.console.visit import Visit
from worker.postgres.statements.runs import read_runs
from worker.postgres.statements.uploads import Upload, keep_upload, read_uploads

MOST_BYTES = 20 * 1024 * 1024
ROWS = 50
LONGEST_NAME = 120
_WAITING = (
    Column("books.file"), Column("books.account"), Column("books.by"), Column("books.at"), Column("books.state"),
)  # fmt: skip
_RUNS = (
    Column("books.run"), Column("books.at"), Column("books.account"), Column("books.file"),
    Column("books.rows", number=True), Column("books.differ", number=True), Column("books.state"),
)  # fmt: skip
_FINE = (LineOutcome.MATCHED, LineOutcome.DUPLICATE)


async def show_statements(visit: Visit) -> web.StreamResponse:
    return await _statements(visit)


async def upload_statement(visit: Visit) -> web.StreamResponse:
    """Keep the uploaded file, and show how it is read."""
    account, file = accounts_of(visit).get(visit.field("account")), visit.file("file")
    if account is None or file is None:
        return await _statements(visit, wrong="books.upload.nothing")
    name = file.name.replace("\\", "/").rpartition("/")[2][:LONGEST_NAME] or "statement"
    upload = await keep_upload(
        visit.database,
        cipher_of(visit),
        act_of(visit, "statement.uploaded", merchant=account.merchant),
        merchant=account.merchant,
        account=account.id,
        name=name,
        body=file.body,
    )
    return see_other(f"/statements/uploads/{upload}")


async def _statements(visit: Visit, *, wrong: str | None = None) -> web.StreamResponse:
    accounts = accounts_of(visit)
    waiting = await read_uploads(visit.database, [one.id for one in visit.merchants])
    runs = await read_runs(visit.database, accounts, most=ROWS)
    return page(
        visit,
        visit.say("nav.statements"),
        h.p(".lead")[visit.say("books.lead")],
        h.p(".note.bad", role="alert")[visit.say(wrong)] if wrong else None,
        _upload_form(visit, accounts) if may_act(visit) else None,
        h.h2[visit.say("books.waiting")],
        table(visit, visit.say("books.waiting.table"), _WAITING, (_waiting(visit, one) for one in waiting),
              empty=visit.say("books.waiting.none")),
        h.h2[visit.say("books.runs")],
        table(visit, visit.say("books.runs.table"), _RUNS, (_run(visit, one) for one in runs),
              empty=visit.say("books.runs.none")),
        status=422 if wrong else 200,
    )  # fmt: skip


def _upload_form(visit: Visit, accounts: dict[str, Account]) -> h.Element:
    return form(
        visit,
        "/statements",
        h.label(for_="account")[visit.say("books.account")],
        h.select("#account", name="account", required=True)[[h.option(value=one)[one] for one in sorted(accounts)]],
        h.label(for_="file")[visit.say("books.upload.file")],
        h.input("#file", type="file", name="file", required=True, accept=".csv,.tsv,.txt,.xlsx,.xls"),
        h.p(".small.quiet")[visit.say("books.upload.explain")],
        h.button[visit.say("books.upload")],
        kind="stacked card",
        files=True,
    )


def _waiting(visit: Visit, one: Upload) -> Sequence[h.Node]:
    link = h.a(href=f"/statements/uploads/{one.id}")[h.bdi[one.name]]
    return link, one.account, one.uploaded_by, moment(visit, one.uploaded_at), _state(visit, one)


def _run(visit: Visit, run: Run) -> Sequence[h.Node]:
    counts = run.counts
    differ = sum(count for outcome, count in counts.items() if outcome not in _FINE)
    link = h.a(".id", href=f"/statements/runs/{run.id}")[run.id]
    rows = f"{sum(counts.values()):,}", f"{differ:,}"
    return link, moment(visit, run.started_at), run.account, h.bdi[run.source], *rows, run_state(visit, run)


def _state(visit: Visit, one: Upload) -> h.Element:
    if one.at_work:
        return h.span(".badge.wait")[visit.say("books.at_work")]
    if one.failed is not None:
        return h.span(".badge.stop")[visit.say("books.failed")]
    return h.span(".badge.quiet")[visit.say("books.tried" if one.run else "books.uploaded")]
