"""The subscribers that shops begin from, run as they stand: over a real RabbitMQ, each on its shop's own database.

A subscriber must die between its work and its acknowledgement. That moment is too short to hit, so a proxy in front of
the broker stops passing data on and the acknowledgement never arrives.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel
from msgspec import Struct

from tests.broker import RabbitMQ, rabbitmq
from tests.e2e.two_attempts import STORIES, played
from tests.e2e.wordpress import mariadb
from tests.processes import directory, until
from worker.amqp.messages import event_message
from worker.amqp.publisher import confirm
from worker.amqp.topology import EVENTS, declare
from worker.postgres.server.embedded import embedded_here

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy" / "subscribers"
PHP_LIBRARY = Path("/usr/share/php/PhpAmqpLib/autoload.php")
PHP = shutil.which("php") is not None and PHP_LIBRARY.exists()
QUEUE = "shop.payments"
UNREADABLE = [b"{", b"\xff\xfe", b"[]", b'{"id": "pay_x.2"}', b'{"id": "pay_x.2", "data": {"payment_id": "pay_x"}}']


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMQ]:
    with rabbitmq() as broker:
        yield broker


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The directory of a Postgres socket: the shop's server, not payproof's."""
    with directory() as home:
        home.chmod(0o755)  # the server's own user must get through
        with embedded_here(home / "data"):
            yield home / "data" / "postgres"


class Line:
    """A proxy in front of the broker.

    Once it is `cut`, it passes nothing on to the broker, but still returns its answers.
    """

    def __init__(self, port: int) -> None:
        self._to, self._through = port, True
        self.port = 0

    def cut(self) -> None:
        self._through = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, back, outward=True))
                both.create_task(self._pass(there, writer, outward=False))
        except* OSError:
            pass
        finally:
            for end in (back, writer):
                end.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outward: bool) -> None:
        while data := await reader.read(65_536):
            if self._through or not outward:
                writer.write(data)
                await writer.drain()
        writer.close()


class Shop(Struct):
    """One example with a database and directory of its own; `process` is the last that was started."""

    kind: str
    place: Path
    command: list[str]
    environment: dict[str, str]
    channel: AbstractChannel
    process: asyncio.subprocess.Process | None = None

    async def start(self, port: int) -> None:
        """Start it. Returns when it consumes."""
        with (self.place / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.place,
                env=os.environ
                | self.environment
                | {"AMQP_URL": f"amqp://guest:guest@127.0.0.1:{port}/", "MERCHANT": "shop"},
                stdout=log,
                stderr=log,
            )

        async def consuming() -> bool:
            return await self.consumers() == 1

        await until(consuming, what=f"a consumer; see {self.place / 'log'}")

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def consumers(self) -> int:
        with suppress(aio_pika.exceptions.ChannelNotFoundEntity):
            async with self.channel._connection.channel() as looking:
                queue = await looking.declare_queue(QUEUE, passive=True)
                return queue.declaration_result.consumer_count or 0
        return 0

    async def tell(self, *events: bytes, type_: str = "payment.completed", merchant: str = "shop") -> None:
        for number, body in enumerate(events):
            await confirm(self.channel, event_message(f"m-{number}", type_, merchant, f"{merchant}-ipay", body))

    async def shipped(self) -> list[str]:
        """The orders that may leave, one for each parcel, sorted."""
        with suppress(sqlite3.OperationalError, asyncpg.UndefinedTableError):
            return sorted(row[0] for row in await self.ask("select order_id from shipments where stop is null"))
        return []

    async def ask(self, sql: str) -> list[Any]:
        if self.kind == "node":
            connection = await asyncpg.connect(
                host=self.environment["PGHOST"], user="payproof", database=self.environment["PGDATABASE"]
            )
            try:
                return await connection.fetch(sql)
            finally:
                await connection.close()
        with closing(sqlite3.connect(f"file:{self.place / 'shop.sqlite'}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()

    async def has_shipped(self, *orders: str) -> None:
        async def all_of_them() -> bool:
            return await self.shipped() == sorted(orders)

        await until(all_of_them, what=f"{orders} shipped; see {self.place / 'log'}")

    async def is_through(self, port: int) -> None:
        """Everything is acknowledged, which the queue shows when its consumer is gone; otherwise it gets more time."""

        async def gone() -> bool:
            return await self.consumers() == 0

        while True:
            await self.kill()
            await until(gone, what="the broker noticed")
            queue = await self.channel.declare_queue(QUEUE, passive=True)
            if queue.declaration_result.message_count == 0:
                return
            await self.start(port)

    async def dead(self) -> list[bytes]:
        queue, bodies = await self.channel.get_queue(f"{QUEUE}.dead", ensure=False), []
        while (message := await queue.get(fail=False)) is not None:
            bodies.append(message.body)
            await message.ack()
        return bodies


@pytest.fixture(params=["python", "node", "php"])
async def shop(request: pytest.FixtureRequest, broker: RabbitMQ, server: Path) -> AsyncIterator[Shop]:
    kind: str = request.param
    with directory() as place:
        name = {"python": "subscriber.py", "node": "subscriber.mjs", "php": "subscriber.php"}[kind]
        shutil.copy(EXAMPLES / name, place / name)
        environment: dict[str, str] = {}
        match kind:
            case "node":
                (place / "node_modules").symlink_to(ROOT / "tests" / "node_modules")
                admin = await asyncpg.connect(host=str(server), user="payproof", database="postgres")
                await admin.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
                await admin.execute("CREATE DATABASE shop")
                await admin.close()
                environment = {"PGHOST": str(server), "PGUSER": "payproof", "PGDATABASE": "shop", "PGPORT": "5432"}
                command = ["node", name]
            case "php":
                if not PHP:
                    raise AssertionError("there is no PHP with php-amqplib; deploy/dev test installs it")
                command, environment = ["php", name], {"AUTOLOAD": str(PHP_LIBRARY)}
            case _:
                command = [sys.executable, name]
        async with await aio_pika.connect(broker.url) as connection:
            await declare(connection, [])
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            for queue in (QUEUE, f"{QUEUE}.dead"):
                await channel.queue_delete(queue)
            shop = Shop(kind, place, command, environment, channel)
            try:
                yield shop
            finally:
                await shop.kill()


def event(payment: str, version: int, *, status: str = "completed", hold: str | None = None) -> bytes:
    data = {
        "payment_id": f"pay_{payment}",
        "order": None,
        "reference": payment,
        "version": version,
        "status": status,
        "hold": hold,
        "amount": "1500.50",
        "description": "শাড়ি",
    }
    return json.dumps({"id": f"pay_{payment}.{version}", "type": "payment.completed", "data": data}).encode()


async def test_each_payment_is_shipped_once_however_its_events_come(shop: Shop, broker: RabbitMQ) -> None:
    await shop.start(broker.port)
    doubled = event("doubled", 2)
    await shop.tell(doubled, doubled, event("doubled", 3))
    await shop.tell(event("reordered", 5, status="refunded"), event("reordered", 4))
    await shop.tell(event("held", 2, hold="amount_mismatch"), event("pending", 1, status="pending"))
    await shop.tell(event("opened", 1, status="pending"), type_="payment.opened")
    await shop.tell(*UNREADABLE)
    await shop.tell(doubled, event("last", 2))
    await shop.has_shipped("doubled", "last")
    await shop.is_through(broker.port)
    assert sorted(await shop.dead()) == sorted(UNREADABLE)
    assert await shop.shipped() == ["doubled", "last"]


async def test_what_was_shipped_is_stopped_by_a_hold_or_a_refund(shop: Shop, broker: RabbitMQ) -> None:
    await shop.start(broker.port)
    await shop.tell(event("held", 2), event("refunded", 2), event("kept", 2))
    await shop.has_shipped("held", "kept", "refunded")
    await shop.tell(event("held", 3, hold="contradiction"), type_="payment.held")
    await shop.tell(event("refunded", 3, status="refunded"), type_="payment.refunded")
    await shop.has_shipped("kept")
    stopped = "select order_id, stop from shipments where stop is not null"
    assert sorted(map(tuple, await shop.ask(stopped))) == [("held", "contradiction"), ("refunded", "refunded")]


async def test_another_merchants_order_of_the_same_name_ships_nothing(shop: Shop, broker: RabbitMQ) -> None:
    await shop.start(broker.port)
    await shop.tell(event("1001", 1, status="pending"), type_="payment.opened")
    await shop.tell(event("1001", 2), merchant="another")
    await shop.tell(event("last", 2))
    await shop.has_shipped("last")
    await shop.is_through(broker.port)
    assert await shop.shipped() == ["last"]


async def test_php_goes_on_when_its_database_does(broker: RabbitMQ) -> None:
    with directory() as place, mariadb(place) as socket:
        place.chmod(0o755)
        shutil.copy(EXAMPLES / "subscriber.php", place / "subscriber.php")
        sql = ["mariadb", "--no-defaults", f"--socket={socket}", "-uroot", "-N", "shop", "-e"]

        async def asked(words: str) -> list[str]:
            done = await asyncio.to_thread(subprocess.run, [*sql, words], check=True, capture_output=True, text=True)
            return done.stdout.split()

        environment = {
            "AUTOLOAD": str(PHP_LIBRARY),
            "DB_USER": "root",
            "DATABASE": f"mysql:unix_socket={socket};dbname=shop",
        }
        async with await aio_pika.connect(broker.url) as connection:
            await declare(connection, [])
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            for queue in (QUEUE, f"{QUEUE}.dead"):
                await channel.queue_delete(queue)
            shop = Shop("php", place, ["php", "subscriber.php"], environment, channel)
            try:
                await shop.start(broker.port)
                (mine,) = await asked("select id from information_schema.processlist where id <> connection_id()")
                await asked(f"kill {mine}")
                await shop.tell(event("afterwards", 2))

                async def shipped() -> bool:
                    return await asked("select order_id from shipments where stop is null") == ["afterwards"]

                await until(shipped, what=f"it is shipped; see {place / 'log'}", seconds=60)
            finally:
                await shop.kill()


async def test_an_order_with_several_attempts_ends_alike_in_each_order_of_its_events(
    shop: Shop, broker: RabbitMQ
) -> None:
    await shop.start(broker.port)
    leave = []
    for number, story in enumerate(STORIES):
        for name, events in played(story, f"story-{number}"):
            leave += [name] * (story.ends == "paid")
            for payment in events:
                told = {"id": f"{payment['payment_id']}.{payment['version']}", "data": payment}
                await shop.tell(json.dumps(told).encode(), type_=f"payment.{payment['status']}")
    await shop.is_through(broker.port)
    assert await shop.shipped() == sorted(leave)
    assert await shop.dead() == []


async def test_killed_between_the_work_and_its_acknowledgement_it_ships_no_second_time(
    shop: Shop, broker: RabbitMQ
) -> None:
    line = Line(broker.port)
    async with line.open():
        await shop.start(line.port)
        line.cut()
        await shop.tell(event("first", 2), event("second", 2))
        await shop.has_shipped("first", "second")
        await shop.kill()
    await shop.tell(event("meanwhile", 2))
    await shop.start(broker.port)
    await shop.has_shipped("first", "meanwhile", "second")
    await shop.is_through(broker.port)
    assert await shop.shipped() == ["first", "meanwhile", "second"]


async def test_it_comes_back_when_the_broker_does(shop: Shop, broker: RabbitMQ) -> None:
    await shop.start(broker.port)
    await asyncio.to_thread(broker.cut_connections)
    async with await aio_pika.connect(broker.url) as connection:
        shop.channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await shop.tell(event("afterwards", 2))
        await shop.has_shipped("afterwards")
        await shop.is_through(broker.port)


async def test_it_waits_for_a_broker_on_which_payproof_never_ran(shop: Shop, broker: RabbitMQ) -> None:
    await shop.channel.exchange_delete(EVENTS)

    async def complained() -> bool:
        log = shop.place / "log"
        return log.exists() and "NOT_FOUND" in log.read_text()

    async with asyncio.TaskGroup() as group, await aio_pika.connect(broker.url) as connection:
        group.create_task(shop.start(broker.port))
        await until(complained, what="the log reports the missing exchange")
        await declare(connection, [])
    await shop.tell(event("first", 2))
    await shop.has_shipped("first")


@pytest.mark.parametrize("name", ["subscriber.py", "subscriber.mjs", "subscriber.php"])
def test_an_example_is_read_at_a_glance(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= 71


def test_an_order_is_told_by_the_same_lines_as_in_the_receivers() -> None:
    for name, begins, ends in (
        (".py", "def take(", "\n\n\n"),
        (".mjs", "const take =", "\n\n"),
        (".php", "function take(", "\n}\n"),
    ):
        one, other = (
            (EXAMPLES.parent / folder).joinpath(program + name).read_text().partition(begins)[2].partition(ends)[0]
            for folder, program in (("receivers", "receiver"), ("subscribers", "subscriber"))
        )
        assert one == other != "", name
