"""The cluster's five deployments as processes, each with its own logins and keys: payments go their whole way."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aio_pika
import asyncpg
import pytest

from tests.broker import RabbitMQ, rabbitmq
from tests.deployment import DEPLOY
from tests.e2e.buyers import ASKED, Payproof
from tests.e2e.conformance_whole_way import WholeWay
from tests.e2e.installed import Installed
from tests.fault.postgres import postgres
from tests.harness import QUICK, System
from tests.integration.cluster import make_shop_of_manifest
from tests.logins import as_user
from tests.processes import directory
from worker.amqp.topology import EVENTS
from worker.postgres.server.migrate import apply_migrations
from worker.process import ROLES

HEARD_SECONDS = 20
ARCHIVE = '[archive]\nkeys = ["file:KEYS/archive-key"]\n\n'
SHOPS = (r'(?m)^(keys = \[\{ name = "shop", key = )"[^"]*"', r'\1"file:KEYS/shop-api-key"')
WEBHOOKS = (r"(?m)^secret = .*$", 'secret = "file:KEYS/shop-webhook-secret"')
OF_ACCOUNTS = re.compile(r'(?m)^(api_key|client_id|business_id|webhook_secret) = "(.*)"$')
REFUSALS = ("InsufficientPrivilege", "permission denied", "ACCESS_REFUSED", "AccessRefused", "SecretElsewhere")


class Deployed(Installed):
    """Each process has a folder of its own with the configuration and its own secrets."""

    def __init__(self, system: System, keys: Path, database: str, broker: RabbitMQ) -> None:
        super().__init__(system)
        self.broker, self.keys = broker, keys
        written = re.sub(*WEBHOOKS, re.sub(*SHOPS, (system.place / "payproof.toml").read_text()))
        toml = OF_ACCOUNTS.sub(self._to_file, written)
        assert toml.count("file:KEYS/") > 10
        for role in ROLES:
            place = system.place / role
            place.mkdir()
            (place / "payproof.toml").write_text(toml.replace("KEYS", str(keys / role)))
            settings = system.settings | {
                "PAYPROOF_CONFIG": str(place / "payproof.toml"),
                "PAYPROOF_DATABASE_URL": database.replace("://tables_owner@", f"://app_{role}@"),
                "PAYPROOF_AMQP_URL": self.amqp_url(role) if role not in ("deliver", "reconcile", "console") else "",
            }
            self.add(role, role, settings)

    def _to_file(self, found: re.Match[str]) -> str:
        """Put an account's secret into the folders of the roles that use it; ingress alone verifies signatures."""
        name = f"gateway-{found.start()}"
        for role in ("ingress",) if found[1] == "webhook_secret" else ("ingress", "consume"):
            (self.keys / role / name).write_text(found[2])
        return f'{found[1]} = "file:KEYS/{name}"'

    def amqp_url(self, folder: str) -> str:
        return (self.keys / folder / "amqp-url").read_text().replace("@mq:5672", f"@127.0.0.1:{self.broker.port}")


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    """The broker is empty at first: ingress, sweep and relay wait until consume has made what they need."""
    with directory() as keys, directory() as data, directory() as place, postgres(data) as server:
        environment = {"PATH": "/usr/bin:/bin", "POSTGRES": "db:5432", "RABBITMQ": "mq:5672"}
        system = System(place, settings=QUICK.replace("\n[checks]", f"\n{ARCHIVE}[checks]"))
        system.configure()
        (keys / "drawn").mkdir()
        (keys / "drawn" / "shop-api-key").write_text(system.key)
        (keys / "drawn" / "shop-webhook-secret").write_text(system.secret)
        subprocess.run(["sh", DEPLOY / "keys.sh", keys, *ROLES], env=environment, check=True, timeout=20)
        keys.chmod(0o755)
        with ThreadPoolExecutor(1) as aside:
            database = aside.submit(asyncio.run, _database(server.url)).result()
        with rabbitmq(f"load_definitions = {keys / 'broker' / 'definitions.json'}\n") as broker:
            made = Deployed(system, keys, database, broker)
            try:
                made.start()
                yield made
            finally:
                made.stop()


async def _database(url: str) -> str:
    """The database with the manifest's groups and users, and an owner who is nobody else; returns the owner's URL."""
    admin = await asyncpg.connect(url, database="postgres")
    try:
        await make_shop_of_manifest(admin)
    finally:
        await admin.close()
    owner = as_user(url, "tables_owner").replace("@/payproof?", "@/shop?")
    await apply_migrations(owner)
    return owner


@pytest.fixture
async def payproof(deployed: Deployed) -> AsyncIterator[Payproof]:
    """No process is refused any access or lacks a secret."""
    async with deployed.used(REFUSALS) as payproof:
        yield payproof


@pytest.mark.parametrize("name", ASKED)
async def test_a_buyer_pays_and_the_shop_is_told_by_webhook_and_by_the_broker(
    payproof: Payproof, deployed: Deployed, name: str
) -> None:
    async with await aio_pika.connect(deployed.amqp_url("owner")) as connection:
        channel = await connection.channel()
        subscriber = await channel.declare_queue(exclusive=True)
        await subscriber.bind(EVENTS, "payment.completed.#")
        scene = await payproof.opened(name, order=f"order-{name}")
        await scene.returns(await scene.at_gateway("pay"))
        payment = await scene.until("opened", "completed")
        async with asyncio.timeout(HEARD_SECONDS), subscriber.iterator() as heard:
            event = await anext(heard)
    assert json.loads(event.body)["data"] == payment


class TestWholeWay(WholeWay):
    pass
