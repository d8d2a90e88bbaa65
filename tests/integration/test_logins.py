"""The logins that `deploy/` ships, at a real PostgreSQL and a real RabbitMQ: each does its work, and no other's."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import asyncpg
import pytest
from aiormq.exceptions import ChannelAccessRefused

from schemas.secret import Secret
from tests.broker import RabbitMQ, rabbitmq
from tests.deployment import DEPLOY
from tests.fault.postgres import postgres
from tests.integration.cluster import make_shop_of_manifest
from tests.logins import as_user
from tests.processes import directory
from worker.amqp.diagnose import diagnose
from worker.amqp.topology import CLAIMS, DEAD, EVENTS, EXPECTED, claims_queue
from worker.postgres.database import connect
from worker.postgres.server.migrate import apply_migrations
from worker.postgres.server.schema import granted
from worker.process import ROLES

LOGINS = (*ROLES, "keda")
WRONG = {
    "ingress": [
        "SELECT body FROM archive",
        "SELECT body FROM queue",
        "INSERT INTO facts VALUES ('pay', 'key', '{}')",
        "UPDATE deliveries SET next_at = now()",
    ],
    "consume": ["INSERT INTO payments (id) VALUES ('a')", "SELECT body FROM archive", "DELETE FROM resolutions"],
    "sweep": ["INSERT INTO payments (id) VALUES ('a')", "SELECT body FROM archive", "DELETE FROM facts"],
    "relay": ["INSERT INTO resolutions DEFAULT VALUES", "UPDATE events SET body = ''", "DELETE FROM events"],
    "deliver": ["INSERT INTO resolutions DEFAULT VALUES", "UPDATE payments SET amount = 1", "DELETE FROM claims"],
    "console": ["UPDATE payments SET status = 'completed'", "DELETE FROM facts", "SELECT body FROM queue"],
}
"""What none of these may do at the database, besides changing tables, rights and users."""

EVERYBODY = [
    "CREATE TABLE mine (n int)",
    "DROP TABLE payments",
    "ALTER TABLE payments DISABLE TRIGGER ALL",
    "SELECT grant_access()",
    "CREATE ROLE another",
    "ALTER ROLE tables_owner PASSWORD 'other'",
    "GRANT payproof_worker TO app_ingress",
    "COPY payments TO PROGRAM 'cat'",
]


@pytest.fixture(scope="module")
def keys() -> Iterator[Path]:
    """What `deploy/keys.sh` draws for a cluster."""
    with directory() as place:
        place.chmod(0o755)
        environment = {"PATH": "/usr/bin:/bin", "POSTGRES": "db:5432", "RABBITMQ": "mq:5672"}
        subprocess.run(["sh", DEPLOY / "keys.sh", place, *LOGINS], env=environment, check=True, timeout=20)
        yield place


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with directory() as place, postgres(place) as running:
        yield running.url


@pytest.fixture
async def database(server: str) -> AsyncIterator[str]:
    """A database whose owner may create no role, with the groups and users of the cluster's manifest."""
    admin = await asyncpg.connect(server, database="postgres")
    url = as_user(server, "tables_owner").replace("@/payproof?", "@/shop?")
    try:
        if await admin.fetchval("SELECT exists(SELECT FROM pg_roles WHERE rolname = 'tables_owner')"):
            yield url
            return
        await make_shop_of_manifest(admin)
        await apply_migrations(url)
        async with connect(url, size=2) as opened:
            assert await granted(opened) == [], "every group is there, and has its rights"
        yield url
    finally:
        await admin.close()


@pytest.fixture(scope="module")
def broker(keys: Path) -> Iterator[RabbitMQ]:
    """A broker that reads the definitions at its start, as both deployments have it."""
    with rabbitmq(f"load_definitions = {keys / 'broker' / 'definitions.json'}\n") as running:
        yield running


@pytest.mark.parametrize("role", ROLES)
async def test_no_login_of_the_database_does_what_is_not_its_work(database: str, role: str) -> None:
    connection = await asyncpg.connect(database.replace("://tables_owner@", f"://app_{role}@"))
    try:
        allowed = [one for one in (*EVERYBODY, *WRONG[role]) if not await _refused(connection, one)]
    finally:
        await connection.close()
    assert allowed == []


async def _refused(connection: asyncpg.Connection[asyncpg.Record], statement: str) -> bool:
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


async def test_consume_makes_what_the_broker_lacks_and_the_others_find_it(broker: RabbitMQ, keys: Path) -> None:
    """Before consume has run once, the others say what is missing; afterwards each finds nothing wrong."""
    first = await diagnose(url(broker, keys, "ingress"), {"ipay"})
    if first.trouble is not None:
        assert "start consume first" in first.trouble
    for role in ("consume", "ingress", "sweep", "relay"):
        found = await diagnose(url(broker, keys, role), {"ipay"})
        assert (found.trouble, found.silent) == (None, ()), role


async def test_no_login_of_the_broker_does_what_is_not_its_work(broker: RabbitMQ, keys: Path) -> None:
    assert (await diagnose(url(broker, keys, "consume"), {"ipay"})).trouble is None
    writes = {
        role: {exchange for exchange in (CLAIMS, EVENTS, DEAD, EXPECTED) if await _writes(broker, keys, role, exchange)}
        for role in ("ingress", "consume", "sweep", "relay", "keda")
    }
    assert writes == {
        "ingress": {CLAIMS, DEAD},
        "consume": {CLAIMS, DEAD, EXPECTED},
        "sweep": {CLAIMS},
        "relay": {CLAIMS, EVENTS},
        "keda": set(),
    }
    queues = (claims_queue("ipay"), DEAD, EXPECTED)
    reads = {
        role: {queue for queue in queues if await _reads(broker, keys, role, queue)}
        for role in ("ingress", "consume", "sweep", "relay", "keda")
    }
    assert reads == {
        "ingress": {EXPECTED},
        "consume": set(queues),
        "sweep": set(),
        "relay": set(),
        "keda": set(),
    }
    for role in ("ingress", "sweep", "relay", "keda"):
        with pytest.raises(ChannelAccessRefused):
            await _makes(broker, keys, role)


async def test_keda_asks_how_long_a_queue_is(broker: RabbitMQ, keys: Path) -> None:
    assert (await diagnose(url(broker, keys, "consume"), {"ipay"})).trouble is None
    async with await aio_pika.connect(url(broker, keys, "keda").reveal()) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(claims_queue("ipay"), passive=True)
        assert queue.declaration_result.message_count == 0


async def test_there_is_no_login_but_those_that_were_drawn(broker: RabbitMQ, keys: Path) -> None:
    users = {line.split()[0] for line in broker.ctl("list_users").splitlines()[1:]}
    drawn = {one["name"] for one in json.loads((keys / "broker" / "definitions.json").read_text())["users"]}
    assert users == drawn == {"payproof", *(f"app_{login}" for login in LOGINS if login not in ("deliver", "console"))}


async def _writes(broker: RabbitMQ, keys: Path, role: str, exchange: str) -> bool:
    async with await aio_pika.connect(url(broker, keys, role).reveal()) as connection:
        channel = await connection.channel()
        to = await channel.get_exchange(exchange, ensure=False)
        try:
            await to.publish(aio_pika.Message(b"{}"), "payproof.nobody", mandatory=False)
        except (ChannelAccessRefused, aio_pika.exceptions.ChannelInvalidStateError):
            return False
        return True


async def _reads(broker: RabbitMQ, keys: Path, role: str, name: str) -> bool:
    async with await aio_pika.connect(url(broker, keys, role).reveal()) as connection:
        channel = await connection.channel()
        try:
            message = await (await channel.get_queue(name, ensure=False)).get(fail=False)
        except ChannelAccessRefused:
            return False
        if message is not None:
            await message.nack(requeue=True)
        return True


async def _makes(broker: RabbitMQ, keys: Path, role: str) -> None:
    async with await aio_pika.connect(url(broker, keys, role).reveal()) as connection:
        channel = await connection.channel()
        await channel.declare_queue(f"payproof.{role}", durable=True)


def url(broker: RabbitMQ, keys: Path, role: str) -> Secret:
    """What was drawn for this login, at the broker of the test."""
    drawn = (keys / role / "amqp-url").read_text()
    return Secret(re.sub(r"@mq:5672/", f"@127.0.0.1:{broker.port}/", drawn))
