"""The whole service over two URLs: PgBouncer in transaction mode for some, the server for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.buyers import ASKED, Payproof
from tests.e2e.conformance_whole_way import WholeWay
from tests.e2e.installed import Installed
from tests.fault.postgres import postgres
from tests.harness import System
from tests.pooler import pooler
from tests.processes import directory
from worker.postgres.server.migrate import apply_migrations
from worker.postgres.server.session_check import CONNECT_QUERY

PROCESSES = {"ingress": "ingress", "consume": "consume", "clockwork": "sweep,relay", "deliver": "deliver"}


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """The pooler lends its sessions in turn, so that nothing passes because a session came back by chance."""
    with directory() as place, directory() as database, postgres(database) as server:
        url = server.url
        with ThreadPoolExecutor(1) as aside:
            aside.submit(asyncio.run, _migrated(url)).result()
        with pooler(url, "transaction", in_turn=1, connect_query=CONNECT_QUERY) as through:
            system = System(place)
            system.configure()
            pooled = Installed(system)
            urls = {"PAYPROOF_DATABASE_URL": through, "PAYPROOF_DATABASE_DIRECT_URL": url}
            for name, roles in PROCESSES.items():
                pooled.add(name, roles, system.settings | urls)
            try:
                pooled.start()
                yield pooled
            finally:
                pooled.stop()


async def _migrated(url: str) -> None:
    await apply_migrations(url)


@pytest.fixture
async def payproof(installed: Installed) -> AsyncIterator[Payproof]:
    async with installed.used() as payproof:
        yield payproof


@pytest.mark.parametrize("name", ASKED)
async def test_a_buyer_pays_and_the_shop_is_told(payproof: Payproof, name: str) -> None:
    """Opened, called back, asked, recorded, placed and sent as a webhook."""
    scene = await payproof.opened(name, order=f"order-{name}")
    await scene.returns(await scene.at_gateway("pay"))
    await scene.until("opened", "completed")


async def test_many_at_once_are_paid(payproof: Payproof) -> None:
    """Statements of many transactions share the pooler's sessions, and none gets another's."""
    scenes = [await payproof.opened("payparse", order=f"many-{n}") for n in range(20)]

    async def pays(n: int) -> None:
        await scenes[n].returns(await scenes[n].at_gateway("pay"))
        await scenes[n].until("opened", "completed")

    await asyncio.gather(*(pays(n) for n in range(len(scenes))))


class TestWholeWay(WholeWay):
    pass
