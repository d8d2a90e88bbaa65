"""Now: what needs a person, in sentences first; then the money by day, and how each gateway does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

import htpy as h
from aiohttp import web

from worker.console.bars import bars
from worker.console.elements import Column, age, table, taka
from worker.console.layout import page
from worker.console.pages.endpoint_parts import configured_endpoints, endpoint_path, name_of
from worker.console.visit import Visit
from worker.postgres.reads.gateway_state import GatewayState, read_gateways
from worker.postgres.reads.now_state import NowState, read_now
from worker.runtime.zone import DHAKA

REFRESH_SECONDS = 5
_TONES = {"answering": "good", "failing": "hand", "silent": "stop"}
_DAY_COLUMNS = (
    Column("now.day"),
    Column("now.opened", number=True),
    Column("now.paid", number=True),
    Column("now.money", number=True),
)
_GATEWAY_COLUMNS = (
    Column("gateways.account"),
    Column("gateways.state"),
    Column("now.paid_of", number=True),
    Column("now.outcome", number=True),
)


async def show_now(visit: Visit) -> web.StreamResponse:
    ids = [merchant.id for merchant in visit.merchants]
    accounts = [account for merchant in visit.merchants for account in merchant.accounts]
    state = await read_now(visit.database, ids, [one.id for one in accounts], configured_endpoints(visit), visit.now)
    gateways = await read_gateways(visit.database, accounts)
    return page(
        visit,
        visit.say("nav.now"),
        [h.p(class_=f"lead mark {tone}")[h.span[words]] for tone, words in _sentences(visit, state, gateways)],
        _money(visit, state),
        _gateways(visit, state, gateways),
        refresh=REFRESH_SECONDS,
    )


def _sentences(visit: Visit, state: NowState, gateways: Sequence[GatewayState]) -> Iterator[tuple[str, h.Node]]:
    held, now = state.held, visit.now
    silent = [one for one in gateways if one.health in ("silent", "failing")]
    if held.count and held.oldest is not None:
        words = visit.say(
            "now.held",
            count=held.count,
            amount=taka(visit, held.amount),
            age=age(visit, (now - held.oldest).total_seconds()),
        )
        yield (
            "hand",
            (words, " ", h.a(href="/held")[visit.say("now.see_held")] if "/held" in visit.context.menu else None),
        )
    for one in silent:
        since = (
            visit.say("now.since_never")
            if one.answered_at is None
            else visit.say("now.since", age=age(visit, (now - one.answered_at).total_seconds()))
        )
        key = "now.silent" if one.health == "silent" else "now.failing"
        link = h.a(href=f"/gateways#{one.account}")[visit.say("now.see_gateway")]
        yield (
            "stop" if one.health == "silent" else "hand",
            (visit.say(key, account=one.account, since=since), " ", link),
        )
    for waiting in state.waiting:
        name, link = name_of(waiting.endpoint), h.a(href=endpoint_path(waiting.endpoint))[visit.say("now.see_endpoint")]
        if waiting.disabled:
            yield "stop", (visit.say("now.disabled", name=name), " ", link)
        elif waiting.waiting:
            words = visit.say("now.waiting", name=name, count=waiting.waiting, age=age(visit, waiting.oldest))
            yield "hand", (words, " ", link)
    if not held.count and not silent and not state.waiting:
        yield "good", visit.say("now.well")


def _money(visit: Visit, state: NowState) -> h.Node:
    today = visit.now.astimezone(DHAKA).date()
    shown = [state.since + timedelta(days=offset) for offset in range((today - state.since).days + 1)]
    rows = [[one for one in state.days if one.day == day] for day in shown]
    amounts = [sum((one.amount for one in of_day), Decimal(0)) for of_day in rows]
    cells = [
        (
            f"{day:%a %d %b}" if visit.language == "en" else f"{day:%Y-%m-%d}",
            str(sum(one.opened for one in of_day)),
            str(sum(one.paid for one in of_day)),
            taka(visit, amount),
        )
        for day, of_day, amount in zip(shown, rows, amounts, strict=True)
    ]
    labels = [f"{cell[0]}: {cell[3]}" for cell in cells]
    return h.section[
        h.h2[visit.say("now.money_by_day")],
        h.div(".beside")[
            bars([float(amount) for amount in amounts], labels, [f"{day:%d}" for day in shown]),
            table(
                visit, visit.say("now.days_caption"), _DAY_COLUMNS, cells[::-1], empty=visit.say("none"), narrow=True
            ),
        ],
    ]


def _gateways(visit: Visit, state: NowState, gateways: Sequence[GatewayState]) -> h.Node:
    rows = []
    for one in gateways:
        of_account = [day for day in state.days if day.account == one.account]
        opened, paid = sum(day.opened for day in of_account), sum(day.paid for day in of_account)
        part = (
            visit.say("now.paid_of_opened", paid=paid, opened=opened, percent=round(100 * paid / opened))
            if opened
            else ""
        )
        seconds = state.outcome.get(one.account)
        outcome = "" if seconds is None else visit.say("now.seconds", seconds=f"{seconds:.1f}")
        rows.append((h.a(href=f"/gateways#{one.account}")[one.account], health(visit, one), part, outcome))
    return h.section[
        h.h2[visit.say("nav.gateways")],
        table(visit, visit.say("now.gateways_caption"), _GATEWAY_COLUMNS, rows, empty=visit.say("none")),
    ]


def health(visit: Visit, one: GatewayState) -> h.Node:
    """A badge that says whether the gateway answers."""
    return h.span(class_=f"badge {_TONES.get(one.health, 'quiet')}")[
        visit.say(f"health.{one.health.replace(' ', '_')}")
    ]
