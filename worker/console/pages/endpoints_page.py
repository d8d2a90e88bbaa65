"""Endpoints: how each is, and what waits for it."""

from __future__ import annotations

import htpy as h
from aiohttp import web

from worker.console.elements import Column, age, moment, table
from worker.console.layout import page
from worker.console.pages.endpoint_parts import (
    answer_words,
    endpoint_badge,
    endpoint_name,
    endpoints_seen,
    waits_for,
)
from worker.console.visit import Visit
from worker.postgres.events.endpoint_reads import EndpointReport, read_endpoints

REFRESH_SECONDS = 5
_COLUMNS = (
    Column("endpoints.endpoint"),
    Column("endpoints.merchant"),
    Column("endpoints.state"),
    Column("endpoints.waiting", number=True),
    Column("endpoints.oldest"),
    Column("endpoints.answer"),
    Column("endpoints.delivered"),
)


async def show_endpoints(visit: Visit) -> web.StreamResponse:
    async with visit.database.connection() as connection:
        found = await read_endpoints(connection, await endpoints_seen(visit))
    return page(
        visit,
        visit.say("nav.endpoints"),
        h.p(".lead")[_lead(visit, found)],
        table(
            visit,
            visit.say("endpoints.table"),
            _COLUMNS,
            [_row(visit, one) for one in found],
            empty=visit.say("endpoints.none"),
        ),
        refresh=REFRESH_SECONDS,
    )


def _lead(visit: Visit, found: list[EndpointReport]) -> str:
    waiting = [one for one in found if one.waiting]
    if not found:
        return visit.say("endpoints.none")
    if not waiting:
        return visit.say("endpoints.all_told")
    since = min(one.oldest_waiting or visit.now for one in waiting)
    return visit.say(
        "endpoints.wait",
        count=sum(one.waiting for one in waiting),
        endpoints=len(waiting),
        oldest=age(visit, (visit.now - since).total_seconds()),
    )


def _row(visit: Visit, found: EndpointReport) -> tuple[h.Node, ...]:
    endpoint = found.endpoint
    return (
        endpoint_name(endpoint),
        endpoint.merchant,
        endpoint_badge(visit, found.state),
        str(found.waiting),
        waits_for(visit, found),
        answer_words(visit, found.last_answer.words) if found.last_answer else "",
        moment(visit, found.delivered_at) if found.delivered_at else "",
    )
