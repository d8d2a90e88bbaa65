"""Gateways: whether each account's gateway answers, since when not, when it is probed, and its last word."""

from __future__ import annotations

import htpy as h
from aiohttp import web

from worker.console.elements import facts, moment
from worker.console.layout import page
from worker.console.pages.now_page import REFRESH_SECONDS, health
from worker.console.visit import Visit
from worker.postgres.reads.gateway_state import GatewayState, read_gateways
from worker.postgres.reads.now_state import read_callbacks


async def show_gateways(visit: Visit) -> web.StreamResponse:
    accounts = [account for merchant in visit.merchants for account in merchant.accounts]
    found = await read_gateways(visit.database, accounts)
    callbacks = await read_callbacks(visit.database, [one.id for one in visit.merchants], visit.now)
    order = {"silent": 0, "failing": 1}
    cards = [
        _card(visit, one, callbacks.get(one.account, 0))
        for one in sorted(found, key=lambda one: (order.get(one.health, 2), one.account))
    ]
    return page(
        visit,
        visit.say("nav.gateways"),
        h.div(".cards")[cards] if cards else h.p(".quiet")[visit.say("none")],
        refresh=REFRESH_SECONDS,
    )


def _card(visit: Visit, one: GatewayState, callbacks: int) -> h.Element:
    budget = (
        visit.say("gateways.no_budget")
        if one.calls is None or one.burst is None
        else visit.say("gateways.calls", left=max(0, round(one.calls)), most=round(one.burst))
    )
    silent = one.health in ("silent", "failing")
    word: h.Node = one.last_word
    if one.last_word and one.last_payment_id:
        word = h.a(href=f"/payments/{one.last_payment_id}", lang="en")[one.last_word]
    answered = moment(visit, one.answered_at) if one.answered_at else visit.say("gateways.never")
    return h.article(f"#{one.account}.card")[
        h.h2(".first")[one.account, " ", health(visit, one)],
        facts(
            visit,
            ("gateways.gateway", one.provider),
            ("gateways.silent_since" if silent else "gateways.answered", answered),
            ("gateways.failures", str(one.failures) if one.failures else None),
            ("gateways.probed", moment(visit, one.probed_at) if one.probed_at else None),
            ("gateways.budget", budget),
            ("gateways.callbacks", str(callbacks)),
            ("gateways.word", word or None),
            ("gateways.word_at", moment(visit, one.last_word_at) if one.last_word_at else None),
        ),
    ]
