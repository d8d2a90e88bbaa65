"""Every way to the database says DatabaseUnavailable of a server that is away, and nothing else of what is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from consumers.ports.unavailable import DatabaseBusy, DatabaseUnavailable, TransactionRolledBack, error_name
from worker.postgres import database as module
from worker.postgres.database import Database, connect, despite_others
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.primary import Primary
from worker.postgres.queue.turns import PostgresTurns

NOWHERE = "postgresql://payproof@127.0.0.1:1/payproof"

Way = Callable[[Database, str], Awaitable[object]]


async def fetch(database: Database, sql: str) -> None:
    await database.fetch(sql)


async def execute(database: Database, sql: str) -> None:
    await database.execute(sql)


async def connection(database: Database, sql: str) -> None:
    async with database.connection() as lent:
        await lent.fetchval(sql)


async def transaction(database: Database, sql: str) -> None:
    async with database.connection() as lent, lent.transaction():
        await lent.execute(sql)


async def ledger(database: Database, sql: str) -> None:
    async with PostgresLedger(database).batch([]) as batch:
        await batch._connection.execute(sql)


WAYS: list[Way] = [fetch, execute, connection, transaction, ledger]


def raising(code: str) -> str:
    """A statement that fails with this SQLSTATE."""
    return f"DO $$ BEGIN RAISE EXCEPTION 'as the test wants it' USING ERRCODE = '{code}'; END $$"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("57P01", "AdminShutdownError"),
        ("57P02", "CrashShutdownError"),
        ("57P03", "CannotConnectNowError"),
        ("53300", "TooManyConnectionsError"),
        ("25006", "ReadOnlySQLTransactionError"),
        ("57014", "QueryCanceledError"),
        ("08006", "ConnectionFailureError"),
    ],
)
async def test_a_server_that_is_away_full_or_a_standby_is_unavailable(
    database: Database, way: Way, code: str, name: str
) -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        await way(database, raising(code))
    assert not isinstance(raised.value, DatabaseBusy)
    assert error_name(raised.value) == name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("code", "kind"), [("55P03", DatabaseBusy), ("40P01", TransactionRolledBack), ("40001", TransactionRolledBack)]
)
async def test_others_in_the_way_are_told_from_a_server_that_is_away(
    database: Database, way: Way, code: str, kind: type[DatabaseBusy]
) -> None:
    with pytest.raises(DatabaseBusy) as raised:
        await way(database, raising(code))
    assert type(raised.value) is kind


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELEC", asyncpg.PostgresSyntaxError),
        ("SELECT * FROM no_such_table", asyncpg.UndefinedTableError),
        ("SELECT 1 / 0", asyncpg.DivisionByZeroError),
        (raising("23505"), asyncpg.UniqueViolationError),
        (raising("P0001"), asyncpg.RaiseError),
    ],
)
async def test_what_is_wrong_with_a_statement_is_no_outage(
    database: Database, way: Way, sql: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await way(database, sql)


async def test_a_value_that_is_wrong_and_a_fault_of_ours_in_a_block_are_no_outage(database: Database) -> None:
    with pytest.raises(asyncpg.DataError):
        await database.fetch("SELECT $1::int", "seven")
    with pytest.raises(KeyError):
        async with database.connection():
            raise KeyError


@pytest.mark.parametrize("way", WAYS)
async def test_a_session_that_ends_under_a_statement_is_unavailable_and_the_next_call_finds_a_new_one(
    database: Database, way: Way
) -> None:
    with pytest.raises(DatabaseUnavailable):
        await way(database, "SELECT pg_terminate_backend(pg_backend_pid())")
    assert await database.fetch("SELECT 1")


@pytest.mark.parametrize("way", WAYS)
async def test_where_nothing_listens_each_way_is_unavailable(way: Way) -> None:
    async with asyncpg.create_pool(NOWHERE, min_size=0) as pool:
        with pytest.raises(DatabaseUnavailable) as raised:
            await way(Database(pool, NOWHERE, Primary()), "SELECT 1")
    assert error_name(raised.value) == "ConnectionRefusedError"


async def test_where_nothing_listens_no_session_no_turn_and_no_pool_is_to_be_had() -> None:
    database = Database(asyncpg.create_pool(NOWHERE, min_size=0), NOWHERE, Primary())
    with pytest.raises(DatabaseUnavailable):
        await database.session("test")
    with pytest.raises(DatabaseUnavailable):
        await PostgresTurns(database).take(["pay-1"])
    with pytest.raises(DatabaseUnavailable):
        async with connect(NOWHERE):
            pass


async def test_a_statement_and_a_wait_for_a_connection_that_take_too_long_are_unavailable(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(dsn, size=1) as database, database.connection() as lent:
        monkeypatch.setattr(module, "ACQUIRE_SECONDS", 0.05)
        with pytest.raises(DatabaseUnavailable) as raised:
            await database.fetch("SELECT 1")
        assert error_name(raised.value) == "TimeoutError"
        with pytest.raises(TimeoutError):
            await lent.execute("SELECT pg_sleep(5)", timeout=0.05)
    async with connect(dsn) as database:
        with pytest.raises(DatabaseUnavailable) as raised:
            async with database.connection() as lent:
                await lent.execute("SELECT pg_sleep(5)", timeout=0.05)
        assert error_name(raised.value) == "TimeoutError"


async def test_the_errors_of_other_work_pass_a_long_connection_as_they_are(database: Database) -> None:
    with pytest.raises(FileNotFoundError):
        async with database.long_connection():
            raise FileNotFoundError(2, "No such file or directory", "statement.csv")


@pytest.mark.parametrize("long", [False, True])
async def test_a_task_that_is_cancelled_in_a_block_is_cancelled(database: Database, long: bool) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with database.long_connection() if long else database.connection():
            begun.set()
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await begun.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_a_transaction_that_was_rolled_back_for_another_is_run_again_at_once(database: Database) -> None:
    runs = 0

    async def rolled_back_once() -> int:
        nonlocal runs
        runs += 1
        if runs == 1:
            await transaction(database, raising("40P01"))
        return runs

    assert await despite_others(rolled_back_once) == 2
