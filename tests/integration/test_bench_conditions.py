"""The conditions that the benchmark puts on a database: they hold during a measurement, and are gone afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator

import asyncpg
import pytest

from tests.bench.conditions import Under, old_snapshot, standby_away
from tests.integration.conftest import a_server

_OLDEST = "SELECT max(age(backend_xmin)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1"
COMMITS = 5


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that syncs its commits to the disk, which is when a commit waits."""
    with a_server() as url:
        yield url


async def test_an_old_snapshot_keeps_what_dies_after_it(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        pid = connection.get_server_pid()
        await connection.execute("CREATE TABLE counted (n int)")
        async with old_snapshot(dsn):
            for n in range(COMMITS):
                await connection.execute("INSERT INTO counted VALUES ($1)", n)
            assert await connection.fetchval(_OLDEST, pid) >= COMMITS
        assert (await connection.fetchval(_OLDEST, pid) or 0) <= 1
    finally:
        await connection.close()


async def test_each_commit_waits_for_a_standby_that_is_away(dsn: str) -> None:
    async with standby_away(dsn, 0.05):
        assert await commits(dsn) >= COMMITS * 0.05
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("SHOW commit_delay") == "0"
        assert await connection.fetchval("SHOW commit_siblings") == "5"
    finally:
        await connection.close()


async def test_both_are_there_while_a_measurement_runs_under_them(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        pid = connection.get_server_pid()
        async with Under(standby=0.05, snapshot=True).upon(dsn):
            assert await commits(dsn) >= COMMITS * 0.05
            assert await connection.fetchval(_OLDEST, pid) >= COMMITS
        assert (await connection.fetchval(_OLDEST, pid) or 0) <= 1
    finally:
        await connection.close()


async def commits(dsn: str) -> float:
    """The seconds that so many commits take, one after the other."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CREATE TABLE counted (n int)")
        began = time.monotonic()
        for n in range(COMMITS):
            await connection.execute("INSERT INTO counted VALUES ($1)", n)
        return time.monotonic() - began
    finally:
        await connection.close()
