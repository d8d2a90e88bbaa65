"""Which errors of the driver mean "the database is away, try again later", and that no other error is taken for one."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from consumers.ports.unavailable import (
    BusUnavailable,
    DatabaseBusy,
    DatabaseUnavailable,
    TransactionRolledBack,
    Unavailable,
    error_name,
)
from worker.postgres.driver_errors import translated

AWAY = [
    ConnectionRefusedError(),
    ConnectionResetError(),
    BrokenPipeError(),
    TimeoutError(),
    asyncpg.ConnectionDoesNotExistError(),
    asyncpg.ConnectionFailureError(),
    asyncpg.AdminShutdownError(),  # 57P01
    asyncpg.CrashShutdownError(),  # 57P02
    asyncpg.CannotConnectNowError(),  # 57P03
    asyncpg.QueryCanceledError(),
    asyncpg.TooManyConnectionsError(),  # 53300
    asyncpg.DiskFullError(),
    asyncpg.OutOfMemoryError(),
    asyncpg.ReadOnlySQLTransactionError(),  # 25006: a server that became a standby
    asyncpg.IdleInTransactionSessionTimeoutError(),
    asyncpg.PostgresIOError(),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError("got result for unknown protocol state"),
]
BUSY = [asyncpg.LockNotAvailableError()]
ROLLED_BACK = [asyncpg.DeadlockDetectedError(), asyncpg.SerializationError()]
OURS = [
    asyncpg.PostgresSyntaxError(),
    asyncpg.UndefinedTableError(),
    asyncpg.UniqueViolationError(),
    asyncpg.CheckViolationError(),
    asyncpg.InsufficientPrivilegeError(),
    asyncpg.DataError(),
    asyncpg.InvalidPasswordError(),
    asyncpg.InvalidCatalogNameError(),
    ValueError(),
    KeyError(),
    RuntimeError(),
    AssertionError(),
]


def name(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", [*AWAY, *BUSY, *ROLLED_BACK], ids=name)
def test_an_error_of_a_server_that_is_away_or_busy_is_raised_as_unavailable(error: Exception) -> None:
    with pytest.raises(DatabaseUnavailable) as raised, translated():
        raise error
    assert isinstance(raised.value, Unavailable)
    assert isinstance(raised.value, DatabaseBusy) == (error in [*BUSY, *ROLLED_BACK])
    assert isinstance(raised.value, TransactionRolledBack) == (error in ROLLED_BACK)
    assert raised.value.__cause__ is error
    assert error_name(raised.value) == str(raised.value) == name(error), "a log tells which error it was"


@pytest.mark.parametrize("error", OURS, ids=name)
def test_an_error_of_a_statement_or_of_ours_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translated():
        raise error
    assert raised.value is error


def test_what_is_translated_already_passes_as_it_is() -> None:
    error = TransactionRolledBack()
    with pytest.raises(TransactionRolledBack) as raised, translated(), translated():
        raise error
    assert raised.value is error


def test_the_name_of_an_error_is_that_of_the_first_one() -> None:
    bus, ours = BusUnavailable("away"), TransactionRolledBack()
    ours.__cause__ = asyncpg.DeadlockDetectedError()
    assert (error_name(bus), error_name(ValueError())) == ("BusUnavailable", "ValueError")
    bus.__cause__ = ours
    assert error_name(bus) == "DeadlockDetectedError"


async def test_a_task_that_is_cancelled_stays_cancelled() -> None:
    async def work() -> None:
        with translated():
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_a_deadline_around_the_block_is_the_callers_own() -> None:
    async def work() -> None:
        with translated():
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work(), 0.01)
