"""Turns to ask about a payment: locks of one session of this process, which end with the process.

One more lock of the session shows that the process lives; the claims that it has in hand name that lock.

Two tasks of one process would both get the same lock, because they share the session. So this process's own set of
payments decides first. Correctness does not depend on turns: they only avoid asking a gateway twice.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b

import asyncpg

from consumers.ports.unavailable import DatabaseUnavailable
from consumers.timing import TIMING
from worker.postgres.database import Database
from worker.postgres.driver_errors import translated

LAZY_SECONDS = 0.05
"""A turn that is given back is unlocked with the next turns that are taken, or after so long by itself."""

SAME_SECONDS = 300.0
"""If a turn of another process was not looked at for so long, it counts as newly held: it may have been free."""

STATEMENT_SECONDS = 5.0
CLOSE_SECONDS = 1.0

_TAKE = """
    SELECT k.id, pg_try_advisory_lock(k.lock) AS mine,
        (SELECT count(pg_advisory_unlock(gone.lock)) FROM unnest($3::bigint[]) AS gone (lock)) AS given_back
    FROM unnest($1::text[], $2::bigint[]) AS k (id, lock)
"""
_GIVE_BACK = "SELECT count(pg_advisory_unlock(gone.lock)) FROM unnest($1::bigint[]) AS gone (lock)"


class PostgresTurns:
    """See consumers.ports.ledger.Turns. `take` raises DatabaseUnavailable where there is no session to be had.

    A turn that another process has held for `status_lease` becomes ours too, without a lock. That is enough for asking
    a status; an Execute does not rely on it. If the session breaks, the questions of this process go on. The next
    session locks their turns again, unless another process has taken them.
    """

    def __init__(self, database: Database, ticking: Callable[[], float] = time.monotonic) -> None:
        self._database, self._ticking = database, ticking
        self._session: asyncpg.Connection[asyncpg.Record] | None = None
        self._session_in_use = asyncio.Lock()
        self._mine = set[str]()
        self._locked = set[str]()
        """The turns that the session has locked: our turns, and turns given back that are not unlocked yet."""
        self._others: dict[str, tuple[float, float]] = {}
        """Turns that other processes were seen to hold: when first, and when last, in seconds of `ticking`."""
        self._giving_back: asyncio.Task[None] | None = None
        self._name = ""
        """The session's own entry among our turns, new for each session. Its lock is `holder`."""

    async def holder(self) -> int:
        """The number of a lock that the session has until it ends. Raises DatabaseUnavailable without one.

        A new session has a new number. So claims that were taken under the last session become free for any process.
        """
        await self._lock_turns({self._name})
        return lock_of(self._name)

    async def take(self, payment_ids: Collection[str]) -> frozenset[str]:
        wanted = set(payment_ids) - self._mine
        if not wanted:
            return frozenset()
        self._mine |= wanted  # before any await, so that two questions of this process never get the same turn
        mine = set[str]()
        try:
            mine = await self._lock_turns(wanted)
        finally:
            self._mine -= wanted - mine
            self._give_back_soon()
        return frozenset(mine)

    def give_back(self, payment_ids: Iterable[str]) -> None:
        self._mine.difference_update(payment_ids)
        self._give_back_soon()

    async def close(self) -> None:
        """Give all turns back and end the session."""
        if self._giving_back is not None:
            self._giving_back.cancel()
            await asyncio.gather(self._giving_back, return_exceptions=True)
        session, self._session = self._session, None
        self._locked.clear()
        if session is not None:
            with suppress(DatabaseUnavailable), translated():
                await session.close(timeout=CLOSE_SECONDS)

    async def _lock_turns(self, wanted: Collection[str]) -> set[str]:
        """Lock these turns, in a new session if the old one broke. Returns which of them are ours now."""
        async with self._session_in_use:
            if self._session is not None and self._session.is_closed():
                self._drop_session()
            if not self._locked.issuperset(wanted):
                known = self._session is not None
                try:
                    await self._lock()
                except DatabaseUnavailable:
                    if not known:
                        raise
                    await self._lock()  # the session had broken; a new session may succeed
                self._give_back_soon()  # a turn that was given back meanwhile may have been locked
        now = self._ticking()
        return {name for name in wanted if name in self._locked or self._overdue(name, now)}

    def _overdue(self, payment_id: str, now: float) -> bool:
        since, _ = self._others.get(payment_id, (now, now))
        return now - since >= TIMING.status_lease.total_seconds()

    async def _lock(self) -> None:
        """Lock the turns that are ours and not locked yet, and unlock those that were given back."""
        if self._session is None:
            self._session = await self._database.session("turns")
            self._mine.discard(self._name)
            self._name = secrets.token_hex(16)
            self._mine.add(self._name)
        asked, gone = sorted(self._mine - self._locked), self._locked - self._mine
        self._locked -= gone
        rows = await self._execute(_TAKE, asked, _locks(asked), _locks(gone))
        now = self._ticking()
        self._others = {name: seen for name, seen in self._others.items() if now - seen[1] < SAME_SECONDS}
        for row in rows:
            if row["mine"]:
                self._locked.add(row["id"])
                self._others.pop(row["id"], None)
            else:
                since, _ = self._others.get(row["id"], (now, now))
                self._others[row["id"]] = since, now

    async def _execute(self, sql: str, *values: Sequence[object]) -> list[asyncpg.Record]:
        assert self._session is not None, "it was made"
        try:
            with translated():
                return await self._session.fetch(sql, *values, timeout=STATEMENT_SECONDS)
        except BaseException:  # which turns are locked now is not known
            self._drop_session()
            raise

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.terminate()
        self._session = None
        self._locked.clear()

    def _give_back_soon(self) -> None:
        idle = self._giving_back is None or self._giving_back.done()
        if idle and not self._locked <= self._mine:
            self._giving_back = asyncio.create_task(self._give_back())

    async def _give_back(self) -> None:
        while not self._locked <= self._mine:
            await asyncio.sleep(LAZY_SECONDS)
            async with self._session_in_use:
                gone = self._locked - self._mine
                if gone and self._session is not None:
                    self._locked -= gone
                    with suppress(DatabaseUnavailable):  # then the session has ended, with all its locks
                        await self._execute(_GIVE_BACK, _locks(gone))


def _locks(payment_ids: Iterable[str]) -> list[int]:
    return [lock_of(payment_id) for payment_id in payment_ids]


def lock_of(payment_id: str) -> int:
    """The number of a payment's lock. It is negative; our fixed locks have positive numbers."""
    digest = blake2b(payment_id.encode(), digest_size=8, key=b"payproof turns").digest()
    return int.from_bytes(digest, "big", signed=True) | -(2**63)
