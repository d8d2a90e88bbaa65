"""Proposals as they are read: one, those that wait, those of a payment, and the outcome that a person waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta

import asyncpg
import msgspec

from schemas.payments import Payment
from schemas.proposals import Proposal
from worker.postgres.database import Reads
from worker.postgres.ledger.rows import PAYMENT, payment_of

OUTCOME_WAIT = timedelta(seconds=2)
"""How long a person waits for the outcome of what they approved; it comes afterwards where this is not enough."""
LOOK_AGAIN_SECONDS = 0.1
AT_ONCE = 100
MOST_LISTED = 500

COLUMNS = ", ".join(Proposal.__struct_fields__)
_READ = f"SELECT {COLUMNS} FROM proposals WHERE id = $1"  # noqa: S608 - our own names
_APPROVED = f"""
    SELECT {COLUMNS} FROM proposals WHERE state IN ('open', 'approved') AND state = 'approved'
    ORDER BY decided_at, id LIMIT {AT_ONCE}
"""  # noqa: S608 - our own names

_WAITING = f"""
    SELECT {COLUMNS} FROM proposals WHERE state IN ('open', 'approved') AND merchant = ANY($1)
        AND ($2::text IS NULL OR payment_id = $2)
        AND ($3::timestamptz IS NULL OR (proposed_at, id) > ($3, $4))
    ORDER BY proposed_at, id LIMIT {MOST_LISTED}
"""  # noqa: S608 - our own names
_WAITING_OF = f"""
    SELECT {COLUMNS} FROM proposals WHERE state IN ('open', 'approved') AND payment_id = ANY($1)
"""  # noqa: S608 - our own names
_PAYMENTS = f"SELECT {PAYMENT} FROM payments p WHERE id = ANY($1)"  # noqa: S608 - our own names
_OF_PAYMENT = f"""
    SELECT {COLUMNS} FROM proposals WHERE payment_id = $1 ORDER BY proposed_at DESC, id LIMIT {AT_ONCE}
"""  # noqa: S608 - our own names


async def outcome_of(database: Reads, proposal_id: str, wait: timedelta = OUTCOME_WAIT) -> Proposal | None:
    """The proposal once it has ended, or as it is after `wait`. None where there is no such proposal."""
    with suppress(TimeoutError):
        async with asyncio.timeout(wait.total_seconds()):
            while True:
                proposal = await read_proposal(database, proposal_id)
                if proposal is None or proposal.state.ended:
                    return proposal
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return await read_proposal(database, proposal_id)


async def read_proposal(database: Reads, proposal_id: str) -> Proposal | None:
    rows = await database.fetch(_READ, proposal_id)
    return proposal_of(rows[0]) if rows else None


async def waiting_proposals(
    database: Reads,
    merchants: Collection[str],
    payment_id: str | None = None,
    after: tuple[datetime, str] | None = None,
) -> list[Proposal]:
    """The proposals of these merchants that wait for a decision or to be applied, the oldest first.

    `after`: the time and the id of the proposal behind which a page begins. At most MOST_LISTED.
    """
    rows = await database.fetch(_WAITING, sorted(merchants), payment_id, *(after or (None, None)))
    return [proposal_of(row) for row in rows]


async def proposals_about(database: Reads, payment_ids: Collection[str]) -> dict[str, Proposal]:
    """The proposal that waits about each of these payments, by the payment's id."""
    found = [proposal_of(row) for row in await database.fetch(_WAITING_OF, list(payment_ids))]
    return {one.payment_id: one for one in found}


async def payments_of(database: Reads, proposals: Collection[Proposal]) -> dict[str, Payment]:
    """The payments of these proposals, by id."""
    rows = await database.fetch(_PAYMENTS, [one.payment_id for one in proposals])
    return {row["id"]: payment_of(row) for row in rows}


async def proposals_of(database: Reads, payment_id: str) -> list[Proposal]:
    """Every proposal about the payment, the newest first."""
    return [proposal_of(row) for row in await database.fetch(_OF_PAYMENT, payment_id)]


async def approved_proposals(database: Reads) -> list[Proposal]:
    """The proposals that are approved and not yet applied, at most AT_ONCE, the first approved first."""
    return [proposal_of(row) for row in await database.fetch(_APPROVED)]


def proposal_of(row: asyncpg.Record | None) -> Proposal:
    assert row is not None, "it is locked, or was just made"
    return msgspec.convert(dict(row), Proposal)
