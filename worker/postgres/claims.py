"""Claims, each taken once; and the callback of each as received, in the archive.

The one thing to get wrong: one without the other. Both are written in the transaction that takes the claim, by one
statement, so that a claim that was taken before leaves no second copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg
import msgspec

from consumers.receiving import Admission
from schemas.callbacks import Claim
from schemas.words import Authenticity
from worker.postgres.database import Connection
from worker.sealing import Seal

_ADMIT = """
    WITH new AS (
        INSERT INTO claims (id, account, payment_id, event_id, received_at)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
        ON CONFLICT DO NOTHING RETURNING id, received_at),
    archived AS (
        INSERT INTO archive (claim_id, received_at, key_id, body)
        SELECT new.id, new.received_at, c.key_id, c.body
        FROM new JOIN unnest($1::text[], $6::text[], $7::bytea[]) AS c (id, key_id, body) ON c.id = new.id
        WHERE c.body IS NOT NULL
        ON CONFLICT DO NOTHING)  -- it was kept before, and comes again as it was sent
    SELECT id FROM new
"""


async def admit(
    connection: Connection[asyncpg.Record], seal: Seal, claims: Sequence[tuple[Claim, str | None]]
) -> Mapping[str, Admission]:
    """Record claims with the payments they are about; tell by claim id which are new."""
    if not claims:
        return {}
    rows = [
        (
            claim.id,
            claim.account,
            payment_id,
            claim.event_id if payment_id and claim.authenticity is Authenticity.SIGNED else None,
            claim.received_at,
            *archived(seal, claim),
        )
        for claim, payment_id in claims
    ]
    new = await connection.fetch(_ADMIT, *(list(column) for column in zip(*rows, strict=True)))
    fresh = {row["id"] for row in new}
    stale = [claim.id for claim, _ in claims if claim.id not in fresh]
    known = await connection.fetch("SELECT id FROM claims WHERE id = ANY($1)", stale) if stale else []
    seen = {row["id"] for row in known}
    return {claim.id: "new" if claim.id in fresh else "seen" if claim.id in seen else "repeated" for claim, _ in claims}


def archived(seal: Seal, claim: Claim) -> tuple[str | None, bytes | None]:
    """The name of the key, and the record. What nobody sent us, a person's word or our own, has none."""
    if claim.callback is None:
        return None, None
    return seal.seal(claim.id, msgspec.json.encode(claim))
