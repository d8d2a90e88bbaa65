"""The tokens that processes share: granted once for many callers, without taking every database connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from consumers.ports.effects import Token
from worker.postgres.database import Database, connect
from worker.postgres.tokens import PostgresTokens


def granting(texts: list[str], began: list[str]) -> Callable[[], Awaitable[Token]]:
    async def grant() -> Token:
        began.append(texts[len(began)])
        await asyncio.sleep(0.05)
        return Token(text=began[-1], seconds=3600)

    return grant


async def test_a_crowd_in_two_processes_is_granted_one_token(database: Database, dsn: str) -> None:
    began: list[str] = []
    grant = granting(["first", "second"], began)
    async with connect(dsn) as other:
        processes = [PostgresTokens(database), PostgresTokens(other)]
        crowd = [processes[number % 2].get("a", None, grant) for number in range(60)]
        assert set(await asyncio.gather(*crowd)) == {"first"}
        stale = [processes[number % 2].get("a", "first", grant) for number in range(60)]
        assert set(await asyncio.gather(*stale)) == {"second"}
    assert began == ["first", "second"]


async def test_after_a_grant_that_failed_the_next_one_tries_at_once(database: Database) -> None:
    async def refuse() -> Token:
        raise ValueError("no")

    tokens = PostgresTokens(database)
    with pytest.raises(ValueError, match="no"):
        await tokens.get("a", None, refuse)
    assert await asyncio.wait_for(tokens.get("a", None, granting(["good"], [])), 1) == "good"


async def test_a_renewal_whose_process_died_is_taken_over(database: Database) -> None:
    await database.execute("INSERT INTO tokens VALUES ('a', '', clock_timestamp() + interval '300 ms')")
    assert await asyncio.wait_for(PostgresTokens(database).get("a", None, granting(["good"], [])), 5) == "good"


async def test_gateways_that_hang_over_their_tokens_hold_no_connection(database: Database) -> None:
    begun = asyncio.Semaphore(0)

    async def hang() -> Token:
        begun.release()
        await asyncio.Event().wait()
        raise AssertionError

    tokens = PostgresTokens(database)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(tokens.get(f"a{number}", None, hang)) for number in range(30)]
        for _ in waiting:
            await begun.acquire()
        async with asyncio.timeout(5):
            assert len(await asyncio.gather(*[database.fetch("SELECT 1") for _ in range(30)])) == 30
        for task in waiting:
            task.cancel()
    assert await database.fetch("SELECT FROM tokens") == []
