"""Migrations: the database is made when missing, four at once are fine, and no password is ever repeated.

A migration that has to wait lets writers go on, and an index whose build was cut off is built again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from tests.contract import ROOT
from tests.processes import until
from worker.postgres.server import migrate
from worker.postgres.server.concurrent_indexes import forget_unfinished, sole_migrator
from worker.postgres.server.dbmate import MigrationError, dbmate_url, run_dbmate
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations

SECONDS = 60
"""A deadline for what happens soon, or never."""
PASSWORD = "p@ss/wörd:%41 '?#"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="payproof-test-", ignore_cleanup_errors=True) as place,
        embedded_here(Path(place) / "data") as url,
    ):
        yield url


@pytest.fixture
def database(server: str, request: pytest.FixtureRequest) -> str:
    """The URL of a database of this test's own that does not exist yet."""
    name = request.node.name[:50]
    return server.replace("@/payproof?", f"@/{name}?")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path, "0001_first.sql", "CREATE TABLE first (n int);")
    write(tmp_path, "0002_second.sql", "CREATE TABLE second (n int); INSERT INTO second VALUES (1);")
    return tmp_path


def write(directory: Path, name: str, sql: str, mark: str = "") -> None:
    (directory / name).write_text(f"-- migrate:up{mark}\n{sql}\n\n-- migrate:down{mark}\n")


def write_index(directory: Path) -> None:
    sql = "CREATE INDEX CONCURRENTLY IF NOT EXISTS first_n ON first (n);"
    write(directory, "0003_index.sql", sql, " transaction:false")


async def ask(url: str, sql: str, *, database: str | None = None) -> object:
    connection = await asyncpg.connect(url, database=database)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A transaction that has written to `first`, until the block ends."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("INSERT INTO first VALUES (1)")
            yield connection
    finally:
        await connection.close()


async def waits(url: str, words: str) -> None:
    """Wait until a statement with these words waits for others."""

    async def waiting() -> bool:
        sql = f"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%{words}%' AND wait_event_type = 'Lock')"
        return bool(await ask(url, sql))

    await until(waiting, what=f"{words} waits", seconds=SECONDS)


async def test_a_missing_database_is_made_and_migrated(database: str, directory: Path) -> None:
    assert await apply_migrations(database, directory=directory) == ("0001_first.sql", "0002_second.sql")
    assert await ask(database, "SELECT count(*) FROM second") == 1


async def test_only_what_is_new_is_applied(database: str, directory: Path) -> None:
    await apply_migrations(database, directory=directory)
    write(directory, "0003_third.sql", "CREATE TABLE third (n int);")
    assert await apply_migrations(database, directory=directory) == ("0003_third.sql",)
    assert await apply_migrations(database, directory=directory) == ()


async def test_four_at_once_apply_everything_once(database: str, directory: Path) -> None:
    applied = await asyncio.gather(*(apply_migrations(database, directory=directory) for _ in range(4)))
    assert sorted(name for names in applied for name in names) == ["0001_first.sql", "0002_second.sql"]
    assert await ask(database, "SELECT count(*) FROM second") == 1


async def test_a_failing_file_is_named_with_the_sql_error_and_leaves_no_trace(database: str, directory: Path) -> None:
    write(directory, "0003_bad.sql", "CREATE TABLE third (n int); SELECT no_such_thing;")
    with pytest.raises(MigrationError, match=r'0003_bad\.sql: .*column "no_such_thing" does not exist'):
        await apply_migrations(database, directory=directory)
    assert await ask(database, "SELECT to_regclass('third')") is None
    assert await ask(database, "SELECT count(*) FROM second") == 1


async def test_a_migration_that_waits_for_a_lock_lets_writers_pass(
    database: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.2)
    await apply_migrations(database, directory=directory)
    write(directory, "0003_third.sql", "CREATE TABLE third (n int);")
    write(directory, "0004_column.sql", "ALTER TABLE first ADD COLUMN m int;")
    async with writing(database):
        applying = asyncio.create_task(apply_migrations(database, directory=directory))
        await waits(database, "ADD COLUMN m")
        async with asyncio.timeout(SECONDS):
            await ask(database, "INSERT INTO first VALUES (2)")
        assert not applying.done()
    assert await applying == ("0003_third.sql", "0004_column.sql")
    assert await ask(database, "SELECT count(m) + count(*) FROM first") == 2


async def test_a_lock_that_stays_ends_in_an_error_that_says_so(
    database: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(migrate, "TRIES", 3)
    await apply_migrations(database, directory=directory)
    write(directory, "0003_column.sql", "ALTER TABLE first ADD COLUMN m int;")
    async with writing(database):
        with pytest.raises(MigrationError, match=r"^0003_column\.sql: .* another transaction holds a lock"):
            await apply_migrations(database, directory=directory)
    assert await apply_migrations(database, directory=directory) == ("0003_column.sql",)


async def valid(url: str) -> object:
    return await ask(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('first_n')")


async def test_an_index_is_built_beside_writers_by_one_of_four_migrators(database: str, directory: Path) -> None:
    await apply_migrations(database, directory=directory)
    write_index(directory)
    write(directory, "0004_fourth.sql", "CREATE TABLE fourth (n int);")
    async with writing(database):
        applying = asyncio.gather(*(apply_migrations(database, directory=directory) for _ in range(4)))
        await waits(database, "CREATE INDEX CONCURRENTLY")
        async with asyncio.timeout(SECONDS):
            await ask(database, "INSERT INTO first VALUES (2)")
    assert sorted(name for names in await applying for name in names) == ["0003_index.sql", "0004_fourth.sql"]
    assert await valid(database) is True


async def test_an_index_whose_build_was_cut_off_is_built_again(database: str, directory: Path) -> None:
    await apply_migrations(database, directory=directory)
    write_index(directory)
    async with writing(database):
        applying = asyncio.create_task(apply_migrations(database, directory=directory))
        await waits(database, "CREATE INDEX CONCURRENTLY")
        cut_off = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%CREATE INDEX CONCURRENTLY%'"
        await ask(database, f"{cut_off} AND pid <> pg_backend_pid()")
        with pytest.raises(MigrationError, match=r"0003_index\.sql: .*canceling statement"):
            await applying
    assert await valid(database) is False
    assert await apply_migrations(database, directory=directory) == ("0003_index.sql",)
    assert await valid(database) is True


async def test_the_build_of_a_killed_migrator_is_waited_for(database: str, directory: Path) -> None:
    await apply_migrations(database, directory=directory)
    write_index(directory)
    code = (
        "import asyncio, pathlib, sys\nfrom worker.postgres.server.migrate import apply_migrations\n"
        "asyncio.run(apply_migrations(sys.argv[1], directory=pathlib.Path(sys.argv[2])))"
    )
    words = [sys.executable, "-P", "-c", code, database, str(directory)]
    async with writing(database):
        killed = await asyncio.create_subprocess_exec(*words, env=os.environ | {"PYTHONPATH": str(ROOT)})
        await waits(database, "CREATE INDEX CONCURRENTLY")
        killed.kill()
        await killed.wait()
        applying = asyncio.create_task(apply_migrations(database, directory=directory))
        await until_migrating(database)
        assert await valid(database) is False
    await applying
    assert await valid(database) is True
    assert await apply_migrations(database, directory=directory) == ()


async def test_an_index_that_was_unused_unfinished_counts_as_not_applied(database: str, directory: Path) -> None:
    """As after a migrator that was killed, whose dbmate went on and failed."""
    await apply_migrations(database, directory=directory)
    write_index(directory)
    file = directory / "0003_index.sql"
    await ask(database, "CREATE INDEX first_n ON first (n)")
    await ask(database, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'first_n'::regclass")
    assert await run_dbmate(await dbmate_url(database), [file]) == ["0003_index.sql"]
    async with sole_migrator(database, SECONDS) as session:
        assert await forget_unfinished(session, file)
        assert not await forget_unfinished(session, directory / "0001_first.sql")
    assert await apply_migrations(database, directory=directory) == ("0003_index.sql",)
    assert await valid(database) is True


async def until_migrating(url: str) -> None:
    """Wait until a migrator has looked at the index, which another one builds."""

    async def looks() -> bool:
        sql = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%pg_stat_progress_create_index p%'"
        return bool(await ask(url, f"{sql} AND pid <> pg_backend_pid())"))

    await until(looks, what="a migrator waits for the build", seconds=SECONDS)


async def test_names_and_passwords_of_any_signs_work(server: str, directory: Path) -> None:
    name = 'odd "näme"/x'
    await ask(
        server,
        f"CREATE ROLE \"odd role\" LOGIN SUPERUSER PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'",
        database="postgres",
    )
    url = (
        f"postgresql://{quote('odd role')}:{quote(PASSWORD, safe='')}@/{quote(name, safe='')}?{urlsplit(server).query}"
    )
    assert len(await apply_migrations(url, directory=directory)) == 2
    assert await ask(url, "SELECT current_database()") == name


async def test_a_password_is_never_repeated(database: str, directory: Path) -> None:
    write(directory, "0003_bad.sql", f"SELECT $${PASSWORD}$$::int;")
    directory_of_sockets = parse_qs(urlsplit(database).query)["host"][0]
    url = database.replace("payproof@", f"payproof:{quote(PASSWORD, safe='')}@")
    assert directory_of_sockets in url
    with pytest.raises(MigrationError, match="invalid input syntax") as caught:
        await apply_migrations(url, directory=directory)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@127.0.0.1:1/shop",
        "postgresql://me:hunter2@127.0.0.1:port/shop",
        "postgresql://me:hunter2@[/shop",
        "mysql://me:hunter2@127.0.0.1/shop",
    ],
)
async def test_a_database_that_cannot_be_reached_is_one_clear_error(url: str) -> None:
    with pytest.raises(MigrationError, match="the database cannot be used") as caught:
        await apply_migrations(url)
    assert "hunter2" not in str(caught.value)


async def test_the_directory_of_the_package_is_found(database: str) -> None:
    applied = await apply_migrations(database)
    assert applied
    assert applied[0].startswith("0001_")
