"""The table `dead`: the dead letters of an installation without broker, and those put aside while the broker was away.

Replaying a claim moves it from `dead` to `queue` in one statement, so it is never in none of them. A reply is recorded
first and dropped afterwards, because recording it twice does no harm.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from consumers.ports.unavailable import DatabaseBusy, DatabaseUnavailable
from schemas.audit import AuditRecord
from schemas.letters import KeptReply, read_kept_reply
from worker.dead_letters import CheckedOut, NotReplayed, Place, claim_dead_letter, reply_dead_letter
from worker.postgres.audit_rows import add_record
from worker.postgres.database import Database
from worker.postgres.driver_errors import translated
from worker.postgres.wakeups import Wakeup

READING_LOCK = 0x64656164
PAGE = 100


class BeingRead(Exception):
    """Another process is reading the dead letters, here or at the broker."""


Record = Callable[[KeptReply], Awaitable[None]]


async def _cannot_record(_: KeptReply) -> None:
    raise NotReplayed("replies cannot be recorded here")


class PostgresDead:
    """See worker.dead_letters.DeadLetterStore. `record` records a reply, and raises NotReplayed where it cannot."""

    place: Place = "postgres"

    def __init__(self, database: Database, record: Record = _cannot_record) -> None:
        self._database, self._record = database, record

    async def read(self) -> AsyncGenerator[CheckedOut, None]:
        after = 0
        while True:
            rows = await self._database.fetch(
                """SELECT id, claim_id, provider, body, reason, died_at, kind FROM dead WHERE id > $1
                   ORDER BY id LIMIT $2""",
                after,
                PAGE,
            )
            for row in rows:
                after = row["id"]
                yield self._opened(row)
            if len(rows) < PAGE:
                return

    async def find(self, place: int) -> CheckedOut | None:
        """The letter at this place in the table."""
        rows = await self._database.fetch(
            "SELECT id, claim_id, provider, body, reason, died_at, kind FROM dead WHERE id = $1", place
        )
        return self._opened(rows[0]) if rows else None

    def _opened(self, row: asyncpg.Record) -> CheckedOut:
        of_kind = reply_dead_letter if row["kind"] == "reply" else claim_dead_letter
        values = (row["provider"], row["reason"], row["died_at"], row["body"])
        return CheckedOut(letter=of_kind(row["claim_id"], self.place, *values), body=row["body"], tag=row["id"])

    async def replay(self, opened: CheckedOut, record: AuditRecord) -> None:
        if opened.letter.kind == "reply":
            if opened.letter.unreadable is not None:
                raise NotReplayed(opened.letter.unreadable)
            await self._record(read_kept_reply(opened.body))
            await self.drop(opened, record)
            return
        await self._with(
            record,
            """WITH taken AS (DELETE FROM dead WHERE id = $1 RETURNING body)
               INSERT INTO queue (claim_id, provider, body) SELECT $2, $3, body FROM taken
               ON CONFLICT (claim_id) DO NOTHING""",
            opened.tag,
            opened.letter.id,
            opened.letter.provider,
        )
        self._database.notify(Wakeup(claims=[opened.letter.provider]))

    async def drop(self, opened: CheckedOut, record: AuditRecord) -> None:
        await self._with(record, "DELETE FROM dead WHERE id = $1", opened.tag)

    async def _with(self, record: AuditRecord, sql: str, *values: Any) -> None:
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(sql, *values)
            await add_record(connection, record)


@asynccontextmanager
async def alone(database: Database) -> AsyncIterator[None]:
    """While the block runs, no other process reads dead letters.

    Waits for another reader as long as a statement waits for a lock. Then raises BeingRead.
    """
    async with database.long_connection() as connection:
        try:
            with translated():
                await connection.execute("SELECT pg_advisory_lock($1)", READING_LOCK)
        except DatabaseBusy:
            raise BeingRead from None
        try:
            yield
        finally:
            with suppress(DatabaseUnavailable), translated():  # with its connection the lock goes too
                await connection.execute("SELECT pg_advisory_unlock($1)", READING_LOCK)
