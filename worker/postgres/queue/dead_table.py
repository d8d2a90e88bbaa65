"""The dead letters in Postgres: of an installation without broker, and those that died while the broker was away.

The one thing to get wrong: replaying in two steps. The letter's claim joins the queue, which is the spool where there
is a broker, and leaves the dead in one transaction. A reply is recorded first and dropped afterwards, because recording
it twice does no harm.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from consumers.ports.unavailable import DatabaseBusy, DatabaseUnavailable
from schemas.letters import KeptReply, read_kept_reply
from worker.dead_letters import CheckedOut, NotReplayed, Place, claim_dead_letter, reply_dead_letter
from worker.postgres.database import Database
from worker.postgres.driver_errors import translated
from worker.postgres.wakeups import Wakeup

READING_LOCK = 0x64656164
PAGE = 100


class BeingRead(Exception):
    """Somebody else reads the dead letters, here or at the broker."""


Record = Callable[[KeptReply], Awaitable[None]]


async def _nobody_records(_: KeptReply) -> None:
    raise NotReplayed("nobody records replies here")


class PostgresDead:
    """See worker.dead_letters.DeadLetterStore. `record` records a reply, and raises NotReplayed where it cannot."""

    place: Place = "postgres"

    def __init__(self, database: Database, record: Record = _nobody_records) -> None:
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
                of_kind = reply_dead_letter if row["kind"] == "reply" else claim_dead_letter
                stands = (row["provider"], row["reason"], row["died_at"], row["body"])
                yield CheckedOut(letter=of_kind(row["claim_id"], self.place, *stands), body=row["body"], tag=after)
            if len(rows) < PAGE:
                return

    async def replay(self, opened: CheckedOut) -> None:
        if opened.letter.kind == "reply":
            if opened.letter.unreadable is not None:
                raise NotReplayed(opened.letter.unreadable)
            await self._record(read_kept_reply(opened.body))
            await self.drop(opened)
            return
        await self._database.execute(
            """WITH taken AS (DELETE FROM dead WHERE id = $1 RETURNING body)
               INSERT INTO queue (claim_id, provider, body) SELECT $2, $3, body FROM taken
               ON CONFLICT (claim_id) DO NOTHING""",
            opened.tag,
            opened.letter.id,
            opened.letter.provider,
        )
        self._database.notify(Wakeup(claims=[opened.letter.provider]))

    async def drop(self, opened: CheckedOut) -> None:
        await self._database.execute("DELETE FROM dead WHERE id = $1", opened.tag)


@asynccontextmanager
async def alone(database: Database) -> AsyncIterator[None]:
    """Nobody else reads dead letters meanwhile. Raises BeingRead when somebody does, and does not end."""
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
