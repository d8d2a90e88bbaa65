"""Deletes rows whose retention has ended, and maintains the archive's months: at the start, and every hour.

Each role may delete only rows that the role itself writes, so a job runs only where such a role runs
(schemas/sql/0009_roles.sql).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import timedelta

import asyncpg
import structlog

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from worker.config import Config
from worker.postgres.archive import maintain_archive
from worker.postgres.database import Database
from worker.postgres.idempotency_keys import forget_old
from worker.postgres.ledger.failures import forget_healed
from worker.postgres.ledger.kept_claims import forget_kept
from worker.postgres.lost_events import forget_lost
from worker.postgres.spent_bytes import forget_spent

EVERY_SECONDS = 3600

log = structlog.get_logger()


async def run_retention(database: Database, config: Config, roles: Collection[str]) -> None:
    """Run until cancelled."""
    while True:
        try:
            if "ingress" in roles:
                await forget_old(database)
                await forget_spent(database)
            if "consume" in roles:
                await forget_kept(database)
                await _keep_archive(database, timedelta(seconds=config.archive.retention))
                await forget_healed(database)
                await forget_lost(database)
        except (DatabaseUnavailable, asyncpg.PostgresError) as error:  # a chore that failed is done an hour later
            log.warning("retention.failed", error=error_name(error))
        await asyncio.sleep(EVERY_SECONDS)


async def _keep_archive(database: Database, retention: timedelta) -> None:
    kept = await maintain_archive(database, retention)
    if kept.made or kept.dropped or kept.deleted:
        log.info("archive.maintained", made=kept.made, dropped=kept.dropped, deleted=kept.deleted)
