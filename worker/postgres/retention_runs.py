"""When each task of retention ran: one process of a fleet begins a run, and the last good run is a metric."""

from __future__ import annotations

from datetime import timedelta

from worker.postgres.database import Database

AT_ONCE = 5_000
"""How many rows a statement deletes: far below its deadline, and few enough that nothing waits for their locks."""
EARLIER = timedelta(minutes=5)
"""So much earlier a run may begin than an hour after the last one, as no two processes wake at the same second."""

_NO_SYNC = "set_config('synchronous_commit', 'off', true)"
"""A run whose record is lost in a crash is begun once more, so its commit need not wait for the disk."""

# Here and in the statements of the tasks, times are compared with now(): an index is not asked for a clock_timestamp(),
# which may be another for each row.
_BEGIN = f"""
    UPDATE retention_runs SET begun_at = clock_timestamp()
    WHERE task = $1 AND (begun_at IS NULL OR begun_at < now() - $2::interval) RETURNING task, {_NO_SYNC}
"""  # noqa: S608 - our own words
_END = f"""
    UPDATE retention_runs SET succeeded_at = clock_timestamp() WHERE task = $1 RETURNING {_NO_SYNC}
"""  # noqa: S608 - our own words


async def begin_run(database: Database, task: str, every: timedelta) -> bool:
    """Begin a run of the task, unless a process began one less than `every` ago."""
    return bool(await database.fetch(_BEGIN, task, every - EARLIER))


async def end_run(database: Database, task: str) -> None:
    """Store that a run left nothing to delete."""
    await database.execute(_END, task)
