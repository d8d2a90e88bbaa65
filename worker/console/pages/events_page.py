"""Events: the log from its newest end beside the catalogue of types, and one event with where it was sent."""

from __future__ import annotations

from urllib.parse import urlencode

import htpy as h
import msgspec
from aiohttp import web

from schemas.words import EventType
from worker.console.elements import Column, facts, moment, table
from worker.console.layout import missing, page
from worker.console.pages.endpoint_parts import (
    answer_words,
    delivery_path,
    endpoints_seen,
    name_of,
    next_words,
    resend_form,
    short_type,
    state_badge,
)
from worker.console.payment_parts import payment_link
from worker.console.visit import Visit
from worker.postgres.events.delivery_reads import deliveries_of_event
from worker.postgres.events.event_reads import NEWEST, LoggedEvent, newest_events, read_event

PAGE = 50
_COLUMNS = (
    Column("deliveries.event"),
    Column("deliveries.type"),
    Column("events.account"),
    Column("deliveries.written"),
)
_TOLD_COLUMNS = (
    Column("endpoints.endpoint"),
    Column("deliveries.state"),
    Column("deliveries.attempts", number=True),
    Column("deliveries.answer"),
    Column("events.again"),
)


async def show_events(visit: Visit) -> web.StreamResponse:
    query, merchants = visit.request.query, [one.id for one in visit.merchants]
    merchant = query.get("merchant", merchants[0] if merchants else "")
    if merchant not in merchants:
        return missing(visit)
    kind = next((one for one in EventType if one.value == query.get("type")), None)
    async with visit.database.connection() as connection:
        found = await newest_events(connection, merchant, PAGE, before=_place(query.get("before", "")), kind=kind)
    caption = visit.say("events.table", merchant=merchant) if kind is None else f"{merchant}: {kind}"
    return page(
        visit,
        visit.say("nav.events"),
        _merchants(visit, merchants, merchant, kind),
        _catalogue(visit, merchant, kind),
        table(visit, caption, _COLUMNS, (_row(visit, one) for one in found.events), empty=visit.say("events.none")),
        None if found.next is None else h.p[_link(visit.say("deliveries.more"), merchant, kind, found.next)],
    )


async def show_event(visit: Visit) -> web.StreamResponse:
    async with visit.database.connection() as connection:
        event = await read_event(connection, visit.request.match_info["event_id"])
    if event is None or not visit.operator.sees(event.merchant):
        return missing(visit)
    endpoints = await endpoints_seen(visit, event.merchant)
    async with visit.database.connection() as connection:
        deliveries = await deliveries_of_event(connection, [one.id for one in endpoints], event.id)
    rows = []
    for endpoint in endpoints:
        told = deliveries.get(endpoint.id)
        state = state_badge(visit, told.state) if told else h.span(".badge.quiet")[visit.say("events.not_sent")]
        waits = next_words(visit, told) if told else None
        rows.append(
            (
                h.a(href=delivery_path(endpoint, event.id))[name_of(endpoint)] if told else name_of(endpoint),
                h.fragment[state, (" ", h.small[waits]) if waits else None],
                str(told.attempts) if told else "0",
                answer_words(visit, told.answer) if told else "",
                resend_form(visit, endpoint, event.id, named=True),
            )
        )
    return page(
        visit,
        event.type,
        h.p[visit.say(f"events.{event.type}")] if event.type in set(EventType) else None,
        facts(
            visit,
            ("deliveries.event", h.code[event.id]),
            ("deliveries.payment", payment_link(event.payment_id)),
            ("endpoints.merchant", event.merchant),
            ("events.account", event.account),
            ("deliveries.written", moment(visit, event.time)),
        ),
        table(visit, visit.say("events.sent_to"), _TOLD_COLUMNS, rows, empty=visit.say("endpoints.none")),
        h.h2[visit.say("events.body")],
        h.pre[msgspec.json.format(event.body, indent=2).decode()],
        refresh=5 if any(one.next_at is not None for one in deliveries.values()) else None,
    )


def _row(visit: Visit, one: LoggedEvent) -> tuple[h.Node, ...]:
    return (
        h.a(".id", href=f"/events/{one.id}")[one.id],
        short_type(one.type),
        one.account,
        moment(visit, one.time),
    )


def _merchants(visit: Visit, merchants: list[str], shown: str, kind: EventType | None) -> h.Node:
    if len(merchants) < 2:
        return None
    links = [_link(one, one, kind, current=one == shown) for one in merchants]
    return h.p[visit.say("endpoints.merchant"), ": ", [(link, " ") for link in links]]


def _catalogue(visit: Visit, merchant: str, shown: EventType | None) -> h.Element:
    """Every type with its meaning; each is a link to the events of it."""
    pairs = [
        (
            h.dt[_link(kind.value, merchant, kind, current=kind is shown)],
            h.dd[visit.say(f"events.{kind}")],
        )
        for kind in EventType
    ]
    every = h.p[_link(visit.say("events.all"), merchant, None, current=shown is None)]
    return h.details(open=shown is not None)[
        h.summary[visit.say("events.catalogue")], every, h.dl(".facts.wide")[pairs]
    ]


def _link(
    words: str, merchant: str, kind: EventType | None, before: int | None = None, *, current: bool = False
) -> h.Element:
    query = {"merchant": merchant, "type": kind.value if kind else None, "before": before}
    known = {name: value for name, value in query.items() if value is not None}
    return h.a(href=f"/events?{urlencode(known)}", aria_current="true" if current else None)[words]


def _place(text: str) -> int:
    """The place of a link to older events; the newest end for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else NEWEST
