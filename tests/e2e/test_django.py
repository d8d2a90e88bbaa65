"""The Django shop, whole: real Django in an environment of its own, beside the service and the simulated gateways."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import Struct

from schemas.secret import Secret
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof, payproof_says
from tests.e2e.two_attempts import DOUBLE, PAID, REFUNDED, STORIES, UNVERIFIED, Story, played
from tests.harness import PAYPARSE, Document, Scene, System, free_ports, staged
from tests.processes import directory, loud, running, until
from worker.deliver.sender import signature_headers

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deploy" / "django"
KEPT = ROOT / ".payproof" / "django"
OTHER_SECRET = "whsec_" + "QUJD" * 8
pytestmark = pytest.mark.timeout(700)  # the first installs Django
INSTALL_SECONDS = 300.0
SECONDS = 60.0


def python() -> Path:
    """The interpreter of an environment with the example's requirements; it is made anew when they change."""
    wanted, made_from = (EXAMPLE / "requirements.txt").read_text(), KEPT / "made-from"
    if not made_from.is_file() or made_from.read_text() != wanted:
        shutil.rmtree(KEPT, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", KEPT], check=True, timeout=INSTALL_SECONDS)
        pip = (KEPT / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
        subprocess.run(
            [*pip, "install", "-r", EXAMPLE / "requirements.txt"],
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            check=True,
            timeout=INSTALL_SECONDS,
        )
        made_from.write_text(wanted)
    return KEPT / "bin" / "python"


class Site(Struct):
    """A copy of the example with a database of its own. `secret` is what it believes the webhook's secret to be."""

    system: System
    place: Path
    port: int
    python: Path
    secret: str = WEBHOOK_SECRET
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "PAYPROOF"))}
        return kept | {
            "PAYPROOF_URL": self.system.url,
            "PAYPROOF_API_KEY": self.system.key,
            "PAYPROOF_WEBHOOK_SECRET": self.secret,
            "PAYPROOF_ACCOUNT": "shop-payparse",
            "SHOP_URL": self.url,
            "DJANGO_SECRET_KEY": "of one test",
        }

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [self.python, "manage.py", *words],
            cwd=self.place,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS * 2,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def start(self) -> None:
        with (self.place / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(self.python, "manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}"),
                cwd=self.place,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

        async def answers() -> bool:
            try:
                async with aiohttp.ClientSession() as http, http.get(f"{self.url}/orders/none/"):
                    return True
            except aiohttp.ClientConnectionError:
                return False

        await until(answers, what=f"Django answers; see {self.place / 'log'}", seconds=SECONDS)

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.place / "shop.sqlite", timeout=20)) as database, database:
            return database.execute(sql, values).fetchall()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with directory() as home:
        place, (port,) = home / "shop", free_ports(1)
        shutil.copytree(EXAMPLE, place)
        hook = (
            f'\n[[merchants.webhooks]]\nurl = "http://127.0.0.1:{port}/hooks/payproof"\nsecret = "{WEBHOOK_SECRET}"\n'
        )
        interpreter = python()
        with running(merchants=hook, secret=WEBHOOK_SECRET) as system:
            site = Site(system, place, port, interpreter)
            site.manage("migrate")
            yield site


@pytest.fixture
async def shop(site: Site) -> AsyncIterator[Shop]:
    site.secret = WEBHOOK_SECRET
    await site.start()
    try:
        async with staged(site.system) as stage:
            yield Shop(Payproof(site.system, stage), site)
    finally:
        await site.stop()
    assert loud(site.system.service.log.read_text()) == []
    for secret in (site.system.key, WEBHOOK_SECRET):
        assert secret not in (site.place / "log").read_text()


class Shop:
    def __init__(self, payproof: Payproof, site: Site) -> None:
        self.payproof, self.site = payproof, site

    async def ordered(self, name: str, *, script: str | None = None, lives: float | None = None) -> Scene:
        self.site.ask("insert into payments_order (name, total, state) values (?, 1500.50, 'open')", name)
        first = {"provider": "payparse", "reference": f"{name}-a1"}
        if lives is not None:
            await self.payproof.stage.control.post("lifetime", **first, seconds=lives)
        if script is not None:
            await self.payproof.stage.control.post("scripts", **first, script=script)
        return Scene(self.payproof.stage, PAYPARSE, 0)

    async def clicks(self, name: str) -> tuple[int, str, str]:
        """The buyer's click on "Pay": the answer's status, where it leads, and its page."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            async with http.get(f"{self.site.url}/orders/{name}/") as page:
                found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', await page.text())
            token = {"csrfmiddlewaretoken": found[1]} if found else {}
            url = f"{self.site.url}/orders/{name}/pay/"
            async with http.post(url, data=token, allow_redirects=False) as answered:
                return answered.status, answered.headers.get("Location", ""), await answered.text()

    async def payments(self, name: str) -> list[Document]:
        return list((await self.payproof.shop_calls("GET", f"/v1/payments?order={name}")).json["payments"])

    async def at_checkout(self, name: str, **how: Any) -> Scene:
        scene = await self.ordered(name, **how)
        await self.tries(scene, name)
        return scene

    async def tries(self, scene: Scene, name: str) -> None:
        status, url, _ = await self.clicks(name)
        scene.payment = (await self.payments(name))[0]
        assert (status, url) == (303, scene.payment["checkout_url"])

    async def becomes(self, name: str, state: str) -> None:
        """The order has this state, all its payments are known as they stand, and its parcel leaves only where paid."""

        async def look() -> bool:
            asked = "select state from payments_order where name = ?"
            known = self.site.ask(
                "select payment_id, version from payments_attempt where reference like ?", f"{name}-%"
            )
            now = [(one["payment_id"], one["version"]) for one in await self.payments(name)]
            return self.site.ask(asked, name) == [(state,)] and sorted(known) == sorted(now)

        await until(look, what=f"{name} is {state}", seconds=SECONDS)
        leaves = "select count(*) from payments_parcel p join payments_order o on o.id = p.order_id"
        leaving = self.site.ask(f"{leaves} where o.name = ? and p.stopped = ''", name)
        assert leaving == [(1 if state == "paid" else 0,)]


async def test_paid_leaves_once_and_the_page_believes_the_signature(shop: Shop) -> None:
    scene = await shop.at_checkout("order-paid")
    assert scene.payment["amount"] == "1500.50"
    back = (await shop.payproof.comes_back(scene, "pay")).headers["Location"]
    await shop.becomes("order-paid", "paid")
    assert "Your payment is verified" in await page(back)
    assert "We are checking" in await page(back.replace("status=completed", "status=refunded"))
    payment = (await shop.payments("order-paid"))[0]
    event = f"{payment['payment_id']}.{payment['version']}"
    assert (await payproof_says(shop.payproof, "events", "resend", event)).code == 0
    status, url, _ = await shop.clicks("order-paid")
    assert (status, url) == (403, ""), "a paid order has no button"
    await shop.becomes("order-paid", "paid")
    assert len(await shop.payments("order-paid")) == 1


async def test_a_refused_order_is_paid_by_another_attempt(shop: Shop) -> None:
    scene = await shop.at_checkout("order-refused")
    await shop.payproof.comes_back(scene, "fail")
    await shop.becomes("order-refused", "open")
    await until(lambda: attempts(shop, "order-refused") == ["failed"], what="the site knows of the refusal")
    await shop.tries(scene, "order-refused")
    assert scene.payment["reference"] == "order-refused-a2"
    await shop.payproof.comes_back(scene, "pay")
    await shop.becomes("order-refused", "paid")


async def test_a_lost_answer_opens_no_second_payment(shop: Shop) -> None:
    scene = await shop.ordered("order-lost", script="create_lost")
    status, _, text = await shop.clicks("order-lost")
    if status != 303:
        assert (status, "Nothing was paid" in text) == (502, True)
    await shop.tries(scene, "order-lost")
    assert [one["reference"] for one in await shop.payments("order-lost")] == ["order-lost-a1"]
    await shop.payproof.comes_back(scene, "pay")
    await shop.becomes("order-lost", "paid")


async def test_held_waits_for_a_person(shop: Shop) -> None:
    scene = await shop.at_checkout("order-held", script="amount_tampered")
    await shop.payproof.comes_back(scene, "pay")
    await shop.becomes("order-held", "held")
    decision = {"status": "completed", "actor": "Rahima", "reason": "The rest came in cash"}
    await shop.payproof.stage.shop.resolve(scene.payment["payment_id"], **decision)
    await shop.becomes("order-held", "paid")


async def test_doubled_refunded_and_late(shop: Shop) -> None:
    late = await shop.at_checkout("order-late", lives=2.0)
    await shop.payproof.stage.shorten(late.payment["payment_id"], 2.0)
    twice = await shop.at_checkout("order-twice", script="paid_twice")
    await twice.hits(await twice.at_gateway("pay"), 5)
    refunded = await shop.at_checkout("order-refunded")
    await shop.payproof.comes_back(refunded, "pay")
    await shop.becomes("order-refunded", "paid")
    await refunded.gateway_refunds()
    await refunded.looks_again()
    await shop.becomes("order-refunded", "refunded")
    await until(lambda: held(shop, "order-twice") == ["duplicate_for_order"], what="paid twice", seconds=SECONDS)
    await shop.becomes("order-twice", "held")
    await until(lambda: attempts(shop, "order-late") == ["expired"], what="it expired", seconds=SECONDS)
    await shop.payproof.comes_back(late, "pay")
    await shop.becomes("order-late", "paid")
    await shop.tries(refunded, "order-refunded")
    await shop.payproof.comes_back(refunded, "pay")
    await shop.becomes("order-refunded", "paid")


async def test_a_shop_that_was_down_misses_nothing(shop: Shop) -> None:
    scene = await shop.at_checkout("order-down")
    await shop.site.stop()
    await shop.payproof.comes_back(scene, "pay")
    await tried(shop, scene)
    await shop.site.start()
    await shop.becomes("order-down", "paid")


async def test_an_order_that_heard_nothing_is_looked_up(shop: Shop) -> None:
    scene = await shop.at_checkout("order-unheard")
    await shop.site.stop()
    shop.site.secret = OTHER_SECRET
    await shop.site.start()
    await shop.payproof.comes_back(scene, "pay")
    await tried(shop, scene)
    assert attempts(shop, "order-unheard") == ["pending"]
    assert "done" in await asyncio.to_thread(shop.site.manage, "reconcile_payments")
    await shop.becomes("order-unheard", "paid")


async def test_a_webhook_is_believed_by_its_signature_and_acknowledged_when_stored(shop: Shop) -> None:
    scene = await shop.at_checkout("order-forged")
    forged = scene.payment | {"status": "completed", "version": 9}
    body = json.dumps({"id": "x.9", "type": "payment.completed", "data": forged}).encode()
    other = signature_headers([Secret(OTHER_SECRET)], "x.9", datetime.now(UTC), body)
    for headers in ({}, other, other | {"webhook-timestamp": "²"}):
        assert await posted(shop, headers, body) == 401
    broken = json.dumps({"type": "payment.completed", "data": {"reference": "order-forged-a1"}}).encode()
    assert (
        await posted(shop, signature_headers([Secret(WEBHOOK_SECRET)], "x", datetime.now(UTC), broken), broken) == 500
    )
    assert attempts(shop, "order-forged") == ["pending"]
    less = json.dumps({"type": "payment.completed", "data": forged | {"amount": "1.00"}}).encode()
    assert await posted(shop, signature_headers([Secret(WEBHOOK_SECRET)], "x", datetime.now(UTC), less), less) == 200
    assert shop.site.ask("select state from payments_order where name = 'order-forged'") == [("held",)]
    async with aiohttp.ClientSession() as http:
        url = f"{shop.site.url}/orders/order-forged/pay/"
        async with http.post(url, allow_redirects=False) as crossed:
            assert crossed.status == 403, "a form without the token of its page"


async def test_without_a_secret_no_webhook_is_believed(shop: Shop) -> None:
    await shop.at_checkout("order-bare")
    for secret in ("", "whsec_QUJD"):
        await shop.site.stop()
        shop.site.secret = secret
        await shop.site.start()
        at, key = int(datetime.now(UTC).timestamp()), base64.b64decode(secret.removeprefix("whsec_"))
        body = json.dumps({"type": "payproof.test"}).encode()
        digest = base64.b64encode(hmac.digest(key, f"x.{at}.".encode() + body, "sha256")).decode()
        signed = {"webhook-id": "x", "webhook-timestamp": str(at), "webhook-signature": f"v1,{digest}"}
        assert await posted(shop, signed, body) == 500


TELL = """
import json
from pathlib import Path
from django.utils import timezone
from payments.models import Order
from payments.paying import take
ends = []
for name, sent, events in json.loads(Path("stories.json").read_text()):
    order = Order.objects.create(name=name, total="1500.50")
    for event in events:
        order.attempts.get_or_create(reference=event["reference"], request={"account": event["account"]})
    for event in events:
        take(event)
        take(event)
        if sent:
            order.parcels.filter(stopped="", sent_at=None).update(sent_at=timezone.now())
    order.refresh_from_db()
    ends.append([order.state, order.parcels.filter(stopped="").count(), order.parcels.count()])
print(json.dumps(ends))
"""


def told(site: Site, stories: list[tuple[str, bool, list[Document]]]) -> list[list[Any]]:
    """The state of each order in the end, its parcels that may leave or have left, and all its parcels."""
    (site.place / "stories.json").write_text(json.dumps(stories))
    ends: list[list[Any]] = json.loads(site.manage("shell", "-v", "0", "-c", TELL))
    return ends


def test_an_order_with_several_attempts_ends_alike_in_each_order_of_events(site: Site) -> None:
    turns = [(story, *one) for number, story in enumerate(STORIES) for one in played(story, f"story-{number}")]
    ends = told(site, [(name, False, events) for _, name, events in turns])
    for (story, _, events), (state, leaving, _) in zip(turns, ends, strict=True):
        assert (state, leaving) == (story.ends, int(story.ends == "paid")), (story.name, events)


OPENED = """
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from django.conf import settings
from payments.client import AwayError, RefusedError
from payments.models import Order
from payments.paying import checkout

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {}, b'{"payments": []}')

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(*told, b'{"code": "a_word"}')

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Answers)
Thread(target=server.serve_forever, daemon=True).start()
settings.PAYPROOF_URL = f"http://127.0.0.1:{server.server_port}"
left = []
for number, told in enumerate(json.loads(WAYS)):
    order = Order.objects.create(name=f"way-{number}", total="1500.50")
    for click in range(2):
        try:
            checkout(order.name, {})
        except (AwayError, RefusedError):
            pass
    left.append(order.attempts.count())
print(json.dumps(left))
"""


def test_an_answer_that_asks_to_come_again_settles_nothing(site: Site) -> None:
    """The second click repeats the first's request; after a refusal it opens a second attempt."""
    again = [(409, {"Retry-After": "1"}), (429, {}), (500, {}), (502, {}), (503, {}), (504, {})]
    ways = json.dumps([*again, (422, {}), (409, {})])
    left = site.manage("shell", "-v", "0", "-c", f"WAYS = {ways!r}\n{OPENED}")
    assert json.loads(left) == [1] * 6 + [2, 2]


def test_a_sent_order_is_sent_again_only_for_new_money(site: Site) -> None:
    """As the events come in their usual order: a double that was released pays for the parcel that was sent."""
    double = Story("double", [[PAID, REFUNDED], [DOUBLE, PAID]], "paid")
    anew = Story("anew", [[PAID, REFUNDED], [UNVERIFIED, PAID]], "paid")
    stories = []
    for story in (double, anew):
        (name, mixed), *_ = played(story, story.name)
        events = {(one["reference"][-2:], one["version"]): one for one in mixed}
        stories.append((name, True, [events[turn] for turn in (("a1", 2), ("a2", 2), ("a1", 3), ("a2", 3))]))
    assert told(site, stories) == [["paid", 1, 1], ["paid", 1, 2]]


async def test_a_payment_at_another_account_pays_nothing(shop: Shop) -> None:
    scene = await shop.at_checkout("order-copy")
    forged = scene.payment | {"status": "completed", "version": 9, "account": "shop-ipay"}
    body = json.dumps({"type": "payment.completed", "data": forged}).encode()
    assert await posted(shop, signature_headers([Secret(WEBHOOK_SECRET)], "x", datetime.now(UTC), body), body) == 200
    assert attempts(shop, "order-copy") == ["pending"]


async def test_a_paid_attempt_that_was_not_heard_of_opens_no_second(shop: Shop) -> None:
    scene = await shop.at_checkout("order-deaf")
    await shop.site.stop()
    shop.site.secret = OTHER_SECRET
    await shop.site.start()
    await shop.payproof.comes_back(scene, "pay")
    await tried(shop, scene)
    shop.site.ask("update payments_attempt set expires_at = '2020-01-01' where reference = 'order-deaf-a1'")
    status, url, _ = await shop.clicks("order-deaf")
    assert (status, url) == (302, "/orders/order-deaf/thanks/")
    assert len(await shop.payments("order-deaf")) == 1
    await shop.becomes("order-deaf", "paid")


async def test_another_total_is_another_attempt(shop: Shop) -> None:
    scene = await shop.at_checkout("order-changed")
    shop.site.ask("update payments_order set total = 99.00 where name = 'order-changed'")
    await shop.tries(scene, "order-changed")
    assert (scene.payment["reference"], scene.payment["amount"]) == ("order-changed-a2", "99.00")


def test_its_migrations_are_those_of_its_models(site: Site) -> None:
    assert "No changes" in site.manage("makemigrations", "--check", "--dry-run")
    assert "no issues" in site.manage("check")


def attempts(shop: Shop, name: str) -> list[str]:
    asked = "select status from payments_attempt where reference like ? order by id"
    return [status for (status,) in shop.site.ask(asked, f"{name}-%")]


def held(shop: Shop, name: str) -> list[str]:
    return [hold for (hold,) in shop.site.ask("select hold from payments_attempt where reference like ?", f"{name}-%")]


async def tried(shop: Shop, scene: Scene) -> None:
    """The outcome was sent to the site, in vain."""

    async def failed() -> bool:
        entries = await shop.payproof.stage.shop.timeline(scene.payment["payment_id"])
        sent = [one for one in entries if one["kind"] == "delivery" and one["type"] == "payment.completed"]
        return any(one["result"] != "delivered" for one in sent)

    await until(failed, what="the site was tried in vain")


async def posted(shop: Shop, headers: dict[str, str], body: bytes) -> int:
    url = f"{shop.site.url}/hooks/payproof"
    async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as answered:
        return answered.status


async def page(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as answered:
        return await answered.text()
