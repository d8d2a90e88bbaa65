"""Audit: who did what, when, from where and why, the newest first."""

from __future__ import annotations

import re

import htpy as h
from aiohttp import web

from schemas.audit import RecordedAct
from schemas.shown import PAYMENT_ID
from worker.console import elements
from worker.console.elements import Column
from worker.console.layout import page
from worker.console.payment_parts import act_words, payment_link
from worker.console.visit import Visit
from worker.postgres.audit_rows import MOST_SHOWN, read_audit

_COLUMNS = (
    Column("audit.what"),
    Column("audit.who"),
    Column("audit.at"),
    Column("audit.from"),
    Column("audit.payment"),
    Column("audit.why"),
)


async def show_audit(visit: Visit) -> web.StreamResponse:
    """`payment` shows the acts about one payment, `before` those that are older than an act."""
    query, merchants = visit.request.query, visit.operator.merchants
    payment = query.get("payment", "")
    payment_id = payment if re.fullmatch(PAYMENT_ID, payment) else None
    before = query.get("before", "")
    acts = await read_audit(
        visit.database,
        merchants,
        payment_id=payment_id,
        before=int(before) if re.fullmatch(r"[0-9]{1,18}", before, re.ASCII) else None,
    )
    rows = (_row(visit, one) for one in acts)
    older = f"/audit?before={acts[-1].id}" + (f"&payment={payment_id}" if payment_id else "") if acts else ""
    return page(
        visit,
        visit.say("nav.audit"),
        h.p(".lead")[visit.say("audit.lead")],
        h.p[visit.say("audit.of", payment=payment_id)] if payment_id else None,
        elements.table(visit, visit.say("audit.table"), _COLUMNS, rows, empty=visit.say("audit.none")),
        h.p[h.a(href=older)[visit.say("audit.older")]] if len(acts) == MOST_SHOWN else None,
    )


def _row(visit: Visit, act: RecordedAct) -> tuple[h.Node, ...]:
    what: h.Node = act_words(visit, act.action)
    if act.action.startswith("proposal.") and act.subject is not None:
        what = h.a(href=f"/approvals/{act.subject}")[what]
    by = act.origin
    return (
        what,
        by.actor,
        elements.moment(visit, act.at),
        ", ".join(filter(None, (by.via, by.key, by.address))),
        payment_link(act.payment_id) if act.payment_id else "",
        act.why or "",
    )
