"""Deletes rows whose retention has ended, and maintains the archive's months: at the start, and every hour.

Each task runs and fails by itself. It deletes bounded batches that an index finds, so it costs as much as there is to
delete, however large the tables are. Each role may delete only rows that the role itself writes, so a task runs only
where such a role runs (schemas/sql/0009_roles.sql).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from functools import partial

import asyncpg
import structlog
from msgspec import Struct

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from worker.config import Config
from worker.config.webhook_endpoints import Endpoint, endpoints_of
from worker.postgres.archive import (
    forget_callbacks,
    forget_contacts,
    forget_personal_requests,
    forget_requests,
    maintain_archive,
)
from worker.postgres.database import Database
from worker.postgres.events.endpoint_rows import known_endpoints
from worker.postgres.events.old_events import forget_events
from worker.postgres.idempotency_keys import forget_old
from worker.postgres.ledger.failures import forget_healed
from worker.postgres.ledger.kept_claims import forget_kept
from worker.postgres.lost_events import forget_lost
from worker.postgres.past_payments import PastPayments
from worker.postgres.retention_runs import AT_ONCE, begin_run, end_run
from worker.postgres.spent_bytes import forget_spent
from worker.postgres.statements.uploads import forget_uploads

EVERY_SECONDS = 3600
TASK_SECONDS = 900
"""A task that is not done by then goes on an hour later. So no two processes run a task at once."""

log = structlog.get_logger()


class RetentionTask(Struct, frozen=True, kw_only=True):
    """`delete_batch` deletes rows whose time is over, up to the number it gets. Fewer than that: nothing is left."""

    name: str
    role: str
    delete_batch: Callable[[Database, int], Awaitable[int]]


def tasks_of(config: Config) -> tuple[RetentionTask, ...]:
    """All tasks, of every role. Made anew for each run, since a walk over the payments remembers where it is."""
    kept = timedelta(seconds=config.archive.retention)
    events = None if config.retention.events is None else timedelta(seconds=config.retention.events)
    payments = None if config.retention.payments is None else timedelta(seconds=config.retention.payments)
    readers = endpoints_of(config)
    return (
        RetentionTask(name="idempotency_keys", role="ingress", delete_batch=forget_old),
        RetentionTask(name="byte_budgets", role="ingress", delete_batch=forget_spent),
        RetentionTask(name="kept_claims", role="consume", delete_batch=forget_kept),
        RetentionTask(name="archive", role="consume", delete_batch=partial(_keep_archive, kept)),
        RetentionTask(name="personal_requests", role="consume", delete_batch=partial(forget_personal_requests, kept)),
        RetentionTask(name="requests", role="consume", delete_batch=partial(forget_requests, kept)),
        RetentionTask(name="contacts", role="consume", delete_batch=partial(forget_contacts, kept)),
        RetentionTask(name="failures", role="consume", delete_batch=forget_healed),
        RetentionTask(name="lost_events", role="consume", delete_batch=forget_lost),
        RetentionTask(name="statement_uploads", role="consume", delete_batch=partial(forget_uploads, kept)),
        RetentionTask(name="events", role="consume", delete_batch=partial(_forget_events, events, readers)),
        RetentionTask(name="payments", role="consume", delete_batch=PastPayments(payments).delete_batch),
    )


async def run_retention(database: Database, config: Config, roles: Collection[str]) -> None:
    """Run until cancelled."""
    while True:
        for task in tasks_of(config):
            if task.role in roles:
                await run_task(database, task)
        await asyncio.sleep(EVERY_SECONDS)


async def run_task(database: Database, task: RetentionTask) -> None:
    """Run the task until nothing is left to delete, unless a process did so within the hour.

    A task that fails, or has not ended after TASK_SECONDS, is logged, and runs again an hour later.
    """
    deleted = 0
    try:
        async with asyncio.timeout(TASK_SECONDS):
            if not await begin_run(database, task.name, timedelta(seconds=EVERY_SECONDS)):
                return
            while (batch := await task.delete_batch(database, AT_ONCE)) >= AT_ONCE:
                deleted += batch
            await end_run(database, task.name)
    except (DatabaseUnavailable, asyncpg.PostgresError, TimeoutError) as error:
        log.warning("retention.failed", task=task.name, error=error_name(error), rows=deleted)
    else:
        if deleted + batch:
            log.info("retention.deleted", task=task.name, rows=deleted + batch)


async def _forget_events(
    retention: timedelta | None, readers: Sequence[Endpoint], database: Database, most: int
) -> int:
    """Delete events that the endpoints have read, by the ids of their rows; see `forget_events`."""
    ids = [endpoint.id for endpoint in await known_endpoints(database, readers)]
    return await forget_events(retention, ids, database, most)


async def _keep_archive(retention: timedelta, database: Database, most: int) -> int:
    """Delete callbacks that lie in no month's partition; after the last of them, maintain the months."""
    deleted = await forget_callbacks(retention, database, most)
    if deleted < most:
        kept = await maintain_archive(database, retention)
        if kept.made or kept.dropped or kept.deleted:
            log.info("archive.maintained", made=kept.made, dropped=kept.dropped, deleted=kept.deleted)
    return deleted
