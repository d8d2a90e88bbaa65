"""The console while its database is slow or away: said in its own layout, with 503 and when to come again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.consoles import Console, running_console
from worker.postgres.database import Database, connect


@pytest.fixture
async def console(database: Database) -> AsyncIterator[Console]:
    async with database.reading(writes=True) as own, running_console(own) as console:
        yield console


async def test_a_read_that_takes_too_long_is_told_within_the_frame(
    console: Console, database: Database, dsn: str
) -> None:
    signed = await console.signed_in("vera")
    locking = await asyncpg.connect(dsn)
    try:
        async with locking.transaction():
            await locking.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
            answer = await signed.get("/payments")
    finally:
        await locking.close()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "That took too long" in answer.text
    assert 'class="side"' in answer.text
    assert 'href="/payments"' in answer.text
    assert (await signed.get("/payments")).status == 200


async def test_without_a_database_the_layout_stays(dsn: str) -> None:
    async with connect(dsn) as own, running_console(own) as console:
        signed = await console.signed_in("vera")
        await own._pool.close()
        answer = await signed.get("/held", Accept_Language="bn")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "ডাটাবেস সাড়া দিচ্ছে না" in answer.text
    assert '<link rel="stylesheet"' in answer.text
