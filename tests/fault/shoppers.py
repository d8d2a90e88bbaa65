"""Customers who do not give up: they retry while the service is away.

What each customer did is kept together with what payproof acknowledged, so that both can be compared with the outcome.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct

from consumers.ports.unavailable import DatabaseUnavailable
from tests.fault.troubling import drawn_script
from tests.harness import (
    BLIND,
    CONFIRMING,
    EVERY,
    MONEYBAG,
    ONEPAYBD,
    SHADHINPAY,
    Browser,
    Document,
    Gateway,
    Otherwise,
    Refused,
    Scene,
    Stage,
)
from tests.processes import until
from worker.postgres.driver_errors import DRIVER_ERRORS

T = TypeVar("T")
PATIENCE_SECONDS = 180.0
AGAIN_SECONDS = 0.2
AWAY = (aiohttp.ClientError, DatabaseUnavailable, *DRIVER_ERRORS)
LATER = frozenset({"opening_in_progress", "idempotency_in_progress"})
ENDS_SOON = 3.0
STRANGERS = 3

DEEDS = (
    *("pays", "pays", "pays", "pays and hits often", "pays and is lost", "pays among strangers"),
    *("fails", "cancels", "leaves", "is claimed by strangers"),
    *("is refunded", "is refunded in part", "pays again after a refund"),
    *("is registered late", "pays twice", "fails first"),
)
WHERE: dict[str, tuple[Gateway, ...]] = {
    "is claimed by strangers": tuple(one for one in EVERY if one is not BLIND),
    "is refunded": (SHADHINPAY, MONEYBAG),
    "is refunded in part": (SHADHINPAY,),
    "pays again after a refund": (SHADHINPAY, MONEYBAG),
    "is registered late": (SHADHINPAY, MONEYBAG),
    "pays twice": tuple(one for one in EVERY if one is not BLIND),
    "fails first": tuple(one for one in EVERY if one is not BLIND),
}
"""The gateways where a deed can be done and its end is seen; a deed that is not listed can be done at all of them."""


class ComeAgain(OSError):
    """The service answered 503: nothing is durable yet."""


class PatientBrowser(Browser):
    """Loads a page again until it is there.

    `acknowledged` counts the returns that were answered, by payment; `acknowledged_at` is when the first was, in Unix
    time.
    """

    def __init__(self, http: aiohttp.ClientSession) -> None:
        super().__init__(http)
        self.acknowledged: dict[str, int] = {}
        self.acknowledged_at: dict[str, float] = {}

    async def get(self, url: str, *, form: Mapping[str, str] | None = None) -> tuple[int, str | None, str]:
        answer = await patiently(lambda: self._load(url, form))
        parts = urlsplit(url).path.split("/")
        if parts[1] == "return" and len(parts) > 3 and parts[-1] != "wait" and answer[0] < 500:
            self.acknowledged[parts[3]] = self.acknowledged.get(parts[3], 0) + 1
            self.acknowledged_at.setdefault(parts[3], time.time())
        return answer

    async def _load(self, url: str, form: Mapping[str, str] | None) -> tuple[int, str | None, str]:
        answer = await super().get(url, form=form)
        if answer[0] == 503:
            raise ComeAgain
        return answer


class Customer(Struct, frozen=True, kw_only=True):
    """One payment that was acknowledged with 201, and its buyer's actions."""

    gateway: Gateway
    deed: str
    payment: Document

    @property
    def payment_id(self) -> str:
        return str(self.payment["payment_id"])

    @property
    def returned_paid(self) -> bool:
        return self.deed in ("pays", "pays and hits often", "pays among strangers")


async def patiently(do: Callable[[], Awaitable[T]]) -> T:
    """Repeat `do` while the service is away or asks to retry soon."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await do()
            except AWAY:
                await asyncio.sleep(AGAIN_SECONDS)
            except Refused as refused:
                if refused.status < 500 and refused.code not in LATER:
                    raise
                await asyncio.sleep(AGAIN_SECONDS)


async def shop_until(over: asyncio.Event, stage: Stage, rng: random.Random, customers: list[Customer]) -> None:
    """Serve one customer after the other until `over` is set; the last customer is served to the end."""
    while not over.is_set():
        await shop_once(stage, rng, customers)
        await asyncio.sleep(rng.uniform(0, 0.5))


async def shop_once(stage: Stage, rng: random.Random, customers: list[Customer]) -> None:
    """Serve one customer to the end."""
    deed = rng.choice(DEEDS)
    gateway = rng.choice(WHERE.get(deed, EVERY))
    script, seconds = drawn_script(gateway, deed, rng)
    scene = Scene(stage, gateway, rng.randrange(1, 9000), script=script, seconds=seconds)
    # A script may keep the buyer away; then only the gateway's message comes.
    silent = script is None and rng.random() < 0.5
    with suppress(Otherwise):  # the shop waited in vain; the judge names what came instead
        await _Buyer(scene, deed, rng, customers, webhook=not silent).acts()


class _Buyer:
    """One customer with one order, which may take several attempts."""

    def __init__(
        self, scene: Scene, deed: str, rng: random.Random, customers: list[Customer], *, webhook: bool
    ) -> None:
        """`webhook` False: the gateway sends no webhook when the buyer pays and returns."""
        self._scene, self._deed, self._rng, self._customers, self._webhook = scene, deed, rng, customers, webhook
        self._order = f"order-{secrets.token_hex(6)}"

    async def acts(self) -> None:
        scene = self._scene
        match self._deed:
            case "pays":
                await self._opens()
                await self._returns("pay", webhook=self._webhook)
            case "pays and hits often":
                await self._opens()
                if returned := await scene.at_gateway("pay"):
                    await asyncio.gather(*[scene.stage.browser.get(returned) for _ in range(8)])
            case "pays and is lost":
                await self._opens(lives=ENDS_SOON if scene.gateway is BLIND else None)
                await scene.at_gateway("pay")
                if scene.gateway is ONEPAYBD:
                    await scene.gateway_closes()
            case "pays among strangers":
                await self._opens()
                await self._strangers_claim()
                await self._returns("pay")
            case "fails" | "cancels":
                await self._opens(lives=ENDS_SOON if scene.gateway is BLIND else None)
                await self._returns("fail" if self._deed == "fails" else "cancel")
            case "leaves":
                await self._opens(lives=ENDS_SOON)
                await scene.at_gateway("walk_away")
            case "is claimed by strangers":
                await self._opens(lives=ENDS_SOON)
                await scene.at_gateway("walk_away", webhook=False)
                await self._strangers_claim()
            case "is refunded" | "is refunded in part":
                await self._pays_and_is_refunded(250 if self._deed == "is refunded in part" else None)
            case "pays again after a refund":
                await self._pays_and_is_refunded(None)
                await self._opens()
                await self._returns("pay")
            case "is registered late":
                await self._registers_late()
            case "pays twice":
                await self._pays_twice()
            case "fails first":
                await self._opens()
                await self._returns("fail")
                await self._opens()
                await self._returns("pay")

    async def _opens(self, lives: float | None = None) -> Document:
        """Open a checkout as a shop does that must have it.

        It posts with a key or without, and with a new reference where needed.
        """
        scene, shop = self._scene, self._scene.stage.shop
        while True:
            request = await scene.request(lives=lives, order=self._order)
            key = secrets.token_hex(8) if self._rng.random() < 0.5 else None
            try:
                scene.payment = await patiently(lambda body=request, key=key: shop.open(body, key))
                break
            except Refused as refused:
                if refused.code == "reference_used_at_gateway":
                    continue
                if refused.code != "reference_used" or refused.payment_id is None:
                    raise
                payment_id = refused.payment_id
                scene.payment = await patiently(lambda named=payment_id: shop.payment(named))
                break
        if lives is not None:
            await patiently(lambda: scene.stage.shorten(scene.payment["payment_id"], lives))
        return self._counts()

    def _counts(self) -> Document:
        """From here on this payment's end is checked."""
        payment = self._scene.payment
        self._customers.append(Customer(gateway=self._scene.gateway, deed=self._deed, payment=payment))
        return payment

    async def _returns(self, does: str, *, webhook: bool = True) -> None:
        """The buyer acts and returns, and may not wait at the confirming page."""
        if returned := await self._scene.at_gateway(does, webhook=webhook):
            await self._scene.returns(returned, leave_at=CONFIRMING if self._rng.random() < 0.5 else None)

    async def _strangers_claim(self) -> None:
        """A stranger who knows an order's reference claims that it is paid, by transactions that do not exist."""
        scene, payment = self._scene, self._scene.payment
        for _ in range(STRANGERS):
            query = f"transaction_id=txn{secrets.token_hex(16)}&order_id={payment['reference']}&status=SUCCESS"
            await scene.stage.browser.get(f"{scene.stage.url}/return/{scene.gateway.account}?{query}")
        if scene.gateway is not MONEYBAG:  # a success claimed on the payment's own path would wait for its transaction
            await scene.stage.browser.get(scene.forged())

    async def _pays_and_is_refunded(self, amount: int | None) -> None:
        await self._opens()
        await self._returns("pay")
        await self._scene.until("opened", "completed", seconds=PATIENCE_SECONDS)
        await self._scene.gateway_refunds(None if amount is None else str(amount))
        told = "refunded" if amount is None else "partially_refunded"
        await self._scene.until("opened", "completed", told, seconds=PATIENCE_SECONDS)

    async def _registers_late(self) -> None:
        """The shop opened the checkout itself, and the gateway's message may come before the shop's."""
        scene = self._scene
        await scene.opens_elsewhere()
        await scene.stage.browser.visit(await scene.at_gateway("pay"))
        await asyncio.sleep(self._rng.uniform(0, 3))
        await patiently(scene.registers)
        self._counts()

    async def _pays_twice(self) -> None:
        """The buyer pays two attempts of one order. Where Execute takes the money, only one attempt is paid."""
        scene = self._scene
        attempts = [(await self._opens(), await scene.at_gateway("pay")) for _ in range(2)]
        visits = [scene.stage.browser.visit(url, leave_at=CONFIRMING) for _, url in attempts if url]
        await asyncio.gather(*visits)
        if scene.gateway is ONEPAYBD:
            await self._closes_what_is_not_taken([payment for payment, _ in attempts])

    async def _closes_what_is_not_taken(self, attempts: list[Document]) -> None:
        """The checkout of the other attempt ends once an attempt's paid event has come."""
        scene = self._scene

        async def one_is_paid() -> bool:
            return any("completed" in scene.stage.feed.words(one["payment_id"]) for one in attempts)

        with suppress(AssertionError):
            await until(one_is_paid, what="one attempt is paid", seconds=PATIENCE_SECONDS)
        for scene.payment in attempts:
            session = await scene.stage.control.session(scene.gateway.provider, scene.payment["reference"])
            if session is not None and session["status"] in ("open", "approved"):
                await scene.gateway_closes()
