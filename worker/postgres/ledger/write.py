"""Writing what was decided on a reading: where the payment still stands as it was read, with its claims and its keys.

The one thing to get wrong: half of a payment. The statement takes keys and claims before it knows that all of them are
free. Where one is not, it undoes everything, and the other payments are written again without that one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from consumers.decide import NO_TAKEN_KEYS
from consumers.ports.ledger import Keys, LookResult, Write, WriteResult
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
    """What came of one try: either all of it is `done`, or nothing was changed.

    `left` are writes that lost nothing, and are to be tried again without the others. `taken` are the keys that belong
    to other payments, by payment id. `places` are the places that events got, by event id.
    """

    done: Sequence[Write] = ()
    places: Mapping[str, int] = {}
    left: Sequence[Write] = ()
    taken: dict[str, TakenKeys] = {}


async def write_all(writes: Sequence[Write], put: Callable[[Sequence[Write]], Awaitable[Tried]]) -> WriteResult:
    """Write all that stand as they were read. `put` tries some; those that lost are left out of the next try."""
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

    `placing`: their events get their places too, where they can. Only for a statement that is a transaction by itself.
    Where an event got its place, the statement also sends `wakeups`.
    Where it raises outside a transaction, all may be written: perhaps only the answer of the server was lost.
    """
    claims = [(claim, write.change.payment.id) for write in writes for claim in write.claims]
    claims.sort(key=lambda one: (one[0].account, one[0].event_id or "", one[0].id))
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
    """The writes that are left, and the keys that are taken, by what the statement said stood `against` them."""
    lost = set(against.get("stale", ())) | set(against.get("executing", ()))
    lost |= {payment_id for claim, payment_id in claims if claim.id in against.get("claims", ())}
    others = taken_keys(keys, against.get("keys"))
    told = {write.change.payment.id: write.lost(others[write.change.payment.id]) for write in writes}
    told = {payment_id: them for payment_id, them in told.items() if them != NO_TAKEN_KEYS}
    taken = {payment_id: them for payment_id, them in _by_others(writes, others, told).items() if them != NO_TAKEN_KEYS}
    # With none of these, two writes of this batch want one key, and the second one is left out.
    out = lost | taken.keys() or told.keys()
    assert out, "what stood against them stood against one of them"
    return Tried(left=[write for write in writes if write.change.payment.id not in out], taken=taken)


def _unowned(write: Write) -> Keys:
    """The keys of this write that the payment does not have yet; its order always, since it may have been let go."""
    keys, reading = write.wanted, write.reading
    return replace(
        keys, sessions=keys.sessions - reading.sessions, transactions=keys.transactions - reading.transactions
    )


def _by_others(
    writes: Sequence[Write], owners: Mapping[str, TakenKeys], told: Mapping[str, TakenKeys]
) -> dict[str, TakenKeys]:
    """Which of the keys in `told` belong to payments outside this batch for certain.

    A key that another write of this batch took is not certain: that write is undone with the batch, and may not be
    tried again.
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
        """What is written so far in this transaction."""
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
    """Lock these payments, in the order of their ids, until the transaction ends."""
    await connection.execute(_LOCK, payment_ids)
    return PostgresLockedLedger(connection, payment_ids, cipher)
