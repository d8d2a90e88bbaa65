"""Customers who do not give up: a service that is gone for a moment is one that they come back to.

What each did is kept, with what payproof acknowledged, so that it can be held against what became of it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct

from worker.demo.browser import CONFIRMING, Browser
from worker.demo.scene import Gateway, Scene, Stage
from worker.demo.shop import Document, Refused
from worker.demo.story import BLIND, EVERY, MONEYBAG, ONEPAYBD, SHADHINPAY

T = TypeVar("T")
PATIENCE_SECONDS = 180.0
AGAIN_SECONDS = 0.2
AWAY = (aiohttp.ClientError, OSError, TimeoutError)
LATER = frozenset({"opening_in_progress", "idempotency_in_progress"})
DEEDS = ("pays", "pays", "pays and hits often", "pays and is lost", "fails", "cancels", "leaves", "is refunded")


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

    async def get(self, url: str) -> tuple[int, str | None, str]:
        answer = await patiently(lambda: self._load(url))
        parts = urlsplit(url).path.split("/")
        if parts[1] == "return" and parts[-1] != "wait" and answer[0] < 500:
            self.acknowledged[parts[3]] = self.acknowledged.get(parts[3], 0) + 1
            self.acknowledged_at.setdefault(parts[3], time.time())
        return answer

    async def _load(self, url: str) -> tuple[int, str | None, str]:
        answer = await super().get(url)
        if answer[0] == 503:
            raise ComeAgain
        return answer


class Customer(Struct, frozen=True, kw_only=True):
    """One payment that was acknowledged with 201, and what its buyer did."""

    gateway: Gateway
    deed: str
    payment: Document

    @property
    def payment_id(self) -> str:
        return str(self.payment["payment_id"])

    @property
    def returned_paid(self) -> bool:
        return self.deed in ("pays", "pays and hits often")

    def right_end(self, session: Document) -> tuple[str, str | None] | None:
        """Status and hold that are right by the gateway's own books; None while those are not final."""
        if self.gateway is BLIND:
            return ("pending", "unverifiable") if self.returned_paid else ("expired", None)
        if self.deed == "is refunded" and session["status"] == "paid":
            return None
        truth = {"paid": "completed", "open": None, "approved": None}.get(session["status"], session["status"])
        return None if truth is None else (truth, None)


async def patiently(do: Callable[[], Awaitable[T]]) -> T:
    """Again and again while the service is away or says that it will be there in a moment."""
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
    """One customer after the other, until it is over; the last one is served to the end."""
    while not over.is_set():
        gateway, deed = rng.choice(EVERY), rng.choice(DEEDS)
        if deed == "is refunded" and gateway not in (SHADHINPAY, MONEYBAG):
            continue
        scene = Scene(stage, gateway, rng.randrange(1, 9000))
        await _open(scene, rng, lives=_lifetime(gateway, deed))
        customers.append(Customer(gateway=gateway, deed=deed, payment=scene.payment))
        await _act(scene, deed, rng)
        await asyncio.sleep(rng.uniform(0, 0.5))


def _lifetime(gateway: Gateway, deed: str) -> float | None:
    """What nobody can be asked about ends by the clock, and must not take long; so does what nobody acts on."""
    lost = gateway is BLIND and deed not in ("pays", "pays and hits often")
    return 3.0 if lost or deed == "leaves" else None


async def _open(scene: Scene, rng: random.Random, lives: float | None) -> None:
    """As a shop does that must have its checkout: with a key or without, and by a new reference where it has to."""
    order = f"order-{secrets.token_hex(6)}"
    while True:
        request = await scene.request(lives=lives, order=order)
        key = secrets.token_hex(8) if rng.random() < 0.5 else None
        try:
            scene.payment = await patiently(lambda body=request, key=key: scene.stage.shop.open(body, key))
        except Refused as refused:
            if refused.code == "reference_used_at_gateway":
                continue
            if refused.code != "reference_used" or refused.payment_id is None:
                raise
            payment_id = refused.payment_id
            scene.payment = await patiently(lambda named=payment_id: scene.stage.shop.payment(named))
        return


async def _act(scene: Scene, deed: str, rng: random.Random) -> None:
    leave_at = CONFIRMING if rng.random() < 0.5 else None
    match deed:
        case "pays":
            await scene.returns(await scene.at_gateway("pay", webhook=rng.random() < 0.5), leave_at=leave_at)
        case "pays and hits often":
            returned = await scene.at_gateway("pay")
            await asyncio.gather(*[scene.stage.browser.get(returned) for _ in range(8)])
        case "pays and is lost":
            await scene.at_gateway("pay")
            if scene.gateway is ONEPAYBD:
                await scene.gateway_closes()
        case "fails":
            await scene.returns(await scene.at_gateway("fail"), leave_at=leave_at)
        case "cancels":
            await scene.returns(await scene.at_gateway("cancel"), leave_at=leave_at)
        case "leaves":
            await scene.at_gateway("walk_away")
        case "is refunded":
            await scene.returns(await scene.at_gateway("pay"), leave_at=leave_at)
            await scene.until("opened", "completed", seconds=PATIENCE_SECONDS)
            await scene.gateway_refunds()
