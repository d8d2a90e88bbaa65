"""The reads of shops: they take turns, over connections of their own.

So the dashboard of a shop delays no buyer, no webhook and no other shop. A merchant has one read of each kind at a
time, and its next ones wait for WAIT_SECONDS at most. All lists together leave one connection free for events, because
shops learn by events of their money. The server ends a statement after READ_SECONDS: see `Database.reading`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

import asyncpg
from msgspec import Struct

from consumers.ports.unavailable import DatabaseBusy
from worker.postgres.database import Connection, Database
from worker.postgres.pools import READ_CONNECTIONS

WAIT_SECONDS = 5.0

Kind = Literal["list", "events", "timeline"]


class ReadsBusy(DatabaseBusy):
    """The merchant's other reads, or the reads of all, took so long that this one had no turn."""


class ReadTooLong(DatabaseBusy):
    """The statement had to look at too much. The same statement may fail again; a narrower one succeeds."""


class ReadTurns:
    """Gives each merchant its turns. `database` is the pool for reading. `wait` is in seconds."""

    def __init__(self, database: Database, *, wait: float = WAIT_SECONDS) -> None:
        self._database = database
        self.wait = wait
        self._turns: dict[tuple[str, Kind], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._lists = asyncio.Semaphore(READ_CONNECTIONS - 1)

    def of(self, merchant: str, kind: Kind) -> MerchantReads:
        turn = self._turns[merchant, kind]
        return MerchantReads(self._database, (turn, self._lists) if kind == "list" else (turn,), self.wait)


class MerchantReads(Struct, frozen=True):
    """The merchant's turn at one kind of reads: like a Database, and it raises ReadsBusy and ReadTooLong as well."""

    database: Database
    turns: tuple[asyncio.Lock | asyncio.Semaphore, ...]
    wait: float

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection[asyncpg.Record]]:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self.wait):
                    for turn in self.turns:
                        await stack.enter_async_context(turn)
                    connection = await stack.enter_async_context(self.database.connection())
            except TimeoutError:
                raise ReadsBusy(f"no turn within {self.wait:g} s") from None
            try:
                yield connection
            except asyncpg.QueryCanceledError:
                raise ReadTooLong("its statement was ended by its timeout") from None

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(sql, *values)
