"""Migrations: the database is made when missing, four at once are fine, and no password is ever repeated."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import MigrationError, apply_migrations

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


def write(directory: Path, name: str, sql: str) -> None:
    (directory / name).write_text(f"-- migrate:up\n{sql}\n\n-- migrate:down\n")


async def ask(url: str, sql: str, *, database: str | None = None) -> object:
    connection = await asyncpg.connect(url, database=database)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


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
