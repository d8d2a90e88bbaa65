"""A shop on WordPress with the gateway's plugin beside the service, and its orders as buyers and staff see them."""

from __future__ import annotations

import base64
import hmac
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
from msgspec import Struct

from schemas.secret import Secret
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof
from tests.e2e.wordpress import WordPress
from tests.harness import PAYPARSE, Document, Scene, System, staged
from tests.processes import directory, loud, running, until
from worker.deliver.sender import signature_headers

OTHER_SECRET = "whsec_" + "QUJD" * 8
SECONDS = 60.0


class Site(Struct):
    system: System
    wordpress: WordPress


@contextmanager
def installed_site() -> Iterator[Site]:
    """The service, and a site that it sends its webhooks to."""
    with ExitStack() as stack:
        wordpress = WordPress(stack.enter_context(directory()))
        hook = f'\n[[merchants.webhooks]]\nurl = "{wordpress.hook}"\nsecret = "{WEBHOOK_SECRET}"\n'
        system = stack.enter_context(running(merchants=hook, secret=WEBHOOK_SECRET))
        stack.enter_context(wordpress.running(system.url, system.key))
        yield Site(system, wordpress)


@asynccontextmanager
async def open_shop(site: Site) -> AsyncIterator[Shop]:
    """The shop, whose pages are served. Afterwards no log holds an error of ours."""
    site.wordpress.start(WEBHOOK_SECRET)
    try:
        await until(lambda: answers(site.wordpress), what="WordPress answers")
        async with staged(site.system) as stage:
            yield Shop(Payproof(site.system, stage), site.wordpress)
    finally:
        site.wordpress.stop()
    assert loud(site.system.service.log.read_text()) == []
    log = site.wordpress.place / "debug.log"
    ours = "payproof-gateway"  # WordPress itself has notices of its own
    assert not log.exists() or [line for line in log.read_text().splitlines() if "PHP " in line and ours in line] == []


async def answers(wordpress: WordPress) -> bool:
    try:
        await wordpress.call("GET", "/settings")
    except aiohttp.ClientConnectionError:
        return False
    return True


class Order(Struct):
    id: int
    scene: Scene
    drawn: str
    """What the reference of its first attempt is drawn to end with."""

    @property
    def payment_id(self) -> str:
        return str(self.scene.payment["payment_id"])


class Shop:
    def __init__(self, payproof: Payproof, wordpress: WordPress) -> None:
        self.payproof, self.wordpress = payproof, wordpress

    async def ordered(self, total: str = "1500.50", *, script: str | None = None, lives: float | None = None) -> Order:
        """An order whose buyer is about to click; the gateway is told what becomes of its first attempt."""
        made = await self.wordpress.call("POST", "/orders", total=total)
        order = Order(made["id"], Scene(self.payproof.stage, PAYPARSE, 0), uuid.uuid4().hex[:8])
        first = {"provider": "payparse", "reference": f"wc-{order.id}-{order.drawn}"}
        if lives is not None:
            await self.payproof.stage.control.post("lifetime", **first, seconds=lives)
        if script is not None:
            await self.payproof.stage.control.post("scripts", **first, script=script)
        order.scene.payment = {"order": made["name"]}
        return order

    async def pays(self, order: Order) -> Document:
        """What the checkout of WooCommerce answers to the buyer's click."""
        drawn = {} if "reference" in order.scene.payment else {"drawn": order.drawn}
        answered: Document = await self.wordpress.call("POST", f"/orders/{order.id}/pay", click=True, **drawn)
        if answered["result"] == "success":
            order.scene.payment = (await self.payments_of(order))[0]
        return answered

    async def payments_of(self, order: Order) -> list[Document]:
        """The payments of the order as Payproof has them, newest first."""
        asked = await self.payproof.shop_calls("GET", f"/v1/payments?order={order.scene.payment['order']}")
        payments: list[Document] = asked.json["payments"]
        return payments

    async def at_checkout(self, **how: Any) -> Order:
        order = await self.ordered(**how)
        assert (await self.pays(order))["redirect"] == order.scene.payment["checkout_url"]
        return order

    async def shown(self, order: Order) -> Document:
        shown: Document = await self.wordpress.call("GET", f"/orders/{order.id}")
        return shown

    async def becomes(self, order: Order, status: str) -> Document:
        """The order, once it has this status and the site has acted on the payment as it stands."""

        async def look() -> Document | None:
            shown = await self.shown(order)
            payment = await self.payproof.stage.shop.payment(order.payment_id)
            acted_on = dict(dict(shown["attempts"])[payment["reference"]]["snapshot"])
            return shown if shown["status"] == status and acted_on.get("version") == payment["version"] else None

        return await until(look, what=f"order {order.id} is {status}", seconds=SECONDS)

    async def serves_with(self, secret: str) -> None:
        """Begin again, with this secret of the webhook."""
        self.wordpress.stop()
        self.wordpress.start(secret)
        await until(lambda: answers(self.wordpress), what="WordPress answers")

    async def tried(self, order: Order) -> None:
        """The outcome was sent to the site, in vain."""

        async def failed() -> bool:
            entries = await self.payproof.stage.shop.timeline(order.payment_id)
            sent = [one for one in entries if one["kind"] == "delivery" and one["type"] == "payment.completed"]
            return any(one["result"] != "delivered" for one in sent)

        await until(failed, what="the site was tried in vain")

    async def posted(self, headers: dict[str, str], body: bytes) -> int:
        """What the webhook's address answers."""
        kind = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
        async with (
            aiohttp.ClientSession() as http,
            http.post(self.wordpress.hook, data=body, headers=kind | headers) as answered,
        ):
            return answered.status


def signed(name: str, body: bytes, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    return signature_headers([Secret(secret)], name, datetime.now(UTC), body)


def weakly_signed(secret: str, body: bytes) -> dict[str, str]:
    """Signed with the bytes of a secret that is too short, as a stranger could guess them."""
    at, key = int(datetime.now(UTC).timestamp()), base64.b64decode(secret.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.digest(key, f"x.{at}.".encode() + body, "sha256")).decode()
    return {"webhook-id": "x", "webhook-timestamp": str(at), "webhook-signature": f"v1,{digest}"}


async def page(url: str, status: int = 200) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as answered:
        assert answered.status == status, url
        return await answered.text()
