"""Bring the database to the present schema: create it where it is missing, then let dbmate apply `schemas/sql/`.

Any number of processes may migrate at once; they wait for each other.

A statement that waits for a lock on a table stops every writer that comes after it. So a file waits for a lock for
LOCK_SECONDS at most. Then it is undone, and tried again after a pause in which the others go on. A file that builds an
index beside the writers stops nobody, and waits for as long as it must: see `concurrent_indexes`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from importlib.resources import as_file, files
from itertools import groupby
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from worker.postgres.driver_errors import DRIVER_ERRORS
from worker.postgres.server.concurrent_indexes import (
    Session,
    drop_unfinished,
    forget_unfinished,
    is_concurrent,
    sole_migrator,
)
from worker.postgres.server.dbmate import (
    CONNECT_SECONDS,
    MIGRATE_SECONDS,
    LockedOut,
    MigrationError,
    dbmate_url,
    run_dbmate,
    scrubbed,
)

LOCK_SECONDS = 1.0
TRIES = 30
PAUSE_SECONDS = 2.0
MAINTENANCE_DATABASE = "postgres"
_CREATED_MEANWHILE = (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError)


async def apply_migrations(dsn: str, *, directory: Path | None = None) -> tuple[str, ...]:
    """Create the database of `dsn` if it is missing, and apply the new files of `directory` (default: `schemas/sql`).

    Returns the names of the files applied by this call. Raises MigrationError.
    """
    try:
        await _create_missing(dsn)
        url = await dbmate_url(dsn)
    except (*DRIVER_ERRORS, ValueError) as error:
        raise MigrationError(f"the database cannot be used: {scrubbed(str(error), dsn)}") from None
    if directory is not None:
        return await _apply(dsn, url, directory)
    with as_file(files("schemas") / "sql") as packaged:
        return await _apply(dsn, url, packaged)


async def _apply(dsn: str, url: str, directory: Path) -> tuple[str, ...]:
    """Apply the new files in their order, those of one kind together."""
    applied: list[str] = []
    try:
        async with sole_migrator(dsn, MIGRATE_SECONDS) as session:
            known = await _known(session)
            new = [file for file in await asyncio.to_thread(_listed, directory) if _version(file) not in known]
            for concurrent, alike in groupby(new, is_concurrent):
                wait = 0 if concurrent else LOCK_SECONDS  # 0: without end
                bounded = f"{url}&lock_timeout={wait * 1000:.0f}&statement_timeout=0"
                applied += await _apply_alike(session, bounded, [*alike])
    except TimeoutError:
        raise MigrationError(f"another migration did not end within {MIGRATE_SECONDS} s") from None
    except DRIVER_ERRORS as error:
        raise MigrationError(f"the database cannot be used: {scrubbed(str(error), dsn)}") from None
    return tuple(applied)


async def _apply_alike(session: Session, url: str, new: Sequence[Path]) -> list[str]:
    """Apply files. Where other transactions are in the way, or an index is not finished, begin again after a pause."""
    applied: list[str] = []
    for left in reversed(range(TRIES)):
        for file in new:
            await drop_unfinished(session, file, MIGRATE_SECONDS)
        try:
            applied += await run_dbmate(url, new)
        except LockedOut as error:
            applied += error.applied
            if not left:
                raise
        else:
            unfinished = [file.name for file in new if await forget_unfinished(session, file)]
            if not unfinished:
                return applied
            applied = [name for name in applied if name not in unfinished]
        await asyncio.sleep(PAUSE_SECONDS)
    raise MigrationError(
        f"{new[-1].name}: an index is built again and again, and is never valid: look at the server's log"
    )


def _listed(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.sql"))


def _version(file: Path) -> str:
    return file.name.partition("_")[0]


async def _known(session: Session) -> frozenset[str]:
    try:
        return frozenset(row["version"] for row in await session.fetch("SELECT version FROM schema_migrations"))
    except asyncpg.UndefinedTableError:
        return frozenset()


async def _create_missing(dsn: str) -> None:
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    except asyncpg.InvalidCatalogNameError:
        pass
    else:
        return await connection.close()
    name = _database_name(dsn)
    connection = await asyncpg.connect(dsn, database=MAINTENANCE_DATABASE, timeout=CONNECT_SECONDS)
    try:
        quoted = '"' + name.replace('"', '""') + '"'
        await connection.execute(f"CREATE DATABASE {quoted} ENCODING 'UTF8' TEMPLATE template0")
    except _CREATED_MEANWHILE:
        pass
    finally:
        await connection.close()


def _database_name(dsn: str) -> str:
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    named = unquote(parts.path.lstrip("/")) or next(
        (query[key][-1] for key in ("dbname", "database") if key in query), ""
    )
    if name := named or os.environ.get("PGDATABASE", ""):
        return name
    raise ValueError("the database URL names no database")
