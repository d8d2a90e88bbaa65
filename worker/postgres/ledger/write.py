"""Writing the decisions on readings: each payment with its claims and keys, if it still stands as it was read.

No payment is half written. The statement takes keys and claims before it knows that all of them are free. If a payment
cannot be written, it undoes everything, and the other payments are written again without that payment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from consumers.decide import NO_TAKEN_KEYS
from consumers.ports.readings import LookResult
from consumers.ports.writes import Keys, Write, WriteResult
from schemas.callbacks import Claim
from schemas.payments import TakenKeys
from worker.postgres.database import Connection
from worker.postgres.ledger.claims import claim_rows
from worker.postgres.ledger.look import look
from worker.postgres.ledger.reserve import attempts, keys_by_kind, taken_keys
from worker.postgres.ledger.store import storing
from worker.runtime.encryption import ArchiveCipher

_LOCK = "SELECT FROM lock_revisions($1)"
_WRITE = "SELECT write_payments($1, $2, $3, $4, $5)"


class Tried(Struct, frozen=True, kw_only=True):
    """The result of one try: either all of its writes are `done`, or nothing was changed.

    `left` are writes that lost nothing, and are to be tried again without the others. `taken` are the keys that belong
    to other payments, by payment id. `places` are the positions that events got, by event id.
    """

    done: Sequence[Write] = ()
    places: Mapping[str, int] = {}
    left: Sequence[Write] = ()
    taken: dict[str, TakenKeys] = {}


async def write_all(writes: Sequence[Write], put: Callable[[Sequence[Write]], Awaitable[Tried]]) -> WriteResult:
    """Write the payments that still stand as they were read. `put` tries some writes, and tells which to try again."""
    assert len({write.change.payment.id for write in writes}) == len(writes), "each payment once"
    done, left, taken = frozenset[str](), writes, dict[str, TakenKeys]()
    while left:
        tried = await put(left)
        done = frozenset(write.change.payment.id for write in tried.done)
        left, taken = tried.left, taken | tried.taken
    return WriteResult(done=done, taken=taken)


async def put(
    connection: Connection[asyncpg.Record],
    writes: Sequence[Write],
    cipher: ArchiveCipher,
    *,
    placing: bool = False,
    wakeups: Sequence[str] = (),
) -> Tried:
    """Write all of these or nothing, by one statement.

    `placing`: their events get their positions too, where they can. Only for a statement that is a transaction by
    itself. If an event got its position, the statement also sends `wakeups`.
    If it raises outside a transaction, everything may be written: perhaps only the server's answer was lost.
    """
    claims = [(claim, write.change.payment.id) for write in writes for claim in write.claims]
    claims.sort(key=lambda named: (named[0].account, named[0].event_id or "", named[0].id))
    came = claim_rows(cipher, claims)
    keys = [_unowned(write) for write in writes]
    stored = storing([(write.reading.case.payment, write.change) for write in writes])
    for row, write in zip(stored.doc["payments"], writes, strict=True):
        row |= {"revision": write.reading.revision, "since": write.reading.since}
    executing = attempts(write.change.payment for write in writes if write.executes)
    second = [write.change.payment.id for write in writes if write.keys.order_ref is None]
    parts = {"claims": came.rows, "keys": keys_by_kind(keys), "executing": executing, "second": second}
    doc = stored.doc | {part: rows for part, rows in parts.items() if rows}
    said = await connection.fetchval(_WRITE, doc, came.callbacks, stored.bodies, wakeups, placing)
    return Tried(done=writes, places=said["places"]) if "places" in said else _without(writes, claims, keys, said)


def _without(
    writes: Sequence[Write], claims: Sequence[tuple[Claim, str]], keys: Sequence[Keys], against: dict[str, Any]
) -> Tried:
    """The writes to try again, and the keys that are taken. `against`: why the statement has written nothing."""
    lost = set(against.get("stale", ())) | set(against.get("executing", ()))
    lost |= {payment_id for claim, payment_id in claims if claim.id in against.get("claims", ())}
    others = taken_keys(keys, against.get("keys"))
    told = {write.change.payment.id: write.lost(others[write.change.payment.id]) for write in writes}
    told = {payment_id: them for payment_id, them in told.items() if them != NO_TAKEN_KEYS}
    taken = {payment_id: them for payment_id, them in _by_others(writes, others, told).items() if them != NO_TAKEN_KEYS}
    # If neither is so, two writes of this batch want the same key, and the second write is left out.
    out = lost | taken.keys() or told.keys()
    assert out, "a refused statement names at least one of its writes"
    return Tried(left=[write for write in writes if write.change.payment.id not in out], taken=taken)


def _unowned(write: Write) -> Keys:
    """The keys of this write that the payment does not have yet, and always its order, which it may have let go."""
    keys, reading = write.wanted, write.reading
    return replace(
        keys, sessions=keys.sessions - reading.sessions, transactions=keys.transactions - reading.transactions
    )


def _by_others(
    writes: Sequence[Write], owners: Mapping[str, TakenKeys], told: Mapping[str, TakenKeys]
) -> dict[str, TakenKeys]:
    """Those of the keys in `told` that certainly belong to payments outside this batch.

    A key that another write of this batch took is left out: that write is undone, and may not be tried again.
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


class PostgresLockedLedger:
    """See consumers.ports.ledger.LockedLedger."""

    def __init__(
        self, connection: Connection[asyncpg.Record], payment_ids: Collection[str], cipher: ArchiveCipher
    ) -> None:
        self._connection, self._payment_ids, self._cipher = connection, payment_ids, cipher
        self._written: list[Write] = []

    @property
    def written(self) -> Sequence[Write]:
        """The writes so far in this transaction."""
        return self._written

    async def look(self, claims: Sequence[Claim]) -> LookResult:
        return await look(self._connection, claims, self._payment_ids)

    async def write(self, writes: Sequence[Write]) -> WriteResult:
        return await write_all(writes, self._put)

    async def _put(self, writes: Sequence[Write]) -> Tried:
        tried = await put(self._connection, writes, self._cipher)
        self._written.extend(tried.done)
        return tried


async def open_locked(
    connection: Connection[asyncpg.Record], payment_ids: Sequence[str], cipher: ArchiveCipher
) -> PostgresLockedLedger:
    """Lock these payments until the transaction ends, in the order of their ids."""
    await connection.execute(_LOCK, payment_ids)
    return PostgresLockedLedger(connection, payment_ids, cipher)
