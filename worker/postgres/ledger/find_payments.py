"""Which payment a claim is about, by its ids: its own payment, a session, a transaction or a reference."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from consumers.ports.readings import Lookup
from schemas.callbacks import Claim
from worker.postgres.database import Connection
from worker.postgres.ledger.claims import names_of
from worker.postgres.ledger.rows import planned_once

FIND = f"""
    SELECT c.claim_id,
        coalesce(named.id, session.payment_id, transaction.payment_id, referred.id, past.id) AS payment_id,
        coalesce(session.payment_id, transaction.payment_id, referred.id, past.id) IS NOT NULL AND NOT EXISTS (
            SELECT FROM payments p
            WHERE p.id = coalesce(named.id, session.payment_id, transaction.payment_id, referred.id)) AS past
    FROM unnest({", ".join(map(planned_once, range(1, 7)))})
        AS c (claim_id, account, payment_id, session_id, transaction_id, reference)
    LEFT JOIN payments named ON named.id = c.payment_id AND named.account = c.account
    LEFT JOIN sessions session
        ON c.payment_id IS NULL AND session.account = c.account AND session.session_id = c.session_id
    LEFT JOIN transactions transaction
        ON c.payment_id IS NULL AND transaction.account = c.account AND transaction.transaction_id = c.transaction_id
    LEFT JOIN payments referred
        ON c.payment_id IS NULL AND referred.account = c.account AND referred.reference = c.reference
    LEFT JOIN past_payments past
        ON c.payment_id IS NULL AND past.account = c.account AND past.reference = c.reference
"""  # noqa: S608 - our own words
"""`past`: the keys name a payment that retention has deleted."""


async def find(connection: Connection[asyncpg.Record], lookups: Sequence[Claim | Lookup]) -> dict[str, str]:
    rows = await connection.fetch(FIND, *names_of(lookups))
    return {row["claim_id"]: row["payment_id"] for row in rows if row["payment_id"] is not None}
