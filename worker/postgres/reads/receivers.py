"""Which endpoints the newest event of a payment reached.

An endpoint without a delivery of the event gets it later, if the endpoint's place in the log is before the event.
Otherwise the endpoint was never meant to have it: it was added later, or was disabled when the event was written.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from consumers.explain.reached import Receiver
from schemas.payments import Payment
from worker.config.webhook_endpoints import Endpoint
from worker.postgres.database import Connection

_NEWEST = """
    SELECT v.id AS event_id, v.type, v.time AS written_at, coalesce(d.attempts, 0) AS attempts, d.answer,
        d.delivered_at, d.had_at, d.given_up_at,
        CASE WHEN d.next_at IS NOT NULL OR d.event_id IS NULL THEN n.disabled_at END AS disabled_at,
        greatest(d.next_at, CASE WHEN d.next_at IS NOT NULL THEN n.shut_until END) AS next_at
    FROM endpoints n
    CROSS JOIN LATERAL (
        SELECT id, type, time, place FROM events WHERE payment_id = $2 AND type = ANY($3)
        ORDER BY version DESC LIMIT 1) AS v
    LEFT JOIN deliveries d ON d.endpoint = n.id AND d.event_id = v.id
    WHERE n.id = $1 AND (d.event_id IS NOT NULL OR v.place IS NULL OR v.place > n.place)
"""


async def read_receivers(
    connection: Connection[asyncpg.Record], payment: Payment, endpoints: Sequence[Endpoint]
) -> tuple[Receiver, ...]:
    """The delivery of the payment's newest event to each of its merchant's endpoints.

    The newest event is the newest of the types that the endpoint wants. Endpoints that do not get it are absent.
    """
    found = []
    for endpoint in endpoints:
        if endpoint.merchant == payment.merchant:
            row = await connection.fetchrow(_NEWEST, endpoint.id, payment.id, list(endpoint.types))
            if row is not None:
                name = endpoint.configured_id
                found.append(Receiver(endpoint=endpoint.id, configured_id=name, host=endpoint.host, **dict(row)))
    return tuple(found)
