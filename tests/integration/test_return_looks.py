"""What a buyer's return reads of its payment: once, and again only where this process does not know the outcome."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from schemas.changes import Change
from schemas.payments import Payment
from schemas.words import Status
from tests.integration.shops import CONFIG, TRACKED, Shops
from tests.processes import until
from worker.ingress.byte_budgets import ByteBudgets
from worker.ingress.ingress import ingress_of
from worker.ingress.returns import Returns
from worker.ingress.waiters import PaymentWaiters
from worker.postgres.database import CHANNEL, Connection, Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.wakeups import Wakeup
from worker.runtime.cancellation import ended_at_exit
from worker.telemetry.metrics import Metrics

PAID: dict[str, Any] = {**TRACKED, "return_url": "https://shop.example/thanks"}


class Logged(Database):
    """Keeps the text of every statement of the requests and commits of one process."""

    def __init__(self, database: Database, dsn: str) -> None:
        super().__init__(database._pool, dsn, database.primary)
        self.clock = database.clock
        self.statements: list[str] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection[asyncpg.Record]]:
        async with super().connection() as connection:
            with connection.query_logger(lambda query: self.statements.append(query.query)):
                yield connection


class Here:
    """A process with the public endpoints. `shops` commits in it, and it receives the commits of other processes."""

    def __init__(self, shops: Shops, database: Logged, waiters: PaymentWaiters, client: TestClient[Any, Any]) -> None:
        self.shops, self.database, self.waiters, self.client = shops, database, waiters, client
        self.heard: list[str] = []

    async def kept(self, payment: dict[str, Any]) -> Payment:
        async with self.shops.api.ledger.batch([payment["payment_id"]]) as batch:
            return batch.cases[payment["payment_id"]].payment

    def hear(self, wakeup: Wakeup) -> None:
        self.heard += wakeup.outcomes
        self.waiters.notify(wakeup.outcomes)

    async def tracked(self) -> dict[str, Any]:
        """A payment that was tracked through another process, and whose opening this process has received."""
        got = await self.shops.post("/v1/payments/track", PAID)
        assert got.status == 201, got
        payment: dict[str, Any] = got.body

        async def look() -> bool:
            return payment["payment_id"] in self.heard

        await until(look, what="the wakeup of the opening")
        return payment

    def looks(self) -> list[str]:
        """The statements by which returns read payments."""
        return [one for one in self.database.statements if re.search(r"FROM payments WHERE id = ANY", one)]

    async def looked(self, times: int) -> None:
        async def look() -> bool:
            return len(self.looks()) == times

        await until(look, what=f"{times} looks at the payment")

    async def taken(self) -> None:
        async def look() -> bool:
            return bool(await self.shops.queued())

        await until(look, what="the claim is durable")

    async def returns(self, path: str, **headers: str) -> tuple[int, str | None]:
        """The status of the answer, and the payment status in the redirect, if it is a redirect."""
        async with self.client.get(path, headers=headers, allow_redirects=False) as answered:
            told = dict(parse_qsl(urlsplit(answered.headers.get("Location", "")).query))
            return answered.status, told.get("status")


@asynccontextmanager
async def process(shops: Shops, dsn: str, return_wait: float) -> AsyncIterator[Here]:
    database, waiters, connected = Logged(shops.database, dsn), PaymentWaiters(), asyncio.Event()

    def changed(_: Payment, change: Change) -> None:
        waiters.tell(change.payment)

    async def listening() -> None:
        connected.set()

    ledger, bus = PostgresLedger(database, changed=changed), PostgresBus(database)
    config = replace(CONFIG, return_wait=return_wait)
    app = web.Application()
    budgets = ByteBudgets(10**9, database.clock.now)
    app.add_routes(Returns(ingress_of(config, ledger, bus, database.clock, waiters, budgets, Metrics())).routes())
    tasks: dict[str, asyncio.Task[None]] = {}
    async with TestClient(TestServer(app)) as client, asyncio.TaskGroup() as group, ended_at_exit(tasks):
        own = Shops(shops.session, shops.url, replace(shops.api, database=database, ledger=ledger), shops.checkout)
        here = Here(own, database, waiters, client)
        tasks["notices"] = group.create_task(database.listen(here.hear, connected=listening))
        await connected.wait()
        yield here


@pytest.fixture
async def here(shops: Shops, dsn: str) -> AsyncIterator[Here]:
    async with process(shops, dsn, return_wait=20) as here:
        yield here


def path(payment: dict[str, Any]) -> str:
    return f"/return/{payment['account']}/{payment['payment_id']}"


async def test_a_known_end_is_looked_up_once_and_nothing_else_of_it_is_read(shops: Shops, here: Here) -> None:
    payment = await here.tracked()
    await shops.answered(payment, Status.COMPLETED)
    assert await here.returns(path(payment)) == (303, "completed")
    (look,) = here.looks()
    assert "*" not in look
    assert not re.search("amount|metadata|description|checkout_url|hint_asks|execute", look)
    assert [one for one in here.database.statements if "payments" in one] == [look]


async def test_what_this_process_commits_is_told_without_another_look(here: Here) -> None:
    payment = await here.tracked()
    returning = asyncio.create_task(here.returns(path(payment)))
    await here.taken()
    await here.shops.answered(payment, Status.COMPLETED)
    assert await returning == (303, "completed")
    assert len(here.looks()) == 1


async def test_what_another_process_commits_is_looked_up(shops: Shops, here: Here) -> None:
    payment = await here.tracked()
    returning = asyncio.create_task(here.returns(path(payment)))
    await here.taken()
    await shops.answered(payment, Status.FAILED)
    assert await returning == (303, "failed")
    assert len(here.looks()) == 2


async def test_a_notice_is_no_outcome_whatever_it_says(shops: Shops, dsn: str) -> None:
    """Every user who may connect to the database can send a notice, a reader of dashboards too."""
    async with process(shops, dsn, return_wait=2) as here:
        payment = await here.tracked()
        returning = asyncio.create_task(here.returns(path(payment)))
        await here.taken()
        told = {"id": payment["payment_id"], "status": "completed", "holds": [], "version": 9}
        forged = {"outcomes": [payment["payment_id"]], "told": [told], "payments": [told], **told}
        await shops.database.execute("SELECT pg_notify($1, $2)", CHANNEL, json.dumps(forged))
        await here.looked(2)
        assert await returning == (200, None)


async def test_an_event_that_is_no_outcome_leads_to_a_look(here: Here) -> None:
    """Its own commit says that it is still pending; other processes' commits may say more."""
    payment = await here.tracked()
    returning = asyncio.create_task(here.returns(path(payment)))
    await here.taken()
    pending = await here.kept(payment)
    here.waiters.tell(replace(pending, version=pending.version + 1))
    await here.looked(2)
    await here.shops.answered(payment, Status.COMPLETED)
    assert await returning == (303, "completed")
    assert len(here.looks()) == 2


async def test_what_is_older_than_what_was_seen_is_not_believed(here: Here) -> None:
    payment = await here.tracked()
    returning = asyncio.create_task(here.returns(path(payment)))
    await here.taken()
    here.waiters.tell(replace(await here.kept(payment), status=Status.FAILED))
    await here.looked(2)
    await here.shops.answered(payment, Status.COMPLETED)
    assert await returning == (303, "completed")


async def test_a_held_wait_looks_once(here: Here) -> None:
    payment = await here.tracked()
    waiting = asyncio.create_task(here.returns(f"{path(payment)}/wait", Prefer="wait=20"))
    await here.looked(1)
    await here.shops.answered(payment, Status.COMPLETED)
    assert await waiting == (303, "completed")
    assert len(here.looks()) == 1


async def test_a_return_to_the_shops_own_checkout_looks_once_at_what_it_found(here: Here) -> None:
    payment = await here.tracked()
    named = f"/return/{payment['account']}?paymentID={payment['session_id']}"
    returning = asyncio.create_task(here.returns(named))
    await here.taken()
    await here.shops.answered(payment, Status.COMPLETED)
    assert await returning == (303, "completed")
    assert len(here.looks()) == 1


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
async def test_what_a_commit_tells_is_what_a_look_reads(here: Here, status: Status) -> None:
    payment = await here.tracked()
    with here.waiters.of(payment["payment_id"]) as changing:
        await here.shops.answered(payment, status)
        told = await changing.change()
    assert told is not None
    assert told.status is status
    assert await here.shops.api.ledger.peek([(payment["account"], payment["payment_id"])]) == [told]
