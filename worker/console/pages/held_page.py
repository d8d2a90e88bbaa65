"""Held: the payments that wait for a person, the longest held first, with what differs and who has each."""

from __future__ import annotations

from decimal import Decimal

import htpy as h
from aiohttp import web

from schemas.proposals import Proposal
from schemas.requests import ListQuery
from schemas.words import Hold
from worker.console import elements
from worker.console.elements import Column
from worker.console.layout import page
from worker.console.told_sentences import told
from worker.console.visit import Visit
from worker.postgres.reads.held_list import read_held
from worker.postgres.reads.work_list import HeldPayment, WorkList

MOST_SHOWN = 100
REFRESH_SECONDS = 10
_COLUMNS = (
    Column("held.reference"),
    Column("held.reason"),
    Column("held.difference"),
    Column("held.amount", number=True),
    Column("held.age"),
    Column("held.who"),
    Column("held.account"),
)
_REASONS = (Column("held.reason"), Column("held.count", number=True), Column("held.amount", number=True))


async def show_held(visit: Visit) -> web.StreamResponse:
    ids, reason = [one.id for one in visit.merchants], visit.request.query.get("reason")
    hold = reason if reason in {*Hold} else "any"
    config, query = visit.context.config, ListQuery(hold=hold, limit=MOST_SHOWN)
    found = await read_held(visit.database, ids, query, config.accounts, config.checks)
    work = found.work
    rows = (
        _row(visit, work, one, found.differences.get(one.payment.id, ""), found.proposals.get(one.payment.id))
        for one in work.held
    )
    count = sum(stake.count for stake in work.stakes)
    return page(
        visit,
        visit.say("nav.held"),
        h.p(".lead")[_lead(visit, work, count)],
        h.p[h.a(href="/held")[visit.say("held.all")]] if hold != "any" else None,
        _reasons(visit, work) if count else None,
        elements.table(visit, visit.say("held.table"), _COLUMNS, rows, empty="") if work.held else None,
        h.p(".quiet")[visit.say("held.shown", count=len(work.held))] if count > len(work.held) else None,
        refresh=REFRESH_SECONDS,
    )


def _lead(visit: Visit, work: WorkList, count: int) -> str:
    if not count:
        return visit.say("held.none")
    sums: dict[str, str] = {}
    for currency in dict.fromkeys(stake.currency for stake in work.stakes):
        amount = sum((stake.amount for stake in work.stakes if stake.currency == currency), Decimal(0))
        sums[currency] = elements.amount_of(visit, amount, currency)
    age = elements.age(visit, (work.now - work.held[0].since).total_seconds())
    key = "held.lead.one" if count == 1 else "held.lead"
    return visit.say(key, count=count, amount=", ".join(sums.values()), age=age)


def _reasons(visit: Visit, work: WorkList) -> h.Renderable:
    rows = [
        (
            h.a(href=f"/held?reason={stake.hold}")[visit.say(f"hold.{stake.hold}")],
            str(stake.count),
            elements.amount_of(visit, stake.amount, stake.currency),
        )
        for stake in work.stakes
    ]
    return elements.table(visit, visit.say("held.reasons"), _REASONS, rows, empty="")


def _row(
    visit: Visit, work: WorkList, held: HeldPayment, difference: str, proposal: Proposal | None
) -> tuple[h.Node, ...]:
    payment = held.payment
    who: h.Node = h.span(".quiet")[visit.say("held.nobody")]
    if proposal is not None:
        words = visit.say("held.proposed", name=proposal.proposed_by, status=visit.say(f"status.{proposal.status}"))
        who = h.a(href=f"/approvals/{proposal.id}")[words]
    return (
        h.a(href=f"/held/{payment.id}")[payment.reference],
        visit.say(f"hold.{payment.hold}"),
        told(visit, difference),
        elements.amount_of(visit, payment.amount, payment.currency),
        elements.age(visit, (work.now - held.since).total_seconds()),
        who,
        payment.account,
    )
