"""Migrations that build or drop an index beside the writers: `-- migrate:up transaction:false`, one statement in each.

A build that is cut off leaves an index that is maintained and never used, and `IF NOT EXISTS` would pass it over. So
such an index is dropped before its file runs, and looked at again afterwards.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import asyncpg

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

MIGRATING_LOCK = 7_242_021
POLL_SECONDS = 0.25
_MARK = re.compile(r"^-- migrate:up\s+transaction:false\s*$", re.MULTILINE)
_BUILT = re.compile(r"\bCREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+IF\s+NOT\s+EXISTS\s+(\w+)", re.IGNORECASE)
_STATE = """
    SELECT i.indisvalid AS valid, EXISTS (
        SELECT FROM pg_stat_progress_create_index p
        WHERE p.index_relid = i.indexrelid AND p.datname = current_database()) AS building
    FROM pg_index i WHERE i.indexrelid = to_regclass($1)
"""


@asynccontextmanager
async def sole_migrator(dsn: str, seconds: float) -> AsyncIterator[Session]:
    """A session that holds the lock of migrators. Raises TimeoutError if another holds it for longer than `seconds`.

    It asks again and again, because a statement that waits for the lock would have a snapshot, and a concurrent build
    of the other migrator would wait for its end.
    """
    connection = await asyncpg.connect(dsn, timeout=30, command_timeout=seconds)
    try:
        async with asyncio.timeout(seconds):
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", MIGRATING_LOCK):  # noqa: ASYNC110 - another process holds it
                await asyncio.sleep(POLL_SECONDS)
        yield connection
    finally:
        await connection.close()


def is_concurrent(file: Path) -> bool:
    return _MARK.search(file.read_text("utf-8")) is not None


async def drop_unfinished(session: Session, file: Path, seconds: float) -> None:
    """Drop the index of this file if its build was cut off. A build that still runs is waited for.

    A killed migrator leaves its build running in the server. Raises TimeoutError if that lasts longer than `seconds`.
    """
    if (name := _index_of(file)) is None:
        return
    async with asyncio.timeout(seconds):
        while (state := await session.fetchrow(_STATE, name)) is not None and state["building"]:  # noqa: ASYNC110 - the server builds
            await asyncio.sleep(POLL_SECONDS)
    if state is not None and not state["valid"]:
        await session.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


async def forget_unfinished(session: Session, file: Path) -> bool:
    """Whether the index of an applied file is not valid. Then the file counts as not applied."""
    if (name := _index_of(file)) is None:
        return False
    state = await session.fetchrow(_STATE, name)
    if state is None or state["valid"]:
        return False
    version = file.name.partition("_")[0]
    await session.execute("DELETE FROM schema_migrations WHERE version = $1", version)
    return True


def _index_of(file: Path) -> str | None:
    found = _BUILT.search(file.read_text("utf-8").partition("-- migrate:down")[0])
    return None if found is None else found[1]
