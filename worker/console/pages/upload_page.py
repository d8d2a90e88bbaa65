"""An uploaded statement: how each row is read, the dry run without effect, and the run that reconciles it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

import htpy as h
import msgspec
from aiohttp import web

from schemas.statements import Line, StatementMap, Unread
from worker.console.acted import act_of
from worker.console.elements import Column, confirm_field, facts, form, moment, table, taka
from worker.console.layout import missing, page, see_other
from worker.console.pages.upload_rows import ROWS, ReadFile, read_file
from worker.console.route_table import may_act
from worker.console.visit import Visit
from worker.postgres.statements.runs import read_run
from worker.postgres.statements.uploads import Upload, read_upload, request_work
from worker.reconciliation.statements import Proposal, as_toml
from worker.runtime.idle_roles import nobody_takes

MOST_ROWS = 10_000
"""So many rows can be looked at; the CSV of a dry run has all."""

REFRESH_SECONDS = 2
_LINES = (
    Column("books.row"), Column("books.read_as"), Column("books.amount", number=True),
    Column("books.when"), Column("books.ids"), Column("books.fee", number=True),
)  # fmt: skip


async def show_upload(visit: Visit) -> web.StreamResponse:
    upload = await _upload(visit)
    return missing(visit) if upload is None else await _upload_page(visit, upload)


async def try_upload(visit: Visit) -> web.StreamResponse:
    """Have the statement judged, without effect, by the map that the page showed, configured or proposed.

    The map is stored with the upload, and the run uses it alone, whatever the configuration says by then.
    """
    return await _want(visit, "dry_run")


async def run_upload(visit: Visit) -> web.StreamResponse:
    """Have the statement reconciled as it was tried."""
    return await _want(visit, "run")


async def _want(visit: Visit, wanted: Literal["dry_run", "run"]) -> web.StreamResponse:
    upload = await _upload(visit)
    if upload is None:
        return missing(visit)
    columns = upload.columns
    if upload.at_work:
        return await _upload_page(visit, upload, wrong="books.busy")
    if wanted == "run":
        if columns is None or not await _tried(visit, upload):
            return await _upload_page(visit, upload, wrong="books.run.untried")
    else:
        columns = (await read_file(visit, upload, 0)).columns
        if columns is None or _digest(columns) != visit.field("map"):
            return await _upload_page(visit, upload, wrong="books.map.changed")
    merchants, many = [one.id for one in visit.merchants], bool(visit.field("however_many"))
    action = "statement.reconciled" if wanted == "run" else "statement.tried"
    record = act_of(visit, action, upload.id, merchant=upload.merchant)
    many = many and wanted == "run"
    if not await request_work(visit.database, merchants, upload.id, wanted, record, columns=columns, however_many=many):
        return await _upload_page(visit, upload, wrong="books.busy")
    return see_other(f"/statements/uploads/{upload.id}")


async def _tried(visit: Visit, upload: Upload) -> bool:
    """Whether a run of this upload is there to be looked at, such as its dry run."""
    return upload.run is not None and await read_run(visit.database, upload.run) is not None


def _digest(columns: StatementMap) -> str:
    """By this the page's form names the map that the page showed."""
    told = msgspec.json.encode(msgspec.to_builtins(columns, builtin_types=()), order="deterministic")
    return sha256(told).hexdigest()


async def _upload(visit: Visit) -> Upload | None:
    found = visit.request.match_info["upload"]
    return await read_upload(visit.database, [one.id for one in visit.merchants], found)


async def _upload_page(visit: Visit, upload: Upload, *, wrong: str | None = None) -> web.StreamResponse:
    after = visit.request.query.get("after", "0")
    begin = min(int(after), MOST_ROWS) if after.isascii() and after.isdecimal() and len(after) < 9 else 0
    read = None if upload.at_work else await read_file(visit, upload, begin)
    return page(
        visit,
        visit.say("books.upload.title", name=upload.name),
        h.p(".note.bad", role="alert")[visit.say(wrong)] if wrong else None,
        _news(visit, upload),
        facts(
            visit,
            ("books.account", upload.account),
            ("books.by", h.fragment[upload.uploaded_by, ", ", moment(visit, upload.uploaded_at)]),
            ("books.size", visit.say("books.kb", count=f"{max(1, upload.size // 1024):,}")),
            ("books.sha", h.span(".id")[upload.sha256]),
        ),
        _steps(visit, upload, read, tried=await _tried(visit, upload)) if read and may_act(visit) else None,
        _map(visit, upload, read, begin) if read else None,
        status=409 if wrong else 200,
        refresh=REFRESH_SECONDS if upload.at_work else None,
    )


def _news(visit: Visit, upload: Upload) -> h.Node:
    link = h.a(href=f"/statements/runs/{upload.run}")[visit.say("books.see_run")] if upload.run else None
    if upload.at_work:
        again = h.a(href=f"/statements/uploads/{upload.id}")[visit.say("refresh")]
        if not upload.tries and upload.wanted_at and (idle := nobody_takes("reconcile", upload.wanted_at, visit.now)):
            return h.p(".note.bad", role="alert")[h.span(lang="en")[idle], " ", again]
        return h.p(".note", role="status")[visit.say("books.working"), " ", again]
    if upload.failed is not None:
        return h.p(".note.bad", role="alert")[visit.say("books.failed.why"), " ", h.span(lang="en")[upload.failed]]
    if upload.run is None:
        return None
    if upload.wanted == "run" and upload.kept:
        return h.p(".note", role="status")[visit.say("books.run.stopped"), " ", link]
    key = "books.tried.well" if upload.wanted == "dry_run" else "books.run.well"
    return h.p(".note.fine", role="status")[visit.say(key), " ", link]


def _steps(visit: Visit, upload: Upload, read: ReadFile, *, tried: bool) -> h.Node:
    if not upload.kept or read.columns is None:
        return None
    trying = form(
        visit, f"/statements/uploads/{upload.id}/try",
        h.input(type="hidden", name="map", value=_digest(read.columns)),
        h.button(class_="second" if tried else None)[visit.say("books.try")], kind="inline",
    )  # fmt: skip
    if not tried or read.columns != upload.columns:
        return h.fragment[h.p[visit.say("books.try.explain")], trying]
    running = form(
        visit,
        f"/statements/uploads/{upload.id}/run",
        h.p[visit.say("books.run.explain")],
        h.label[
            h.input(type="checkbox", name="however_many", value="yes"),
            " ",
            visit.say("books.however_many"),
        ],
        confirm_field(visit, f"/statements/uploads/{upload.id}/run"),
        h.button[visit.say("books.reconcile")],
        kind="stacked card",
    )
    return h.fragment[trying, running]


def _map(visit: Visit, upload: Upload, read: ReadFile, begin: int) -> h.Node:
    if read.trouble is not None:
        words = visit.say("books.unreadable")
        return h.p(".note.bad", role="alert")[words, " ", h.span(lang="en")[read.trouble]]
    configured = read.proposal is None
    shown = [_line(visit, one) for one in read.lines]
    onward = f"/statements/uploads/{upload.id}?after={begin + ROWS}"
    return h.fragment[
        h.h2[visit.say("books.map")],
        h.p[visit.say("books.map.configured" if configured else "books.map.proposed")],
        _proposed(visit, read.proposal) if read.proposal else None,
        h.h2[visit.say("books.rows_read")],
        table(visit, visit.say("books.rows_read.table", first=begin + 1, last=begin + len(shown)), _LINES, shown,
              empty=visit.say("books.rows_read.none")),
        h.p[h.a(href=onward)[visit.say("books.next")]] if read.more else None,
    ]  # fmt: skip


def _proposed(visit: Visit, proposal: Proposal) -> h.Fragment:
    unclear = h.ul(lang="en")[[h.li[one] for one in proposal.unclear]] if proposal.unclear else None
    return h.fragment[
        h.pre(lang="en", tabindex="0")[as_toml(proposal)],
        h.p(".hand")[visit.say("books.unclear")] if unclear else None,
        unclear,
    ]


def _line(visit: Visit, line: Line | Unread) -> Sequence[h.Node]:
    if isinstance(line, Unread):
        return f"{line.row:,}", h.span(".stop", lang="en")[line.why], None, None, h.bdi[line.text[:200]], None
    said = f"{line.kind}, {line.status}" + (f" ({line.word})" if line.word else "")
    ids = [one for one in (line.reference, line.transaction_id, line.session_id) if one]
    return (
        f"{line.row:,}",
        h.span(lang="en")[said],
        taka(visit, line.amount),
        moment(visit, line.at) if line.at else None,
        h.span(".id")[" · ".join(ids)],
        taka(visit, line.fee) if line.fee is not None else None,
    )
