"""One endpoint: how it is, its deliveries; a test event, and sending all again that waits or was given up."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

import htpy as h
from aiohttp import web

from schemas.secret import SecretElsewhere
from worker.config.webhook_endpoints import Endpoint
from worker.console.acted import act_of, acted
from worker.console.elements import Column, facts, form, moment, table
from worker.console.layout import missing, page, see_other
from worker.console.pages.endpoint_parts import (
    answer_words,
    delivery_path,
    endpoint_badge,
    endpoint_of_path,
    endpoint_path,
    name_of,
    next_words,
    short_type,
    state_badge,
    waits_for,
)
from worker.console.route_table import may_act
from worker.console.visit import Visit
from worker.deliver.sender import sender
from worker.deliver.trying import trial_event
from worker.postgres.events.delivery_reads import Delivery, DeliveryCursor, DeliveryState, read_deliveries
from worker.postgres.events.endpoint_reads import EndpointReport, EndpointState, read_endpoints
from worker.postgres.events.endpoint_rows import enable_endpoint
from worker.postgres.events.resend import resend_given_up
from worker.postgres.wakeups import Wakeup

REFRESH_SECONDS = 5
PAGE = 50
_COLUMNS = (
    Column("deliveries.event"),
    Column("deliveries.type"),
    Column("deliveries.written"),
    Column("deliveries.state"),
    Column("deliveries.attempts", number=True),
    Column("deliveries.answer"),
)
_STATES = (None, DeliveryState.WAITING, DeliveryState.GIVEN_UP)


async def show_endpoint(visit: Visit) -> web.StreamResponse:
    endpoint = await endpoint_of_path(visit)
    if endpoint is None:
        return missing(visit)
    query = visit.request.query
    state = next((one for one in _STATES if one is not None and one.value == query.get("state")), None)
    after = _cursor(query.get("after", ""), state)
    async with visit.database.connection() as connection:
        (found,) = await read_endpoints(connection, [endpoint])
        deliveries = await read_deliveries(connection, endpoint.id, endpoint.merchant, PAGE, state=state, after=after)
    return page(
        visit,
        visit.say("endpoints.title", name=name_of(endpoint)),
        _facts(visit, found),
        _actions(visit, found),
        h.h2[visit.say("deliveries")],
        _states(visit, endpoint, state),
        table(
            visit,
            visit.say(f"deliveries.table.{state or 'all'}"),
            _COLUMNS,
            (_delivery_row(visit, endpoint, one) for one in deliveries.deliveries),
            empty=visit.say("deliveries.none"),
        ),
        _older(visit, endpoint, state, deliveries.next),
        refresh=None if after else REFRESH_SECONDS,
    )


async def test_endpoint(visit: Visit) -> web.StreamResponse:
    """Send a test event at once, and show the answer."""
    endpoint = await endpoint_of_path(visit)
    if endpoint is None:
        return missing(visit)
    event_id, body = trial_event(endpoint.merchant, visit.now)
    await acted(visit, "endpoint.tested", endpoint.id, merchant=endpoint.merchant)
    back = h.p[h.a(href=endpoint_path(endpoint))[visit.say("back")]]
    title = visit.say("endpoints.tested", name=name_of(endpoint))
    private = visit.context.config.allow_private_webhooks
    try:
        async with sender(lambda: visit.now, private=private) as sending:
            sent = await sending.send(endpoint, event_id, body)
    except SecretElsewhere:
        return page(visit, title, h.p(".note.bad", role="alert")[visit.say("endpoints.test_elsewhere")], back)
    status = sent.response.status
    good = status is not None and 200 <= status < 300
    words = h.p(".note.fine" if good else ".note.bad", role="status")[
        visit.say("endpoints.test_good" if good else "endpoints.test_bad", answer=sent.response.words)
    ]
    answer = (h.h2[visit.say("attempts.body")], h.pre[sent.began.decode("utf-8", "replace")]) if sent.began else None
    return page(visit, title, words, answer, back)


async def send_waiting(visit: Visit) -> web.StreamResponse:
    """Enable the endpoint, and send all that waits for it now."""
    endpoint = await endpoint_of_path(visit)
    if endpoint is None:
        return missing(visit)
    record = act_of(visit, "endpoint.enabled", endpoint.id, merchant=endpoint.merchant)
    async with visit.heavy():
        await enable_endpoint(visit.database, endpoint.id, visit.now, record)
    visit.database.notify(Wakeup(placed=True))
    return see_other(endpoint_path(endpoint))


async def send_given_up(visit: Visit) -> web.StreamResponse:
    endpoint = await endpoint_of_path(visit)
    if endpoint is None:
        return missing(visit)
    record = act_of(visit, "endpoint.given_up_resent", endpoint.id, merchant=endpoint.merchant)
    await resend_given_up(visit.database, endpoint.id, record)
    return see_other(endpoint_path(endpoint))


def _facts(visit: Visit, found: EndpointReport) -> h.Node:
    endpoint, health, last = found.endpoint, found.health, found.last_answer
    return facts(
        visit,
        (
            "endpoints.state",
            h.fragment[endpoint_badge(visit, found.state), " ", visit.say(f"endpoints.{found.state}.means")],
        ),
        ("endpoints.address", h.code[endpoint.shown_url]),
        ("endpoints.id", h.code[endpoint.id]),
        ("endpoints.merchant", endpoint.merchant),
        ("endpoints.wants", ", ".join(endpoint.types)),
        ("endpoints.waiting", str(found.waiting)),
        ("endpoints.oldest", waits_for(visit, found) or None),
        ("endpoints.given_up", str(found.given_up)),
        ("endpoints.failures", str(health.failures) if health.failures else None),
        ("endpoints.probe", moment(visit, health.shut_until) if health.shut_until else None),
        (
            "endpoints.answer",
            h.fragment[answer_words(visit, last.words), " ", moment(visit, last.at)] if last else None,
        ),
        ("endpoints.delivered", moment(visit, found.delivered_at) if found.delivered_at else None),
    )


def _actions(visit: Visit, found: EndpointReport) -> h.Node:
    if not may_act(visit):
        return None
    path = endpoint_path(found.endpoint)
    blocked = found.state is EndpointState.BLOCKED
    enable = visit.say("endpoints.enable" if blocked else "endpoints.send_waiting")
    return h.div[
        form(visit, f"{path}/send-waiting", h.button[enable], kind="inline") if blocked or found.waiting else None,
        form(visit, f"{path}/send-given-up", h.button(".second")[visit.say("endpoints.send_given_up")], kind="inline")
        if found.given_up
        else None,
        form(visit, f"{path}/test", h.button(".second")[visit.say("endpoints.test")], kind="inline"),
    ]


def _states(visit: Visit, endpoint: Endpoint, shown: DeliveryState | None) -> h.Element:
    links = [
        h.a(
            href=endpoint_path(endpoint) + (f"?state={one}" if one else ""),
            aria_current="true" if one is shown else None,
        )[visit.say(f"deliveries.show.{one or 'all'}")]
        for one in _STATES
    ]
    return h.p[[(link, " · " if link is not links[-1] else "") for link in links]]


def _delivery_row(visit: Visit, endpoint: Endpoint, one: Delivery) -> tuple[h.Node, ...]:
    waits = next_words(visit, one)
    return (
        h.a(".id", href=delivery_path(endpoint, one.event_id))[one.event_id],
        short_type(one.type),
        moment(visit, one.time),
        h.fragment[state_badge(visit, one.state), (" ", h.small[waits]) if waits else None],
        str(one.attempts),
        answer_words(visit, one.answer),
    )


def _older(visit: Visit, endpoint: Endpoint, state: DeliveryState | None, after: DeliveryCursor | None) -> h.Node:
    if after is None:
        return None
    text = f"{after.place}" if after.next_at is None else f"{after.place}.{after.next_at.isoformat()}"
    query = {"after": text} | ({"state": state.value} if state else {})
    return h.p[h.a(href=f"{endpoint_path(endpoint)}?{urlencode(query)}")[visit.say("deliveries.more")]]


def _cursor(text: str, state: DeliveryState | None) -> DeliveryCursor | None:
    """The place of a link to further deliveries. A text that is none begins at the first page."""
    place, _, since = text.partition(".")
    if not place.isascii() or not place.isdigit() or len(place) > 18:
        return None
    if state is not DeliveryState.WAITING:
        return DeliveryCursor(int(place))
    try:
        at = datetime.fromisoformat(since)
    except ValueError:
        return None
    return DeliveryCursor(int(place), at) if at.tzinfo is not None else None
