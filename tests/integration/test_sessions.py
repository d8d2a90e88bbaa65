"""When the server ends a session, the work in it is no failure: it is done again."""

from __future__ import annotations

import pytest

from consumers.ports.unavailable import DatabaseBusy, DatabaseUnavailable
from tests.processes import until
from worker.postgres.database import Database
from worker.verify.record import away


async def standing_still(database: Database) -> None:
    """A transaction of a machine that slept for longer than the server waits."""
    async with database.connection() as connection:
        await connection.execute("SET idle_in_transaction_session_timeout = '50ms'")
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        async with connection.transaction():
            await connection.execute("SELECT 1")

            async def gone() -> bool:
                return not await database.fetch("SELECT FROM pg_stat_activity WHERE pid = $1", pid)

            await until(gone, what="the end of the session")
            await connection.execute("SELECT 1")


async def ended(database: Database) -> None:
    """A transaction whose session an operator ends."""
    async with database.connection() as connection, connection.transaction():
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        await database.fetch("SELECT pg_terminate_backend($1)", pid)
        await connection.execute("SELECT 1")


async def test_a_machine_that_stood_still_in_a_transaction_finds_its_session_gone(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        await standing_still(database)
    assert away(raised.value), "all that was done in it fares alike"
    assert not isinstance(raised.value, DatabaseBusy)


async def test_a_session_that_an_operator_ended_is_gone_likewise(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        await ended(database)
    assert away(raised.value)
