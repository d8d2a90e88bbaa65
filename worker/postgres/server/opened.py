"""The database that the configuration names, or the embedded database if it names none, opened for a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from worker.config import Config
from worker.postgres.database import Database, connect
from worker.postgres.server.embedded import EmbeddedError, embedded, revive
from worker.postgres.server.schema import bring_up_to_date, expect_present

LOOK_SECONDS = 3

log = structlog.get_logger()


@asynccontextmanager
async def opened(config: Config, *, pooled: bool = False) -> AsyncIterator[Database]:
    """Open the database of the configuration, or the embedded database, and bring it to the present schema.

    `pooled`: the pool of connections may go through a pooler that lends sessions for a transaction at a time.

    Raises MigrationError; of these, SchemaNewer if a newer program has removed a part of the schema that this program
    needs.
    """
    async with _server(config) as dsn:
        applied = await bring_up_to_date(dsn)
        if applied:
            log.info("schema.migrated", files=list(applied))
        settings = config.settings
        through = settings.database_url if pooled and settings.database_direct_url else None
        async with connect(dsn, pooled=through.reveal() if through else None) as database:
            yield database


@asynccontextmanager
async def opened_as_it_is(config: Config) -> AsyncIterator[Database]:
    """The same for a command that only reads: it does not migrate. Raises SchemaDiffers if the schema does not suit."""
    async with _server(config) as dsn:
        await expect_present(dsn)
        async with connect(dsn) as database:
            yield database


@asynccontextmanager
async def _server(config: Config) -> AsyncIterator[str]:
    url = config.settings.sessions_url
    if url is not None:
        yield url.reveal()
        return
    async with embedded(config.settings.data_dir) as dsn:
        yield dsn


async def keep_postgres(database: Database, data_dir: Path) -> None:
    """Start the embedded server again whenever it dies, until cancelled. No other program does."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await database.fetch("SELECT")
        except (DatabaseUnavailable, TimeoutError) as error:
            log.warning("postgres.away", error=error_name(error))
            try:
                await asyncio.to_thread(revive, data_dir)
            except EmbeddedError as failed:
                log.error("postgres.start_failed", why=str(failed))  # noqa: TRY400 - its words say it all
