"""Writing what was decided on a reading: where the payment still stands as it was read, with its claims and its keys.

The one thing to get wrong: half of a payment. Keys and claims are taken before all of them are known to be free, so
where one is not, everything is undone, and the others are written again without that payment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from consumers.ledger import Keys, Looked, Sight, Write, Written
from schemas.callbacks import Claim
from schemas.payments import Owners
from worker.postgres.batch import PostgresBatch
from worker.postgres.database import Connection
from worker.postgres.looking import look
from worker.sealing import Seal

_LOCK = """
    SELECT id, revision, next_check_at, locked_at,
        (SELECT since FROM servers) AS since, (SELECT name = server_name() FROM servers) AS known
    FROM lock_revisions($1)
"""

NOBODY = Owners()


class Standing(PostgresBatch):
    """A transaction over the payments of some writes, all locked. `standing` are those that nobody wrote since."""

    standing: Sequence[Write]


class Tried(Struct, frozen=True, kw_only=True):
    """What came of one try. `done`: all that stood is written. Where none are, nothing may be committed.

    `left` lost nothing, and are to be tried again by themselves. `taken` have keys of others.
    """

    done: frozenset[str] = frozenset()
    left: Sequence[Write] = ()
    taken: dict[str, Owners] = {}


async def open_standing(connection: Connection[asyncpg.Record], writes: Sequence[Write], seal: Seal) -> Standing:
    """Lock the payments in the order of their ids, and leave out those that were written since they were read.

    Their `next_check_at` is taken as it is now: the sweep moves it without a revision.
    """
    now, rows = await _lock(connection, [write.change.payment.id for write in writes])
    found = {row["id"]: row for row in rows}
    assert len({write.change.payment.id for write in writes}) == len(writes), "each payment once"
    standing, cases = list[Write](), {}
    for write in sorted(writes, key=lambda write: write.change.payment.id):
        case, row = write.sight.case, found.get(write.change.payment.id)
        if row is not None and _stands(write.sight, row):
            standing.append(write)
            payment = replace(case.payment, next_check_at=row["next_check_at"])
            cases[payment.id] = replace(case, payment=payment)
    batch = Standing(connection, now, cases, seal)
    batch.standing = standing
    return batch


def _stands(sight: Sight, row: asyncpg.Record) -> bool:
    """Whether the payment is as it was read, and by the server that it was read from: another counts anew."""
    return bool(row["known"]) and (row["revision"], row["since"]) == (sight.revision, sight.since)


async def put(batch: Standing) -> Tried:
    """Write what stands in this batch, all of it or so that it has to be undone."""
    writes = batch.standing
    if not writes:
        return Tried()
    claims = [(claim, write.change.payment.id) for write in writes for claim in write.claims]
    claims.sort(key=lambda one: (one[0].account, one[0].event_id or "", one[0].id))
    admitted = await batch.admit(claims)
    owners = await batch.reserve([_unowned(write) for write in writes])
    executing = [write.change.payment.id for write in writes if write.executes]
    begun = await batch.begin_executions(executing) if executing else frozenset[str]()
    told = {write.change.payment.id: write.lost(owners[write.change.payment.id]) for write in writes}
    told = {payment_id: them for payment_id, them in told.items() if them != NOBODY}
    lost = {payment_id for claim, payment_id in claims if admitted[claim.id] != "new"}
    lost |= set(executing) - begun
    if told or lost:
        taken = {payment_id: them for payment_id, them in _by_others(writes, owners, told).items() if them != NOBODY}
        out = lost | taken.keys() or told.keys()  # where nothing else is wrong, one write of the batch has the key
        return Tried(left=[write for write in writes if write.change.payment.id not in out], taken=taken)
    await batch.store([write.change for write in writes])
    return Tried(done=frozenset(batch.cases))


def _unowned(write: Write) -> Keys:
    """The keys of this write that the payment does not have yet. An order may be lost, and is always asked for."""
    keys, sight = write.wanted, write.sight
    return replace(keys, sessions=keys.sessions - sight.sessions, transactions=keys.transactions - sight.transactions)


def _by_others(writes: Sequence[Write], owners: Mapping[str, Owners], told: Mapping[str, Owners]) -> dict[str, Owners]:
    """Which of the keys that were told are others' for certain, and not only taken by another write of this batch.

    That one is about to be undone, and then may not come to it.
    """
    sessions, transactions, orders = set[tuple[str, str]](), set[tuple[str, str]](), set[tuple[str, str | None]]()
    for write in writes:
        keys, others = write.wanted, owners[write.change.payment.id]
        sessions |= {(keys.account, name) for name in keys.sessions - others.sessions}
        transactions |= {(keys.account, name) for name in keys.transactions - others.transactions}
        if not (others.order or keys.returned):
            orders.add((keys.merchant, keys.order_ref))
    of = {write.change.payment.id: write.keys for write in writes}
    return {
        payment_id: replace(
            them,
            sessions=frozenset(name for name in them.sessions if (of[payment_id].account, name) not in sessions),
            transactions=frozenset(
                name for name in them.transactions if (of[payment_id].account, name) not in transactions
            ),
            order=them.order and (of[payment_id].merchant, of[payment_id].order_ref) not in orders,
        )
        for payment_id, them in told.items()
    }


class PostgresArbiter(PostgresBatch):
    """See consumers.ledger.Arbiter. `written` are committed with this transaction."""

    def __init__(
        self, connection: Connection[asyncpg.Record], now: datetime, payment_ids: Collection[str], seal: Seal
    ) -> None:
        super().__init__(connection, now, {}, seal)
        self.written: list[PostgresBatch] = []
        self._payment_ids = payment_ids

    async def look(self, claims: Sequence[Claim]) -> Looked:
        return await look(self._connection, claims, self._payment_ids)

    async def write(self, writes: Sequence[Write]) -> Written:
        done, left, taken = frozenset[str](), writes, dict[str, Owners]()
        while left:
            tried = await self._put(left)
            done, left, taken = tried.done, tried.left, taken | tried.taken
        return Written(done=done, taken=taken)

    async def _put(self, writes: Sequence[Write]) -> Tried:
        step = self._connection.transaction()
        await step.start()
        batch = await open_standing(self._connection, writes, self._seal)
        tried = await put(batch)
        if tried.done:
            await step.commit()
            self.written.append(batch)
        else:
            await step.rollback()
        return tried


async def open_arbiter(
    connection: Connection[asyncpg.Record], payment_ids: Sequence[str], seal: Seal
) -> PostgresArbiter:
    now, _ = await _lock(connection, payment_ids)
    return PostgresArbiter(connection, now, payment_ids, seal)


async def _lock(
    connection: Connection[asyncpg.Record], payment_ids: Sequence[str]
) -> tuple[datetime, list[asyncpg.Record]]:
    rows = await connection.fetch(_LOCK, payment_ids)
    return rows[-1]["locked_at"] if rows else await connection.fetchval("SELECT clock_timestamp()"), rows
