"""Claims, each taken once, and their callbacks as received, in the archive.

One statement writes both, in the transaction that takes the claim. So no claim loses its callback, and a claim that was
taken before leaves no second copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from consumers.ports.readings import Lookup
from schemas.callbacks import Claim
from schemas.words import Authenticity
from worker.postgres.database import Connection
from worker.runtime.encryption import ArchiveCipher


class ClaimRows(Struct, frozen=True):
    """Claims as rows, and in the same order the record of each for the archive, None where the archive gets none."""

    rows: list[dict[str, Any]]
    callbacks: list[bytes | None]


def claim_rows(cipher: ArchiveCipher, claims: Iterable[tuple[Claim, str | None]]) -> ClaimRows:
    """Rows of claims, each given with the id of its payment, or None."""
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
    """Record claims whose payment is unknown, and their callbacks. A claim that is there already stays as it is."""
    if claims:
        came = claim_rows(cipher, [(claim, None) for claim in claims])
        await connection.execute("SELECT admit_claims($1, $2)", came.rows, came.callbacks)


def names_of(lookups: Sequence[Claim | Lookup]) -> list[list[str | None]]:
    """The lookups as columns: their ids, accounts, payment ids, session ids, transaction ids and references."""
    return [
        [lookup.id for lookup in lookups],
        [lookup.account for lookup in lookups],
        [lookup.payment_id for lookup in lookups],
        [lookup.session_id for lookup in lookups],
        [lookup.transaction_id for lookup in lookups],
        [lookup.reference for lookup in lookups],
    ]


def to_archive(cipher: ArchiveCipher, claim: Claim) -> tuple[str | None, bytes | None]:
    """The name of the encryption key, None without encryption, and the record; None for a claim without a callback."""
    if claim.callback is None:
        return None, None
    return cipher.encrypt(claim.id, msgspec.json.encode(claim))
