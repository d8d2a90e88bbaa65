"""Claims, each taken once; and the callback of each as received, in the archive.

The one thing to get wrong: one without the other. Both are written in the transaction that takes the claim, by one
statement, so that a claim that was taken before leaves no second copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from consumers.ports.ledger import Admission, Lookup
from schemas.callbacks import Claim
from schemas.words import Authenticity
from worker.postgres.database import Connection
from worker.runtime.encryption import ArchiveCipher


class ClaimRows(Struct, frozen=True):
    """Claims as rows, and what is archived of each; None where nothing is."""

    rows: list[dict[str, Any]]
    callbacks: list[bytes | None]


def claim_rows(cipher: ArchiveCipher, claims: Iterable[tuple[Claim, str | None]]) -> ClaimRows:
    found = ClaimRows([], [])
    for claim, payment_id in claims:
        key_id, callback = to_archive(cipher, claim)
        signed = payment_id is not None and claim.authenticity is Authenticity.SIGNED
        found.callbacks.append(callback)
        found.rows.append(
            {
                "id": claim.id,
                "account": claim.account,
                "payment_id": payment_id,
                "event_id": claim.event_id if signed else None,
                "received_at": claim.received_at,
                "key_id": key_id,
            }
        )
    return found


async def admit(
    connection: Connection[asyncpg.Record], cipher: ArchiveCipher, claims: Sequence[tuple[Claim, str | None]]
) -> Mapping[str, Admission]:
    """Record claims with the payments they are about; tell by claim id which are new."""
    if not claims:
        return {}
    came = claim_rows(cipher, claims)
    known = await connection.fetchval("SELECT admit_claims($1, $2)", came.rows, came.callbacks) or {}
    return {claim.id: known.get(claim.id, "new") for claim, _ in claims}


def names_of(lookups: Sequence[Claim | Lookup]) -> list[list[str | None]]:
    """As columns: their ids, accounts, payment ids, session ids, transaction ids and references."""
    return [
        [one.id for one in lookups],
        [one.account for one in lookups],
        [one.payment_id for one in lookups],
        [one.session_id for one in lookups],
        [one.transaction_id for one in lookups],
        [one.reference for one in lookups],
    ]


def to_archive(cipher: ArchiveCipher, claim: Claim) -> tuple[str | None, bytes | None]:
    """The name of the key, and the record. What nobody sent us, a person's word or our own, has none."""
    if claim.callback is None:
        return None, None
    return cipher.encrypt(claim.id, msgspec.json.encode(claim))
