"""Retention: each task deletes by an index and in batches, runs once an hour in a fleet, and fails by itself."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from tests.integration.shops import CONFIG
from tests.integration.test_state_metrics import crowded  # noqa: F401 - a fixture
from worker.postgres import archive, idempotency_keys
from worker.postgres.database import Database
from worker.postgres.ledger import failures, kept_claims
from worker.postgres.reads.installation_state import read_state
from worker.postgres.retention_runs import AT_ONCE, begin_run
from worker.retention import RetentionTask, run_task, tasks_of

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
OLD_ROWS = (
    """INSERT INTO openings (payment_id, request, recorded_at)
       SELECT p.id, CASE WHEN n % 2 = 0 THEN '{"body": "{\\"customer\\": {}}"}' ELSE '{}' END::jsonb,
           clock_timestamp() - make_interval(secs => n)
       FROM (SELECT id, row_number() OVER () AS n FROM payments) AS p""",
    """INSERT INTO idempotency (merchant, key, request_hash, started_at)
       SELECT 'shop', n::text, '', clock_timestamp() - make_interval(secs => n) FROM generate_series(1, 20000) AS n""",
    """INSERT INTO kept (claim_id, account, provider, signed, reference, received_at, body)
       SELECT n::text, 'shop', 'ipay', false, n::text, clock_timestamp() - make_interval(secs => n), ''
       FROM generate_series(1, 20000) AS n""",
    """INSERT INTO archive_default (claim_id, received_at, body)
       SELECT n::text, clock_timestamp() - interval '10 years' + make_interval(secs => n), ''
       FROM generate_series(1, 20000) AS n""",
    """INSERT INTO failures (payment_id, failures, first_at, last_at, reason)
       SELECT id, 1, clock_timestamp(), clock_timestamp(), '' FROM payments ORDER BY id LIMIT 100""",
)
CALLBACKS = """DELETE FROM archive_default WHERE ctid = ANY(ARRAY(
    SELECT a.ctid FROM archive_default a WHERE a.received_at < now() - $1::interval ORDER BY a.received_at LIMIT $2))"""
"""What archive_forget() runs, which shows no plan of its own."""


@pytest.mark.parametrize(
    ("query", "about"),
    [
        (archive._FORGET_PERSONAL, (DAY, 100)),
        (archive._FORGET, (DAY, 100)),
        (CALLBACKS, (DAY, 100)),
        (idempotency_keys._FORGET, (DAY, 100)),
        (kept_claims._FORGET, (DAY, 100)),
        (failures._HEALED, (100,)),
    ],
)
async def test_no_table_that_grows_is_read_as_a_whole(
    crowded: Database,  # noqa: F811
    query: str,
    about: tuple[object, ...],
) -> None:
    for statement in OLD_ROWS:
        await crowded.execute(statement)
    await crowded.execute("ANALYZE")
    plan = "\n".join(row[0] for row in await crowded.fetch(f"EXPLAIN {query}", *about))
    assert not re.search(r"Seq Scan on (payments|openings|idempotency|kept|archive_default)", plan), plan
    assert "Index" in plan


@pytest.mark.parametrize("query", [archive._FORGET, CALLBACKS, idempotency_keys._FORGET, kept_claims._FORGET])
async def test_a_look_that_finds_nothing_to_delete_ends_at_once(
    crowded: Database,  # noqa: F811
    query: str,
) -> None:
    for statement in OLD_ROWS:
        await crowded.execute(statement)
    await crowded.execute("VACUUM ANALYZE")
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}"
    (row,) = await crowded.fetch(explain, timedelta(days=36_500), 100)
    plan = msgspec.json.decode(row[0])[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20, row[0]


async def test_a_task_deletes_until_nothing_is_left_and_its_run_is_known(database: Database) -> None:
    left = 2 * AT_ONCE + 7
    await database.execute("UPDATE retention_runs SET succeeded_at = 'epoch'")

    async def delete(_: Database, most: int) -> int:
        nonlocal left
        deleted = min(left, most)
        left -= deleted
        return deleted

    await run_task(database, task("requests", delete))
    assert left == 0
    succeeded = (await read_state(database, [], [])).retention
    assert succeeded["requests"] == pytest.approx(database.clock.now().timestamp(), abs=60)
    assert {name for name, at in succeeded.items() if at == 0} == set(succeeded) - {"requests"}


async def test_a_task_that_fails_stops_no_other_and_its_last_good_run_stays(database: Database) -> None:
    await database.execute("UPDATE retention_runs SET succeeded_at = 'epoch'")
    await database.execute("DROP FUNCTION archive_forget(interval, int)")
    with capture_logs() as logs:
        for one in tasks_of(CONFIG):
            await run_task(database, one)
    assert [(log["event"], log["task"]) for log in logs if log["log_level"] == "warning"] == [
        ("retention.failed", "archive")
    ]
    succeeded = (await read_state(database, [], [])).retention
    assert {name for name, at in succeeded.items() if at == 0} == {"archive"}


async def test_a_task_that_does_not_end_is_cut_off(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.retention.TASK_SECONDS", 0.1)
    with capture_logs() as logs:
        await run_task(database, task("requests", endless))
    assert [(log["event"], log["error"]) for log in logs] == [("retention.failed", "TimeoutError")]


async def test_of_a_fleet_one_process_runs_a_task_in_an_hour(database: Database) -> None:
    runs = 0

    async def delete(_: Database, most: int) -> int:
        nonlocal runs
        runs += 1
        return 0

    for _ in range(3):
        await run_task(database, task("requests", delete))
    assert runs == 1
    await database.execute("UPDATE retention_runs SET begun_at = begun_at - interval '1 h'")
    await run_task(database, task("requests", delete))
    assert runs == 2


async def test_every_task_has_its_row_from_the_migration_on(database: Database) -> None:
    """So a task that never ran is missed, too."""
    known = {one.name for one in tasks_of(CONFIG)}
    assert set((await read_state(database, [], [])).retention) == known
    assert not await begin_run(database, "unknown", HOUR)


async def test_more_than_a_batch_is_deleted(database: Database) -> None:
    await database.execute(
        OLD_ROWS[1].replace("20000", str(AT_ONCE + 1)).replace("clock_timestamp()", "timestamptz '2020-01-01'")
    )
    (keys,) = [one for one in tasks_of(CONFIG) if one.name == "idempotency_keys"]
    await run_task(database, keys)
    assert await database.fetch("SELECT FROM idempotency") == []


def task(name: str, delete: Callable[[Database, int], Awaitable[int]]) -> RetentionTask:
    return replace(tasks_of(CONFIG)[0], name=name, delete_batch=delete)


async def endless(database: Database, most: int) -> int:
    await database.fetch("SELECT pg_sleep(0.01)")
    return most
