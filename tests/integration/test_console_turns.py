"""One person, or their script, keeps nobody else from the console: requests of an operator take turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.consoles import Console, running_console
from tests.processes import until
from worker.console.operator_turns import OutOfTurn, Turns
from worker.postgres.database import Database

SECONDS = 30.0
"""A deadline for what happens at once, or never."""


@pytest.fixture
async def console(database: Database) -> AsyncIterator[Console]:
    async with running_console(database) as console:
        yield console


@asynccontextmanager
async def slow_audit(database: Database) -> AsyncIterator[None]:
    """While the block runs, no page of the audit trail is answered."""
    session = await database.session("test")
    try:
        async with session.transaction():
            await session.execute("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await session.close()


async def waiting(database: Database, count: int) -> None:
    """Until so many statements wait for the table."""

    async def look() -> bool:
        rows = await database.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'audit'")
        return len(rows) == count

    await until(look, what=f"{count} statements that wait", seconds=SECONDS)


async def test_a_person_holds_two_connections_at_most_and_others_go_on(database: Database, console: Console) -> None:
    vera, again, omar = [await console.signed_in(name) for name in ("vera", "vera", "omar")]
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group, slow_audit(database):
        slow = [group.create_task(one.get("/audit")) for one in (vera, again)]
        await waiting(database, 2)
        others = [group.create_task(vera.get("/audit")) for _ in range(10)]
        for path in ("/", "/payments", "/held"):
            assert (await omar.get(path)).status == 200
        await waiting(database, 2)
    assert [(await one).status for one in slow] == [200, 200]
    assert {(await one).status for one in others} == {200}


async def test_the_line_of_a_person_is_short(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.console.console_app.LINE", 1)
    monkeypatch.setattr("worker.console.console_app.OF_A_SESSION", 3)
    async with running_console(database) as console:
        vera, again, omar = [await console.signed_in(name) for name in ("vera", "vera", "omar")]
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group, slow_audit(database):
            here = [group.create_task(vera.get("/audit")) for _ in range(2)]
            await waiting(database, 2)
            here.append(group.create_task(vera.get("/settings")))
            refused = group.create_task(again.get("/settings"))  # of the same person, in another window
            done, _ = await asyncio.wait({refused, here[2]}, return_when=asyncio.FIRST_COMPLETED)
            assert [one.result().status for one in done] == [429]
            assert (await omar.get("/settings")).status == 200
        assert sorted([(await one).status for one in here] + [(await refused).status]) == [200, 200, 200, 429]


async def test_turns_are_forgotten_once_nobody_waits() -> None:
    turns = Turns(1, 5.0, 1)
    async with turns.of("vera"):
        async with turns.of("omar"):
            pass
        waiting = asyncio.create_task(_taken(turns))
        await asyncio.sleep(0)
        with pytest.raises(OutOfTurn, match="2 requests are here already"):
            async with turns.of("vera"):
                pass
    await waiting
    assert not turns._turns
    assert not turns._here


async def _taken(turns: Turns) -> None:
    async with turns.of("vera"):
        pass


async def test_a_request_without_a_turn_is_refused_in_words(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.console.console_app.WAIT_SECONDS", 0.05)
    async with running_console(database) as console:
        vera, omar = [await console.signed_in(name) for name in ("vera", "omar")]
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group, slow_audit(database):
            slow = [group.create_task(vera.get("/audit")) for _ in range(2)]
            await waiting(database, 2)
            refused = await vera.get("/settings")
            assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
            assert "Too many of your pages are loading" in refused.text
            assert (await omar.get("/settings")).status == 200
        assert [(await one).status for one in slow] == [200, 200]
        assert (await vera.get("/settings")).status == 200


async def test_a_statement_that_the_server_ended_is_told_in_words(database: Database) -> None:
    async with database.reading(writes=True) as own:
        await own.execute("SELECT 1")
        async with running_console(own) as console:
            vera = await console.signed_in("vera")
            await own.execute("SET statement_timeout = '50ms'")
            async with slow_audit(database):
                told = await vera.get("/audit")
            assert told.status == 503
            assert "That took too long" in told.text
            assert "for a day, or for an id" in told.text
            assert (await vera.get("/settings")).status == 200
