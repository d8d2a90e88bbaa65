"""A real Postgres for the layer: one embedded server for the session, a fresh database of a template for each test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from tests.integration.shops import Shops, serving
from worker.postgres.database import Database, connect
from worker.postgres.embedded import embedded_here
from worker.postgres.migrate import migrate

_TEMPLATE = "template_of_tests"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that has a migrated template; it ends with the session."""
    home: Path = tmp_path_factory.mktemp("postgres")
    for place in (home, *home.parents):  # the server's own user must get through the directories pytest made
        if place.name.startswith("pytest-"):
            place.chmod(0o755)
    home.chmod(0o755)
    with embedded_here(home / "data") as url:
        with ThreadPoolExecutor(1) as aside:  # a test's event loop may be running here
            aside.submit(asyncio.run, migrate(_named(url, _TEMPLATE))).result()
        yield url


@pytest.fixture
async def dsn(server: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(_named(server, "postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
        yield _named(server, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with connect(dsn) as database:
        yield database


@pytest.fixture
async def shops(database: Database) -> AsyncIterator[Shops]:
    """The merchant API over that database, with two shops."""
    async with serving(database) as shops:
        yield shops


def _named(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
