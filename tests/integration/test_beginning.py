"""The broker and the endpoints begin in the log before the first event that a process places.

Each process here runs as `serve` runs it, with the roles that a test names, and the simulated gateways beside it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from decimal import Decimal

import aio_pika
import aiohttp
import pytest
from aio_pika.abc import AbstractQueue
from msgspec import Struct
from msgspec.structs import replace

from consumers.ports.writes import Keys
from schemas.changes import Change
from schemas.payments import Payment
from tests.broker import RabbitMQ
from tests.harness import System, free_ports
from tests.integration.endpoints import SECRET, Hook, happen, hooking
from tests.integration.rabbit import emptied
from tests.integration.sandboxes import CUSTOMER, MONEYBAG
from tests.processes import directory, until
from worker.amqp.topology import EVENTS
from worker.config import load
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.process import run_roles

ACCOUNT = "shop-moneybag"
WEBHOOK = """
[[merchants.webhooks]]
url = "{url}"
secret = "{secret}"
"""
SECONDS = 2.0
"""A process that does not wait for the table places events within this time. A slower process is not noticed."""


class Place(Struct, frozen=True):
    """An installation whose broker has a subscriber, and whose database is new."""

    system: System
    database: Database
    environ: dict[str, str]
    events: AbstractQueue

    @asynccontextmanager
    async def serving(self, roles: Collection[str]) -> AsyncIterator[None]:
        """A process with these roles; the block may begin before it is ready."""
        (ops,) = free_ports(1)
        stop = asyncio.Event()
        config = load(self.environ | {"PAYPROOF_OPS_LISTEN": f"127.0.0.1:{ops}"})
        running = asyncio.create_task(run_roles(config, roles, self.database, stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(running, 60)

    async def paid(self) -> Payment:
        """A payment whose buyer has paid, and which has no event: the gateway's answer to its opening was lost."""
        reference = f"first-{secrets.token_hex(8)}"
        pages = dict.fromkeys(("success_url", "fail_url", "cancel_url"), "https://shop.example/thanks")
        order = {"order_id": reference, "order_amount": "1500.50", "order_description": "Two saris", "currency": "BDT"}
        async with aiohttp.ClientSession() as http:
            checkout = f"{self.system.sandbox_url}/moneybag/payments/checkout"
            body = {**order, **pages, "customer": CUSTOMER}
            async with http.post(checkout, json=body, headers=MONEYBAG) as opened:
                session_id = (await opened.json())["data"]["session_id"]
            buyer = {"provider": "moneybag", "reference": reference, "does": "pay", "webhook": False, "returns": False}
            async with http.post(f"{self.system.sandbox_url}/_control/shopper", json=buyer) as shopper:
                assert shopper.status == 200, await shopper.text()
        now = self.database.clock.now()
        payment = Payment(
            id=f"pay_{secrets.token_hex(13)}",
            merchant="shop",
            account=ACCOUNT,
            provider="moneybag",
            reference=reference,
            amount=Decimal("1500.50"),
            currency="BDT",
            opened_at=now - timedelta(minutes=1),
            expires_at=now + timedelta(hours=1),
        )
        ledger = PostgresLedger(self.database)
        await ledger.create(payment, {}, timedelta(0))
        async with ledger.batch([payment.id]) as batch:
            await batch.reserve([Keys.of(payment, sessions=[session_id])])
            await batch.store([Change(payment=replace(batch.cases[payment.id].payment, session_id=session_id))])
            await batch.commit()
        return payment

    async def returns(self, payment: Payment) -> None:
        """The buyer comes back, as soon as there is a process to come back to."""

        async def taken() -> bool:
            with suppress(aiohttp.ClientError):
                async with (
                    aiohttp.ClientSession() as http,
                    http.get(
                        f"{self.system.url}/return/{ACCOUNT}/{payment.id}/success", allow_redirects=False
                    ) as answer,
                ):
                    return answer.status in (200, 303)
            return False

        await until(taken, what="the buyer is back")

    async def placed(self) -> dict[str, int] | None:
        """The positions given so far; None where no event has a position."""
        rows = await self.database.fetch("SELECT id, place FROM events WHERE place IS NOT NULL ORDER BY place")
        return {row["id"]: row["place"] for row in rows} or None

    async def told(self, ids: Collection[str]) -> None:
        """Wait until the subscriber has these events, and no others before them."""
        for event_id in ids:
            message = await until(lambda: self.events.get(no_ack=True, fail=False), what=f"{event_id} at the broker")
            assert message.message_id == event_id

    @asynccontextmanager
    async def late_for(self, table: str, roles: Collection[str]) -> AsyncIterator[None]:
        """A process with these roles. It can write to that table only after SECONDS, or once events have positions."""
        async with AsyncExitStack() as stack:
            async with self.database.connection() as connection, connection.transaction():
                await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                await stack.enter_async_context(self.serving(roles))
                with suppress(AssertionError):
                    await until(self.placed, what="there are events", seconds=SECONDS)
            yield


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with hooking(Hook()) as hook:
        yield hook


@pytest.fixture
async def at(database: Database, dsn: str, broker: RabbitMQ, hook: Hook) -> AsyncIterator[Place]:
    await emptied(broker)
    with directory() as home:
        system = System(home, merchants=WEBHOOK.format(url=hook.url, secret=SECRET))
        system.configure()
        system.sandbox.start()
        try:
            await asyncio.to_thread(system.sandbox.wait_for, f"{system.sandbox_url}/_control/troubles", seconds=60)
            async with await aio_pika.connect(broker.url) as connection:
                channel = await connection.channel()
                exchange = await channel.declare_exchange(EVENTS, aio_pika.ExchangeType.TOPIC, durable=True)
                queue = await channel.declare_queue(exclusive=True)
                await queue.bind(exchange, "payment.#")
                environ = system.settings | {"PAYPROOF_DATABASE_URL": dsn, "PAYPROOF_AMQP_URL": broker.url}
                yield Place(system, database, environ, queue)
        finally:
            system.sandbox.stop()


async def test_the_first_event_ever_reaches_the_broker_though_the_relay_comes_up_late(at: Place) -> None:
    payment = await at.paid()
    async with at.serving({"ingress", "consume"}):
        await at.returns(payment)
        await until(at.placed, what="the event has its place before any relay came up")
        assert await at.placed() == {f"{payment.id}.1": 1}
        async with at.serving({"relay"}):
            await at.told([f"{payment.id}.1"])


async def test_what_was_left_without_a_place_reaches_the_broker_where_a_relay_comes_up_alone(at: Place) -> None:
    ids = await happen(at.database, 3, merchant="shop")
    await at.database.execute("UPDATE events SET place = NULL")
    async with at.late_for("relays", {"relay"}):
        await at.told(ids)


async def test_what_waited_for_the_first_process_is_told_to_the_endpoints_that_begin_with_it(
    at: Place, hook: Hook
) -> None:
    payment = await at.paid()
    async with at.serving({"ingress"}):
        await at.returns(payment)
    async with at.late_for("endpoints", {"consume", "relay", "deliver"}):
        await until(lambda: bool(hook.taken), what="the endpoint is told")
    assert hook.taken == [f"{payment.id}.1"]
