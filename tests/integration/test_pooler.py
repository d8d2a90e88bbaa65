"""Poolers that lend sessions for a transaction at a time: what may go through them, and what is refused in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from schemas.secret import Secret
from tests.commands import shop_command
from tests.pooler import pooler
from worker.postgres.server.session_check import (
    CONNECT_QUERY,
    DIRECT_IS_POOLED,
    ELSEWHERE,
    WHY,
    SessionsLent,
    expect_sessions,
    expect_urls,
)


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


@pytest.mark.parametrize("roles", ["consume,sweep", "ingress"])
async def test_no_role_starts_on_them_alone_and_says_why(dsn: str, roles: str) -> None:
    """Without sessions of their own, locks would be lost, and wakeups would never come."""
    async with pooled(dsn, "transaction") as url:
        assert await shop_command("serve", f"--roles={roles}", PAYPROOF_DATABASE_URL=url) == (2, "", WHY)


async def test_a_pooled_and_a_direct_url_of_one_database_are_taken(dsn: str) -> None:
    with pooler(dsn, "transaction", in_turn=1, connect_query=CONNECT_QUERY) as url:
        await expect_urls(Secret(url), Secret(dsn), pooled=True)
    with pooler(dsn, "transaction") as url:
        await expect_urls(Secret(url), Secret(dsn), pooled=False)  # a process that uses the direct one alone


async def test_each_wrong_pair_is_refused_by_serve_and_by_doctor_in_the_same_words(dsn: str) -> None:
    """A pooler in place of the server; another database of the same server; a session without our settings."""
    other = dsn.replace("/test_", "/postgres_")
    assert other != dsn
    admin = await asyncpg.connect(dsn)
    try:
        await admin.execute(f'CREATE DATABASE "{other.partition("@/")[2].partition("?")[0]}"')
    finally:
        await admin.close()
    with (
        pooler(dsn, "transaction", connect_query=CONNECT_QUERY) as right,
        pooler(other, "transaction", connect_query=CONNECT_QUERY) as elsewhere,
        pooler(dsn, "transaction") as plain,
    ):
        for url, direct, why in [
            (right, None, WHY),
            (right, right, DIRECT_IS_POOLED),
            (elsewhere, dsn, ELSEWHERE),
            (right, other, ELSEWHERE),
            (plain, dsn, f"connect_query='{CONNECT_QUERY}'"),
        ]:
            urls = {"PAYPROOF_DATABASE_URL": url} | ({"PAYPROOF_DATABASE_DIRECT_URL": direct} if direct else {})
            code, _, told = await shop_command("serve", "--roles=ingress", **urls)
            assert (code, why in told) == (2, True), told
            code, found, told = await shop_command("doctor", **urls)
            assert (code, "no  database: " in found, why in found) == (1, True, True), found
