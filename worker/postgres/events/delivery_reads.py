"""The deliveries of an endpoint, a page at a time, and one delivery with its attempts.

No index has deliveries in the order of the log: it would cost every delivery. So the newest deliveries are found by the
events, at most SCANNED of them for a page. A page of an endpoint that wants few of them may be short, or empty, and is
not the last while it has a `next`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import asyncpg
from msgspec import Struct

from worker.postgres.database import Connection
from worker.postgres.watermark import START

SCANNED = 1_000
NEWEST = 2**63 - 1

_COLUMNS = """
    d.event_id, v.payment_id, v.type, v.time, d.place, d.attempts, d.next_at, d.delivered_at, d.had_at, d.given_up_at,
    d.answer
"""
_WINDOW = """
    SELECT id, place FROM events
    WHERE (merchant, place) < ($1, $2::bigint) AND (merchant, place) > ($1, -1) AND place IS NOT NULL
    ORDER BY merchant DESC, place DESC LIMIT $3
"""
_ALL = f"""
    WITH seen AS MATERIALIZED ({_WINDOW})
    SELECT {_COLUMNS} FROM seen s JOIN deliveries d ON d.endpoint = $4 AND d.event_id = s.id
    JOIN events v ON v.id = s.id
    ORDER BY s.place DESC LIMIT $5
"""  # noqa: S608 - our own words
_END = f"SELECT count(*) AS events, min(place) AS place FROM ({_WINDOW}) AS seen"  # noqa: S608
_WAITING = f"""
    SELECT {_COLUMNS} FROM deliveries d JOIN events v ON v.id = d.event_id
    WHERE d.endpoint = $1 AND d.next_at IS NOT NULL AND (d.next_at, d.place) > ($2::timestamptz, $3::bigint)
    ORDER BY d.next_at, d.place LIMIT $4
"""  # noqa: S608
_GIVEN_UP = f"""
    SELECT {_COLUMNS} FROM deliveries d JOIN events v ON v.id = d.event_id
    WHERE d.endpoint = $1 AND d.given_up_at IS NOT NULL AND d.place < $2::bigint ORDER BY d.place DESC LIMIT $3
"""  # noqa: S608
_ONE = f"""
    SELECT {_COLUMNS} FROM deliveries d JOIN events v ON v.id = d.event_id WHERE d.endpoint = $1 AND d.event_id = $2
"""  # noqa: S608
_LAST = "SELECT last_attempt FROM deliveries WHERE endpoint = $1 AND event_id = $2"
_ATTEMPTS = """
    SELECT at, data FROM entries WHERE payment_id = $1 AND kind = 'delivery' AND data ->> 'event_id' = $2
        AND data ->> 'endpoint' = $3 ORDER BY at DESC LIMIT $4
"""


class DeliveryState(StrEnum):
    """Where a delivery stands.

    - `waiting`: it is sent, or sent again, at `next_at`.
    - `delivered`: the endpoint answered 2xx.
    - `given_up`: the last attempt of its schedule failed, or a person gave it up.
    """

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class Delivery(Struct, frozen=True, kw_only=True):
    """An event on its way to an endpoint. `time`: when the event was written; `answer`: the last one, in words.

    `had_at`: when the endpoint took it first, where it was sent again since.
    """

    event_id: str
    payment_id: str
    type: str
    time: datetime
    place: int
    attempts: int
    next_at: datetime | None
    delivered_at: datetime | None
    had_at: datetime | None
    given_up_at: datetime | None
    answer: str | None

    @property
    def state(self) -> DeliveryState:
        if self.delivered_at is not None:
            return DeliveryState.DELIVERED
        return DeliveryState.WAITING if self.next_at is not None else DeliveryState.GIVEN_UP


class DeliveryCursor(Struct, frozen=True):
    """The place behind which a page begins; of deliveries that wait, also the time at which the last one was due."""

    place: int
    next_at: datetime | None = None


class DeliveryRows(Struct, frozen=True):
    """A page. `next` is None on the last one."""

    deliveries: list[Delivery]
    next: DeliveryCursor | None


async def read_deliveries(
    connection: Connection[asyncpg.Record],
    endpoint: str,
    merchant: str,
    limit: int,
    *,
    state: DeliveryState | None = None,
    after: DeliveryCursor | None = None,
) -> DeliveryRows:
    """The endpoint's deliveries, newest event first. Those that wait: the next one first.

    `state` is None for all, WAITING or GIVEN_UP.
    """
    place = after.place if after else NEWEST
    match state:
        case DeliveryState.WAITING:
            since = (after.next_at, after.place) if after and after.next_at else (START, -1)
            rows = await connection.fetch(_WAITING, endpoint, *since, limit)
        case DeliveryState.GIVEN_UP:
            rows = await connection.fetch(_GIVEN_UP, endpoint, place, limit)
        case _:
            rows = await connection.fetch(_ALL, merchant, place, SCANNED, endpoint, limit)
    found = [Delivery(**dict(row)) for row in rows]
    if len(found) == limit:
        last = found[-1]
        return DeliveryRows(found, DeliveryCursor(last.place, last.next_at if state is not None else None))
    if state is None:
        end = await connection.fetchrow(_END, merchant, place, SCANNED)
        assert end is not None, "an aggregate has one row"
        if end["events"] == SCANNED:
            return DeliveryRows(found, DeliveryCursor(end["place"]))
    return DeliveryRows(found, None)


async def read_delivery(connection: Connection[asyncpg.Record], endpoint: str, event_id: str) -> Delivery | None:
    row = await connection.fetchrow(_ONE, endpoint, event_id)
    return None if row is None else Delivery(**dict(row))


async def deliveries_of_event(
    connection: Connection[asyncpg.Record], endpoints: Sequence[str], event_id: str
) -> dict[str, Delivery]:
    """The deliveries of one event, by the id of the endpoint."""
    found = {endpoint: await read_delivery(connection, endpoint, event_id) for endpoint in endpoints}
    return {endpoint: delivery for endpoint, delivery in found.items() if delivery is not None}


async def last_attempt(
    connection: Connection[asyncpg.Record], endpoint: str, delivery: Delivery
) -> dict[str, Any] | None:
    """What was sent with the last attempt and how the answer began. None before the first one.

    An older program writes none: what an earlier attempt left is not shown for the last one.
    """
    found: dict[str, Any] | None = await connection.fetchval(_LAST, endpoint, delivery.event_id)
    return found if found is not None and found.get("attempt") == delivery.attempts else None


async def read_attempts(
    connection: Connection[asyncpg.Record], endpoint: str, delivery: Delivery, most: int = 100
) -> list[dict[str, Any]]:
    """The attempts of a delivery as the payment's timeline has them, the newest first, each with its time `at`."""
    rows = await connection.fetch(_ATTEMPTS, delivery.payment_id, delivery.event_id, endpoint, most)
    return [{"at": row["at"], **row["data"]} for row in rows]
