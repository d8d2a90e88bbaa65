"""Approvals: the proposals that wait for another person. Each has a page of its own, `proposal_page`."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlencode

import htpy as h
from aiohttp import web

from schemas.payments import Payment
from schemas.proposals import Proposal
from worker.console import elements
from worker.console.elements import Column
from worker.console.layout import page
from worker.console.pages.proposal_page import PROPOSAL_ID, origin_words, why_dead
from worker.console.visit import Visit
from worker.postgres.proposal_reads import MOST_LISTED, payments_of, waiting_proposals

REFRESH_SECONDS = 5
MOST_SHOWN = 100
_COLUMNS = (
    Column("approvals.payment"),
    Column("field.amount", number=True),
    Column("approvals.wanted"),
    Column("approvals.by"),
    Column("approvals.from"),
    Column("approvals.at"),
    Column("approvals.reason"),
    Column("approvals.state"),
)


async def show_approvals(visit: Visit) -> web.StreamResponse:
    after = _position(visit.request.query.get("after", ""))
    waiting = await waiting_proposals(visit.database, [one.id for one in visit.merchants], after=after)
    payments = await payments_of(visit.database, waiting)
    known = [one for one in waiting if one.payment_id in payments]
    rows = (_row(visit, one, payments[one.payment_id]) for one in known[:MOST_SHOWN])
    key = "approvals.none" if not known else "approvals.lead.one" if len(known) == 1 else "approvals.lead"
    return page(
        visit,
        visit.say("nav.approvals"),
        h.p(".lead")[visit.say(key, count=f"{MOST_LISTED}+" if len(waiting) == MOST_LISTED else len(known))]
        if after is None
        else None,
        elements.table(visit, visit.say("approvals.table"), _COLUMNS, rows, empty="") if known else None,
        _onward(visit, known[MOST_SHOWN - 1]) if len(known) > MOST_SHOWN else None,
        refresh=None if after else REFRESH_SECONDS,
    )


def _onward(visit: Visit, last: Proposal) -> h.Node:
    query = urlencode({"after": f"{last.proposed_at.isoformat()} {last.id}"})
    return h.p[h.a(href=f"/approvals?{query}")[visit.say("approvals.more")]]


def _position(text: str) -> tuple[datetime, str] | None:
    """The place of a link to further proposals. A text that is none begins at the first page."""
    since, _, proposal_id = text.rpartition(" ")
    try:
        at = datetime.fromisoformat(since)
    except ValueError:
        return None
    fits = at.tzinfo is not None and 2000 < at.year < 9000 and re.fullmatch(PROPOSAL_ID, proposal_id, re.ASCII)
    return (at, proposal_id) if fits else None


def _row(visit: Visit, proposal: Proposal, payment: Payment) -> tuple[h.Node, ...]:
    return (
        h.a(href=f"/approvals/{proposal.id}")[payment.reference],
        elements.amount_of(visit, payment.amount, payment.currency),
        visit.say(f"status.{proposal.status}"),
        proposal.proposed_by,
        origin_words(visit, proposal),
        elements.moment(visit, proposal.proposed_at),
        proposal.reason,
        h.span(".stop")[dead] if (dead := why_dead(visit, proposal, payment)) else visit.say(f"state.{proposal.state}"),
    )
