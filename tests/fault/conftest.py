"""One fleet for the layer; each test begins with all of it running."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from copy import copy

import pytest

from tests.broker import RabbitMQ
from tests.fault.fleet import Fleet, running_fleet
from tests.integration.conftest import a_server, database, dsn

__all__ = ["aside", "database", "dsn", "fleet", "server", "the_fleet"]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server as it is shipped, which syncs to the disk."""
    with a_server() as url:
        yield url


@pytest.fixture(scope="session")
def the_fleet() -> Iterator[Fleet]:
    with running_fleet() as fleet:
        yield fleet


@pytest.fixture
async def fleet(the_fleet: Fleet) -> Fleet:
    await asyncio.to_thread(the_fleet.restore)
    return the_fleet


@pytest.fixture(scope="session")
def aside(the_fleet: Fleet) -> RabbitMQ:
    """The fleet's broker, in a virtual host of its own."""
    the_fleet.broker.ctl("add_vhost", "aside")
    the_fleet.broker.ctl("set_permissions", "-p", "aside", "guest", ".*", ".*", ".*")
    broker = copy(the_fleet.broker)
    broker.url = f"{the_fleet.broker.url}aside"
    return broker
