"""Turns to ask about a payment: locks of one session of this process, which end with the process.

One more lock of the session tells that the process lives; the claims that it has in hand name that lock.

The one thing to get wrong: a lock of our own. A session may take the same lock again and again, so this process's own
set of payments decides first. A turn is no fence either: it only spares gateways a question.
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
"""A turn that is given back is unlocked together with the next turns that are taken, or after so long."""

SAME_SECONDS = 300.0
"""A turn that was not looked at for longer counts as taken from now on: it may have been free in between."""

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

    A turn that another process holds for `status_lease` is ours all the same, without a lock. That is enough
    to ask for a status, and nothing that an Execute may rest on. A session that breaks ends no question of this
    process; the next session locks their turns again, where no other process has taken them.
    """

    def __init__(self, database: Database, ticking: Callable[[], float] = time.monotonic) -> None:
        self._database, self._ticking = database, ticking
        self._session: asyncpg.Connection[asyncpg.Record] | None = None
        self._speaking = asyncio.Lock()
        self._mine = set[str]()
        self._locked = set[str]()
        """What the session has locked: turns of ours, and turns given back that are not unlocked yet."""
        self._others: dict[str, tuple[float, float]] = {}
        """The turns that other processes were seen to hold: since when, and when last."""
        self._giving_back: asyncio.Task[None] | None = None
        self._name = ""
        """A name that stands for the session among our turns, and is new for each session."""

    async def holder(self) -> int:
        """The number of a lock that the session has until it ends. Raises DatabaseUnavailable without one.

        A new session has a new number. So claims that were taken under the last session are free for any process.
        """
        await self._taken({self._name})
        return lock_of(self._name)

    async def take(self, payment_ids: Collection[str]) -> frozenset[str]:
        wanted = set(payment_ids) - self._mine
        if not wanted:
            return frozenset()
        self._mine |= wanted  # before anything is awaited: two questions of this process never get one turn
        mine = set[str]()
        try:
            mine = await self._taken(wanted)
        finally:
            self._mine -= wanted - mine
            self._give_back_soon()
        return frozenset(mine)

    def give_back(self, payment_ids: Iterable[str]) -> None:
        self._mine.difference_update(payment_ids)
        self._give_back_soon()

    async def close(self) -> None:
        """Give everything back and end the session."""
        if self._giving_back is not None:
            self._giving_back.cancel()
            await asyncio.gather(self._giving_back, return_exceptions=True)
        session, self._session = self._session, None
        self._locked.clear()
        if session is not None:
            with suppress(DatabaseUnavailable), translated():
                await session.close(timeout=CLOSE_SECONDS)

    async def _taken(self, wanted: Collection[str]) -> set[str]:
        """Which of these turns are ours now."""
        async with self._speaking:
            if self._session is not None and self._session.is_closed():
                self._broken()
            if not self._locked.issuperset(wanted):
                known = self._session is not None
                try:
                    await self._lock()
                except DatabaseUnavailable:
                    if not known:
                        raise
                    await self._lock()  # the session had broken, and a new one may do
        now = self._ticking()
        return {one for one in wanted if one in self._locked or self._overdue(one, now)}

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
        rows = await self._say(_TAKE, asked, _locks(asked), _locks(gone))
        now = self._ticking()
        self._others = {one: seen for one, seen in self._others.items() if now - seen[1] < SAME_SECONDS}
        for row in rows:
            if row["mine"]:
                self._locked.add(row["id"])
                self._others.pop(row["id"], None)
            else:
                since, _ = self._others.get(row["id"], (now, now))
                self._others[row["id"]] = since, now

    async def _say(self, sql: str, *values: Sequence[object]) -> list[asyncpg.Record]:
        assert self._session is not None, "it was made"
        try:
            with translated():
                return await self._session.fetch(sql, *values, timeout=STATEMENT_SECONDS)
        except BaseException:  # it is not known what is locked now
            self._broken()
            raise

    def _broken(self) -> None:
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
            async with self._speaking:
                gone = self._locked - self._mine
                if gone and self._session is not None:
                    self._locked -= gone
                    with suppress(DatabaseUnavailable):  # then the session has ended, with all its locks
                        await self._say(_GIVE_BACK, _locks(gone))


def _locks(payment_ids: Iterable[str]) -> list[int]:
    return [lock_of(one) for one in payment_ids]


def lock_of(payment_id: str) -> int:
    """The number of a payment's lock. It is negative, and our fixed locks have positive numbers."""
    digest = blake2b(payment_id.encode(), digest_size=8, key=b"payproof turns").digest()
    return int.from_bytes(digest, "big", signed=True) | -(2**63)
