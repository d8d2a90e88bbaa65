"""Claims, each taken once; and the callback of each as received, in the archive.

The one thing to get wrong: one without the other. Both are written in the transaction that takes the claim, by one
statement, so that a claim that was taken before leaves no second copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from consumers.ports.ledger import Lookup
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


async def record_unfound(
    connection: Connection[asyncpg.Record], cipher: ArchiveCipher, claims: Sequence[Claim]
) -> None:
    """Record claims whose payment is not known. A claim that is there already stays as it is."""
    if claims:
        came = claim_rows(cipher, [(claim, None) for claim in claims])
        await connection.execute("SELECT admit_claims($1, $2)", came.rows, came.callbacks)


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
