"""One delivery: where it stands, what was sent last and how the answer began, and each attempt; sending it again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import htpy as h
from aiohttp import web

from worker.console.acted import act_of
from worker.console.elements import Column, facts, moment, table
from worker.console.layout import missing, page, see_other
from worker.console.pages.endpoint_parts import (
    delivery_path,
    endpoint_of_path,
    endpoint_path,
    name_of,
    next_words,
    resend_form,
    state_badge,
)
from worker.console.payment_parts import payment_link
from worker.console.route_table import may_examine
from worker.console.visit import Visit
from worker.postgres.events.delivery_reads import last_attempt, read_attempts, read_delivery
from worker.postgres.events.event_reads import read_event
from worker.postgres.events.resend import resend

REFRESH_SECONDS = 2
_COLUMNS = (
    Column("attempts.number"),
    Column("attempts.at"),
    Column("attempts.answer"),
    Column("attempts.took", number=True),
)


async def show_delivery(visit: Visit) -> web.StreamResponse:
    endpoint = await endpoint_of_path(visit)
    if endpoint is None:
        return missing(visit)
    async with visit.database.connection() as connection:
        delivery = await read_delivery(connection, endpoint.id, visit.request.match_info["event_id"])
        if delivery is None:
            return missing(visit)
        last = await last_attempt(connection, endpoint.id, delivery)
        attempts = await read_attempts(connection, endpoint.id, delivery)
    rows = [
        (
            h.fragment[visit.say("attempts.nth", number=one.get("attempt", 0))],
            moment(visit, one["at"]),
            _answer(visit, one),
            visit.say("attempts.milliseconds", count=one.get("milliseconds", 0)),
        )
        for one in attempts
    ]
    return page(
        visit,
        visit.say("deliveries.title", name=name_of(endpoint)),
        facts(
            visit,
            ("deliveries.state", h.fragment[state_badge(visit, delivery.state), " ", next_words(visit, delivery)]),
            ("deliveries.type", delivery.type),
            ("deliveries.event", h.a(".id", href=f"/events/{delivery.event_id}")[delivery.event_id]),
            ("deliveries.payment", payment_link(delivery.payment_id)),
            ("endpoints.endpoint", h.a(href=endpoint_path(endpoint))[name_of(endpoint)]),
            ("deliveries.written", moment(visit, delivery.time)),
            ("deliveries.had_at", moment(visit, delivery.had_at) if delivery.had_at else None),
            ("deliveries.delivered_at", moment(visit, delivery.delivered_at) if delivery.delivered_at else None),
        ),
        resend_form(visit, endpoint, delivery.event_id),
        _last(visit, last) if last else None,
        h.h2[visit.say("attempts")],
        table(visit, visit.say("attempts.table"), _COLUMNS, rows, empty=visit.say("attempts.none")),
        refresh=REFRESH_SECONDS if delivery.next_at is not None else None,
    )


async def resend_delivery(visit: Visit) -> web.StreamResponse:
    endpoint, event_id = await endpoint_of_path(visit), visit.request.match_info["event_id"]
    if endpoint is None:
        return missing(visit)
    async with visit.database.connection() as connection:
        event = await read_event(connection, event_id)
    if event is None or event.merchant != endpoint.merchant:
        return missing(visit)
    record = act_of(visit, "event.resent", event_id, merchant=event.merchant, payment_id=event.payment_id)
    if not await resend(visit.database, endpoint.id, event_id, record):
        return missing(visit)
    return see_other(delivery_path(endpoint, event_id))


def _last(visit: Visit, last: Mapping[str, Any]) -> h.Fragment:
    """What was sent with the last attempt, and how the answer began."""
    headers = "\n".join(f"{name}: {value}" for name, value in sorted(last.get("headers", {}).items()))
    body = last.get("body")
    shown = body if body is not None else last.get("body_base64", "")
    return h.fragment[
        h.h2[visit.say("attempts.last")],
        facts(
            visit,
            ("attempts.answer", _answer(visit, last)),
            ("attempts.at", moment(visit, datetime.fromisoformat(last["at"]))),
            ("attempts.took", visit.say("attempts.milliseconds", count=last.get("milliseconds", 0))),
        ),
        h.h3[visit.say("attempts.headers")],
        h.pre[headers],
        h.h3[visit.say("attempts.body" if body is not None or not shown else "attempts.bytes")],
        (h.pre[shown] if shown else h.p(".quiet")[visit.say("attempts.empty")])
        if may_examine(visit)
        else h.p(".quiet")[visit.say("attempts.not_shown")],
    ]


def _answer(visit: Visit, attempt: Mapping[str, Any]) -> str:
    """The status of an answer, or why there was none."""
    status = attempt.get("status")
    return visit.say("attempts.status", status=status) if status is not None else str(attempt.get("error", ""))
