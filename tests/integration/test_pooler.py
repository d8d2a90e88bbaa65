"""A pooler that lends sessions for a transaction at a time: the role consume refuses to start on it, and says why."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests.harness import System, environment
from tests.pooler import pooler
from tests.processes import directory, told_until_its_end
from worker.postgres.server.session_check import WHY, SessionsLent, expect_sessions

SECONDS = 30


@asynccontextmanager
async def pooled(dsn: str, mode: str, in_turn: int = 0) -> AsyncIterator[str]:
    """The database through a pooler that has a few sessions already."""
    with pooler(dsn, mode, in_turn=in_turn) as url:
        connections = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(3)]
        transactions = [connection.transaction() for connection in connections]
        for transaction in transactions:
            await transaction.start()
        for transaction in transactions:
            await transaction.rollback()
        for connection in connections:
            await connection.close()
        yield url


@pytest.mark.parametrize("in_turn", [0, 1], ids=["the last again", "in turn"])
async def test_sessions_that_are_lent_for_a_transaction_are_told(dsn: str, in_turn: int) -> None:
    with pooler(dsn, "transaction", in_turn=in_turn) as fresh, pytest.raises(SessionsLent):
        await expect_sessions(fresh)
    async with pooled(dsn, "transaction", in_turn) as used:
        with pytest.raises(SessionsLent):
            await expect_sessions(used)


async def test_sessions_of_our_own_will_do(dsn: str) -> None:
    await expect_sessions(dsn)
    async with pooled(dsn, "session") as url:
        await expect_sessions(url)


async def test_whatever_else_is_wrong_is_for_others_to_say(dsn: str) -> None:
    await expect_sessions(f"{dsn.partition('?')[0]}_missing?{dsn.partition('?')[2]}")
    await expect_sessions("postgresql://payproof@/payproof?host=/nonexistent&port=1")


async def test_consume_does_not_start_on_them_and_says_why(dsn: str) -> None:
    async with pooled(dsn, "transaction") as url:
        with directory() as place:
            system = System(place)
            system.configure()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "worker.cli", "serve", "--roles=consume,sweep"),
                cwd=place,
                env=environment() | system.settings | {"PAYPROOF_DATABASE_URL": url},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await told_until_its_end(process, SECONDS)
    assert (process.returncode, err.decode().strip()) == (2, WHY), out.decode()
