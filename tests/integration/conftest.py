"""A real Postgres for the layer: one embedded server for the session, a fresh database of a template for each test.

That server syncs nothing to the disk, since no test here survives the machine. Commits are synchronous as in the
product: tests read that setting, and without syncs it costs nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from tests.broker import RabbitMQ, rabbitmq
from tests.integration.sandboxes import Driver, Receiver, driving, receiving
from tests.integration.shops import Shops, serving
from tests.processes import directory
from worker.playground.sandbox.sandbox_config import SandboxConfig
from worker.postgres.database import Database, connect
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations

_TEMPLATE = "template_of_tests"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server that has a migrated template; it ends with the session."""
    with a_server(fsync="off", full_page_writes="off") as url:
        yield url


@contextmanager
def a_server(**settings: str) -> Iterator[str]:
    """The URL of a private embedded server that has a migrated template. Blocks."""
    with directory() as home:
        home.chmod(0o755)  # the server's own user must get through
        with embedded_here(home / "data") as url:
            with ThreadPoolExecutor(1) as aside:  # a test's event loop may be running here
                aside.submit(asyncio.run, _prepare(url, settings)).result()
            yield url


@pytest.fixture(scope="session")
def broker() -> Iterator[RabbitMQ]:
    """A RabbitMQ that ends with the session."""
    with rabbitmq() as broker:
        yield broker


@pytest.fixture
async def unmade(server: str) -> AsyncIterator[str]:
    """The URL of a database that does not exist yet: the first to migrate creates it."""
    name = f"test_{next(_numbers)}"
    yield _named(server, name)
    admin = await asyncpg.connect(_named(server, "postgres"))
    try:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def dsn(server: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(_named(server, "postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY WAL_LOG")
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


@pytest.fixture
async def sandbox() -> AsyncIterator[Driver]:
    """A shop and a tester at a sandbox that repeats its webhooks at once."""
    async with driving(SandboxConfig(seed=7, webhook_base_delay=0.01)) as driver:
        yield driver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An endpoint of the shop's that keeps what comes."""
    async with receiving() as made:
        yield made


async def _prepare(url: str, settings: dict[str, str]) -> None:
    admin = await asyncpg.connect(_named(url, "postgres"))
    try:
        for name, value in settings.items():
            await admin.execute(f"ALTER SYSTEM SET {name} = {value}")
        await admin.execute("SELECT pg_reload_conf()")
    finally:
        await admin.close()
    await apply_migrations(_named(url, _TEMPLATE))


def _named(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
