"""Claims that came before their payment: kept by the workers, and queued in the transaction that records the payment.

Both may happen at the same moment, and no claim may be lost then. So keeping a claim and recording a payment each first
lock every id that they name (an advisory lock), and look only then. One of the two sees the rows of the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from zlib import crc32

import asyncpg
import msgspec
from msgspec import Struct

from consumers.apply_claim import KEPT_CANDIDATES
from consumers.early_claims import KEPT_FOR, PER_ACCOUNT, PER_ID, as_kept, event, is_signed, names
from schemas.callbacks import Claim
from schemas.payments import Payment
from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Connection, Database
from worker.postgres.ledger.claims import to_archive
from worker.runtime.encryption import ArchiveCipher

ACCOUNT_TURN, ID_TURN = 7_242_018, 7_242_019  # kinds of advisory locks

_TURNS = """
    SELECT pg_advisory_xact_lock(kind, name)
    FROM (SELECT DISTINCT kind, name FROM unnest($1::int[], $2::int[]) AS t (kind, name) ORDER BY 1, 2) AS turns
"""
_KEEP = """
    WITH new AS (
        INSERT INTO kept (claim_id, account, provider, signed, session_id, transaction_id, reference, event_id,
            received_at, body)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::timestamptz[], $10::bytea[])
        ON CONFLICT DO NOTHING RETURNING claim_id, received_at)
    INSERT INTO archive (claim_id, received_at, key_id, body)
    SELECT new.claim_id, new.received_at, c.key_id, c.body
    FROM new JOIN unnest($1::text[], $11::text[], $12::bytea[]) AS c (claim_id, key_id, body) USING (claim_id)
    WHERE c.body IS NOT NULL
    ON CONFLICT DO NOTHING  -- it was kept before, and its payment was discarded
"""
_DROP = """
    WITH over AS (
        SELECT claim_id, row_number() OVER (PARTITION BY account, coalesce(session_id, transaction_id, reference)
            ORDER BY received_at DESC, claim_id) > $3 AS it
        FROM kept JOIN (SELECT DISTINCT * FROM unnest($1::text[], $2::text[])) AS n (of, name)
            ON account = n.of AND coalesce(session_id, transaction_id, reference) = n.name
        WHERE NOT signed
        UNION ALL
        SELECT k.claim_id, true FROM (SELECT DISTINCT unnest($1::text[])) AS a (of), LATERAL (
            SELECT claim_id FROM kept WHERE account = a.of AND NOT signed
            ORDER BY received_at DESC, claim_id OFFSET $4) AS k),
    free AS (
        SELECT claim_id FROM kept WHERE claim_id IN (SELECT claim_id FROM over WHERE it) FOR UPDATE SKIP LOCKED),
    gone AS (DELETE FROM kept k USING free WHERE k.claim_id = free.claim_id RETURNING k.provider)
    SELECT provider, count(*) AS gone FROM gone GROUP BY provider
"""
_NAMED = """
    WITH near AS (
        SELECT claim_id, strength, signed OR row_number() OVER (
            PARTITION BY strength, signed ORDER BY received_at, claim_id) <= $6 AS early
        FROM (SELECT 1 AS strength, * FROM kept WHERE account = $1 AND session_id = $2
            UNION ALL SELECT 2, * FROM kept WHERE account = $1 AND transaction_id = $3
            UNION ALL SELECT 3, * FROM kept WHERE account = $1 AND reference = $4) AS match
        WHERE (signed OR NOT $5) AND received_at > clock_timestamp() - $7::interval),
    named AS (SELECT claim_id, min(strength) AS strength, bool_or(early) AS chosen FROM near GROUP BY claim_id)
    SELECT claim_id, chosen FROM kept JOIN named USING (claim_id)
    ORDER BY strength, received_at, claim_id FOR UPDATE OF kept SKIP LOCKED
"""
_DROP_REST = "DELETE FROM kept WHERE claim_id = ANY($1) RETURNING provider"

# The worker that kept a claim may still have the claim's row of `queue` in hand, and deletes that row when it
# acknowledges. So the claim is queued under another key. Both rows bring the same claim, which is admitted once.
_QUEUE = """
    WITH chosen AS (DELETE FROM kept WHERE claim_id = ANY($1) RETURNING claim_id, provider, body)
    INSERT INTO queue (claim_id, provider, body)
    SELECT claim_id || '.' || gen_random_uuid(), provider, body FROM chosen ORDER BY array_position($1, claim_id)
    RETURNING provider
"""

_FORGET = """
    DELETE FROM kept WHERE claim_id = ANY(ARRAY(
        SELECT k.claim_id FROM kept k WHERE k.received_at < now() - $1::interval
        ORDER BY k.received_at LIMIT $2))
"""


class QueuedEarlyClaims(Struct, frozen=True):
    """`queued`: gateways with claims for their workers. `dropped`: how many claims were deleted instead, by gateway."""

    queued: frozenset[str] = frozenset()
    dropped: Mapping[str, int] = MappingProxyType({})


async def wait_for_turns(connection: Connection[asyncpg.Record], claims: Iterable[Claim]) -> None:
    """Wait until no other transaction keeps claims of these accounts or records a payment with one of their ids.

    Until this transaction ends, the others wait for it in turn.
    """
    claims = list(claims)
    turns = {(ACCOUNT_TURN, claim.account) for claim in claims}
    turns |= {(ID_TURN, turn) for claim in claims for turn in _turns(claim.account, *names(claim))}
    await _wait_for(connection, turns)


async def keep_early_claims(
    connection: Connection[asyncpg.Record], cipher: ArchiveCipher, claims: Sequence[Claim]
) -> Mapping[str, int]:
    """Keep the claims, each once, and archive signed claims. Returns how many unsigned claims were dropped, by gateway.

    Only the newest PER_ID unsigned claims of an id are kept, and the newest PER_ACCOUNT of an account. A claim counts
    under the strongest of its ids, so claims that name only a reference do not push out a claim that names the session.
    """
    if not claims:
        return {}
    rows = [
        (
            claim.id,
            claim.account,
            claim.provider,
            is_signed(claim),
            *names(claim),
            event(claim),
            claim.received_at,
            msgspec.json.encode(as_kept(claim)),
            *(to_archive(cipher, claim) if is_signed(claim) else (None, None)),
        )
        for claim in sorted(claims, key=lambda claim: (claim.account, claim.event_id or "", claim.id))
    ]
    await connection.execute(_KEEP, *(list(column) for column in zip(*rows, strict=True)))
    unsigned = [claim for claim in claims if not is_signed(claim)]
    if not unsigned:
        return {}
    dropped = await connection.fetch(
        _DROP,
        [claim.account for claim in unsigned],
        [next(name for name in names(claim) if name is not None) for claim in unsigned],
        PER_ID,
        PER_ACCOUNT,
    )
    return {row["provider"]: row["gone"] for row in dropped}


async def queue_early_claims(
    connection: Connection[asyncpg.Record], payment: Payment, *, signed_only: bool
) -> QueuedEarlyClaims:
    """Queue the kept claims that name an id of this payment; claims that name its strongest id come first.

    Of the unsigned claims of each id only the oldest KEPT_CANDIDATES are queued, so a later guess of a reference
    displaces none of them. The rest is deleted. If no claim was kept, the queue is not touched.
    """
    account, named = payment.account, (payment.session_id, payment.transaction_id, payment.reference)
    await _wait_for(connection, {(ID_TURN, turn) for turn in _turns(account, *named)})
    rows = await connection.fetch(_NAMED, account, *named, signed_only, KEPT_CANDIDATES, KEPT_FOR)
    if not rows:
        return QueuedEarlyClaims()
    queued = await connection.fetch(_QUEUE, [row["claim_id"] for row in rows if row["chosen"]])
    dropped = await connection.fetch(_DROP_REST, [row["claim_id"] for row in rows if not row["chosen"]])
    return QueuedEarlyClaims(frozenset(row["provider"] for row in queued), Counter(row["provider"] for row in dropped))


async def forget_kept(database: Database, most: int, kept_for: timedelta = KEPT_FOR) -> int:
    """Delete up to `most` kept claims that are older than `kept_for`. Returns how many."""
    return rows_changed(await database.execute(_FORGET, kept_for, most))


def _turns(account: str, *named: str | None) -> list[str]:
    """The name of each id's lock. A session, a transaction and a reference of the same text have different names."""
    return [f"{account} {kind} {name}" for kind, name in enumerate(named) if name is not None]


async def _wait_for(connection: Connection[asyncpg.Record], turns: Iterable[tuple[int, str]]) -> None:
    """Take these locks in one order, so that no two transactions deadlock. Names with equal checksums share a lock."""
    numbered = [(kind, crc32(name.encode()) - 2**31) for kind, name in turns]
    await connection.execute(_TURNS, [kind for kind, _ in numbered], [number for _, number in numbered])
