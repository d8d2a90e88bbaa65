"""One transaction of the ledger in Postgres: a batch of payments, locked in the order of their ids.

The order of locks is payments by id, then a proposal, references, then sessions, transactions and orders, each by
its key. Another order could deadlock. Nothing here decides; the unique keys and the triggers in `schemas/sql` repeat
the rules of money.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from consumers.ports.writes import Keys
from schemas.answers import Fact
from schemas.audit import AuditRecord
from schemas.changes import Change
from schemas.payments import Case, Payment, Resolution, TakenKeys
from schemas.proposals import Proposal, ProposalState
from worker.postgres.audit_rows import add_record
from worker.postgres.database import Connection
from worker.postgres.ledger.kept_claims import queue_early_claims
from worker.postgres.ledger.news import news_of
from worker.postgres.ledger.reserve import reserve
from worker.postgres.ledger.rows import PAYMENT, payment_of
from worker.postgres.ledger.store import store
from worker.postgres.ledger.unexpected_rows import announce
from worker.postgres.primary import meet
from worker.postgres.proposal_rows import end_approved, lock_approved
from worker.postgres.reads.snapshots import read_taken
from worker.postgres.wakeups import Wakeup

_SERVER = "SELECT since, version_floor, name = server_name() AS known, clock_timestamp() AS now FROM servers"
_COLUMNS = PAYMENT.replace("p.", "(l.payment).")
_LOCK = f"""
    SELECT {_COLUMNS}, l.known_facts, l.known_resolutions, l.locked_at, s.since, s.version_floor, s.known
    FROM lock_payments($1) AS l LEFT JOIN ({_SERVER}) AS s ON true
"""  # noqa: S608 - our own words
_REFERENCED = """
    SELECT account, reference FROM unnest($1::text[], $2::text[]) AS n (account, reference)
    WHERE EXISTS (SELECT FROM payments p WHERE (p.account, p.reference) = (n.account, n.reference))
        OR EXISTS (SELECT FROM past_payments x WHERE (x.account, x.reference) = (n.account, n.reference))
"""


class CommittedBatch(Struct, frozen=True, kw_only=True):
    """The committed changes of a batch, each with its payment as it was before, and the wakeup that tells of them.

    `since`: see consumers.ports.readings.Reading. `dropped` is how many early claims were given up, by gateway.
    """

    changes: Sequence[tuple[Payment, Change]]
    since: datetime | None
    wakeup: Wakeup | None
    dropped: Mapping[str, int]


class BatchEnd(Struct, frozen=True):
    """`commit` commits the transaction of a batch. `tell` is called afterwards, with its changes."""

    commit: Callable[[], Awaitable[None]]
    tell: Callable[[CommittedBatch], None]


class BatchServer(Struct, frozen=True):
    """The database server of a batch, at `now` by its clock. The rest: see worker.postgres.primary.MetServer."""

    now: datetime
    since: datetime | None
    version_floor: int


class PostgresBatch:
    """One transaction; see consumers.ports.ledger.Batch."""

    def __init__(
        self,
        connection: Connection[asyncpg.Record],
        server: BatchServer,
        cases: Mapping[str, Case],
        end: BatchEnd,
    ) -> None:
        self.now, self._since = server.now, server.since
        self.cases = cases
        self._connection, self._end = connection, end
        self._changes: Sequence[tuple[Payment, Change]] = ()
        self._queued: frozenset[str] = frozenset()
        self._dropped = Counter[str]()

    async def reserve(self, keys: Sequence[Keys]) -> Mapping[str, TakenKeys]:
        return await reserve(self._connection, keys)

    async def adopt_row(self, payment: Payment, request: dict[str, Any], *, proposed: str) -> str | None:
        return await announce(self._connection, payment, request, proposed)

    async def queue_early_claims(self, payment: Payment, *, signed_only: bool) -> None:
        early = await queue_early_claims(self._connection, payment, signed_only=signed_only)
        self._queued |= early.queued
        self._dropped.update(early.dropped)

    async def store(self, changes: Sequence[Change]) -> None:
        self._changes = [(self.cases[change.payment.id].payment, change) for change in changes]
        if changes:
            await store(self._connection, self._changes)

    async def audit(self, record: AuditRecord) -> None:
        await add_record(self._connection, record)

    async def taken(self, case: Case, named: str | None) -> TakenKeys:
        return await read_taken(self._connection, case, named)

    async def approved_proposal(self, proposal_id: str) -> Proposal | None:
        return await lock_approved(self._connection, proposal_id)

    async def end_proposal(
        self, proposal: Proposal, state: ProposalState, code: str | None = None, words: str | None = None
    ) -> None:
        await end_approved(self._connection, proposal, state, code, words)

    async def commit(self) -> None:
        await self._end.commit()
        wakeup = news_of([change for _, change in self._changes], self.now, self._queued)
        self._end.tell(CommittedBatch(changes=self._changes, since=self._since, wakeup=wakeup, dropped=self._dropped))


async def referenced(
    connection: Connection[asyncpg.Record], names: Collection[tuple[str, str]]
) -> frozenset[tuple[str, str]]:
    """Those of these pairs (account, reference) that a payment has, or had before its retention ended."""
    rows = await connection.fetch(_REFERENCED, [account for account, _ in names], [name for _, name in names])
    return frozenset((row["account"], row["reference"]) for row in rows)


async def open_batch(connection: Connection[asyncpg.Record], payment_ids: list[str], end: BatchEnd) -> PostgresBatch:
    """Lock these payments in the order of their ids, read them, and make the batch. Unknown ids are left out."""
    rows = await connection.fetch(_LOCK, payment_ids) if payment_ids else []
    if rows and not rows[0]["known"]:
        await meet(connection)
        rows = await connection.fetch(_LOCK, payment_ids)
    if rows:
        server = BatchServer(rows[0]["locked_at"], rows[0]["since"], rows[0]["version_floor"])
    else:
        server = await server_of(connection)
    cases = {
        row["id"]: Case(
            payment=payment_of(row),
            facts=tuple(msgspec.convert(row["known_facts"], list[Fact])),
            resolutions=tuple(msgspec.convert(row["known_resolutions"], list[Resolution])),
            version_floor=server.version_floor,
        )
        for row in rows
    }
    return PostgresBatch(connection, server, cases, end)


async def server_of(connection: Connection[asyncpg.Record]) -> BatchServer:
    """The server of this connection, which is noted in `servers` before anything is written on it."""
    row = await connection.fetchrow(_SERVER)
    if row is None or not row["known"]:
        await meet(connection)
        row = await connection.fetchrow(_SERVER)
    assert row is not None, "the server is noted"
    return BatchServer(row["now"], row["since"], row["version_floor"])
