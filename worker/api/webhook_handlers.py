"""The shop's webhook endpoints, their deliveries, and one event sent again.

`{webhook_id}` is the id that the list gives. Another merchant's endpoint does not exist for a caller.
"""

from __future__ import annotations

import re

import asyncpg
from aiohttp import web

from consumers.commands.two_people import key_actor
from schemas.audit import AuditRecord
from schemas.proposals import Origin
from schemas.requests import DEFAULT_PAGE, DELIVERIES_QUERY
from schemas.responses import DeliveryPage, DeliveryView, WebhookAnswer, WebhookList, WebhookView
from schemas.words import EventType
from worker.api.auth import caller_of, merchant_of
from worker.api.bodies import read_query
from worker.api.context import Api
from worker.api.cursors import no_cursor, read_cursor, read_micros, written_cursor, written_micros
from worker.api.problems import json_reply, no_such_payment, unavailable
from worker.config.webhook_endpoints import Endpoint, endpoint_of
from worker.postgres.database import Connection
from worker.postgres.events.delivery_reads import (
    Delivery,
    DeliveryCursor,
    DeliveryState,
    read_deliveries,
    read_delivery,
)
from worker.postgres.events.endpoint_reads import EndpointReport, read_endpoints
from worker.postgres.events.endpoint_rows import known_endpoints
from worker.postgres.events.resend import resend
from worker.postgres.reads.read_turns import MerchantReads, ReadTooLong


class WebhookHandlers:
    def __init__(self, api: Api) -> None:
        self._api = api

    async def webhooks(self, request: web.Request) -> web.Response:
        try:
            async with self._reads(request).connection() as connection:
                found = await read_endpoints(connection, _configured(request))
        except ReadTooLong:
            raise unavailable("too many deliveries wait for them to be counted in time") from None
        return json_reply(200, WebhookList(webhooks=[_shown(one) for one in found])).response()

    async def deliveries(self, request: web.Request) -> web.Response:
        found = read_query(DELIVERIES_QUERY, request)
        state = DeliveryState(found["state"]) if "state" in found else None
        after = _position(found["cursor"], state) if "cursor" in found else None
        limit = found.get("limit", DEFAULT_PAGE)
        try:
            async with self._reads(request).connection() as connection:
                endpoint = await _endpoint(connection, request)
                page = await read_deliveries(
                    connection, endpoint.id, endpoint.merchant, limit, state=state, after=after
                )
        except ReadTooLong:
            raise unavailable("the page took too long: ask for fewer with `limit`") from None
        shown = DeliveryPage(
            deliveries=[delivery_view(one) for one in page.deliveries],
            next_cursor=None if page.next is None else _written(page.next, state),
        )
        return json_reply(200, shown).response()

    async def send_again(self, request: web.Request) -> web.Response:
        """Make the event due to the endpoint now, and answer with its delivery, which a worker sends soon."""
        database = self._api.database
        async with database.connection() as connection:
            endpoint = await _endpoint(connection, request)
        event_id = request.match_info["event_id"]
        key = caller_of(request).key.name
        origin = Origin(actor=key_actor(key, "no name given"), via="api", address=self._api.address(request), key=key)
        payment_id = event_id.rpartition(".")[0] or None
        record = AuditRecord(
            origin=origin, action="event.resent", merchant=endpoint.merchant, payment_id=payment_id, subject=event_id
        )
        if not await resend(database, endpoint.id, event_id, record):
            raise no_such_payment()
        async with database.connection() as connection:
            delivery = await read_delivery(connection, endpoint.id, event_id)
        if delivery is None:  # its retention ended just now
            raise no_such_payment()
        return json_reply(202, delivery_view(delivery)).response()

    def _reads(self, request: web.Request) -> MerchantReads:
        return self._api.reads.of(merchant_of(request).id, "list")


def delivery_view(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        event_id=delivery.event_id,
        payment_id=delivery.payment_id,
        type=EventType(delivery.type),
        time=delivery.time,
        state=delivery.state.value,
        attempts=delivery.attempts,
        next_try=delivery.next_at,
        delivered_at=delivery.delivered_at,
        given_up_at=delivery.given_up_at,
        answer=delivery.answer,
    )


def _configured(request: web.Request) -> list[Endpoint]:
    merchant = merchant_of(request)
    return [endpoint_of(merchant.id, one) for one in merchant.webhooks]


async def _endpoint(connection: Connection[asyncpg.Record], request: web.Request) -> Endpoint:
    """The endpoint of the path. Raises Problem where the merchant has none of this id."""
    for endpoint in await known_endpoints(connection, _configured(request)):
        if endpoint.id == request.match_info["webhook_id"]:
            return endpoint
    raise no_such_payment()


def _shown(found: EndpointReport) -> WebhookView:
    endpoint, health, last = found.endpoint, found.health, found.last_answer
    return WebhookView(
        id=endpoint.id,
        name=endpoint.configured_id,
        url=endpoint.shown_url,
        events=[EventType(kind) for kind in endpoint.types],
        state=found.state.value,
        failures=health.failures,
        next_try=health.shut_until,
        blocked_since=health.disabled_at,
        waiting=found.waiting,
        oldest_waiting=found.oldest_waiting,
        given_up=found.given_up,
        last_delivered=found.delivered_at,
        last_answer=None if last is None else WebhookAnswer(at=last.at, words=last.words),
    )


def _written(cursor: DeliveryCursor, state: DeliveryState | None) -> str:
    since = "" if cursor.next_at is None else f".{written_micros(cursor.next_at)}"
    return written_cursor(f"{state or 'all'}.{cursor.place}{since}")


def _position(cursor: str, state: DeliveryState | None) -> DeliveryCursor:
    since = r"\.([0-9]{1,17})" if state is DeliveryState.WAITING else "()"
    match = re.fullmatch(rf"{state or 'all'}\.([0-9]{{1,18}}){since}", read_cursor(cursor), re.ASCII)
    if match is None:
        raise no_cursor("cursor")
    return DeliveryCursor(int(match[1]), read_micros(match[2]) if match[2] else None)
