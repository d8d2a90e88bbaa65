"""What the tests do with the service: open payments, send callbacks of any shape, and read the outcome."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import time
from typing import Any

import aiohttp
import asyncpg
from msgspec import Struct

from tests.commands import Ended, command
from tests.harness import BLIND, CHECKED, NEWER, Document, Gateway, Scene, Stage, System
from tests.processes import until
from worker.playground.sandbox.sandbox_config import CREDENTIALS
from worker.postgres.server.embedded import embedded

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ASKED = tuple(gateway.provider for gateway in (*CHECKED, *NEWER))
"""The names of all gateways that can be asked."""
GATEWAYS = {gateway.provider: gateway for gateway in (*CHECKED, *NEWER)} | {"blind": BLIND}
DEADLINE = aiohttp.ClientTimeout(total=20)


class Answered(Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Payproof:
    def __init__(self, system: System, stage: Stage) -> None:
        self.system, self.stage = system, stage
        self._opened = 0

    async def call(self, method: str, path: str, **more: Any) -> Answered:
        """Send one request without following redirects. Raises what aiohttp raises."""
        url = path if path.startswith("http") else self.system.url + path
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=DEADLINE) as http,
            http.request(method, url, allow_redirects=False, **more) as response,
        ):
            return Answered(response.status, dict(response.headers), await response.read())

    async def sent_on(self, method: str, path: str, **more: Any) -> Answered:
        """The redirect that ends a return: its own answer, or that of the confirming page, as on a busy machine."""
        answered = await self.call(method, path, **more)
        own = re.search(r"/return/[^/]+/[^/?]+", path)
        assert own is not None, path

        async def look() -> Answered | None:
            nonlocal answered
            if answered.status == 200:
                answered = await self.call("GET", f"{own[0]}/wait", headers={"Prefer": "wait=1"})
            return None if answered.status == 200 else answered

        return await until(look, what=f"{own[0]} is sent on")

    async def comes_back(self, buyer: Scene, does: str) -> Answered:
        """The redirect that ends the return of a buyer who does this at the gateway, which sends no message itself."""
        named = {"provider": buyer.gateway.provider, "reference": buyer.payment["reference"]}
        acted = await self.stage.control.post("shopper", **named, does=does, webhook=False, returns=False)
        sent = {} if acted["form"] is None else {"data": acted["form"]}
        return await self.sent_on("POST" if sent else "GET", acted["redirect"], **sent)

    async def shop_calls(self, method: str, path: str, **more: Any) -> Answered:
        headers = {"Authorization": f"Bearer {self.system.key}", **more.pop("headers", {})}
        return await self.call(method, path, headers=headers, **more)

    async def opened(self, name: str, **fields: Any) -> Scene:
        """A buyer at a gateway, with a payment opened."""
        self._opened += 1
        scene = Scene(self.stage, GATEWAYS[name], self._opened)
        await scene.open_as(await scene.request() | fields)
        return scene

    async def claims(self, payment_id: str, source: str | None = None) -> list[Document]:
        """The claims that a payment's timeline shows, without the sweep's."""
        entries = await self.stage.shop.timeline(payment_id)
        claims = [entry for entry in entries if entry["kind"] == "claim" and entry["source"] != "sweep"]
        return [claim for claim in claims if source in (None, claim["source"])]

    async def settled(self, payment_id: str, status: str, hold: str | None = None) -> Document:
        async def look() -> Document | None:
            payment = await self.stage.shop.payment(payment_id)
            return payment if (payment["status"], payment["hold"]) == (status, hold) else None

        return await until(look, what=f"{payment_id} is {status}, held as {hold}")

    async def taken(self, payment_id: str, claims: int) -> None:
        async def look() -> bool:
            return len(await self.claims(payment_id)) == claims

        await until(look, what=f"{claims} claims about {payment_id}")

    async def nothing_queued(self, gateway: Gateway) -> None:
        """Claims are taken in order, so once this claim is taken, no earlier claim is queued."""
        mark = Scene(self.stage, gateway, 0)
        await mark.open()
        await asyncio.wait_for(self.call("GET", mark.forged().removesuffix("/success")), 20)
        await self.taken(mark.payment["payment_id"], 1)

    async def calls(self, provider: str) -> Document:
        """How often a gateway was called, once the effects of earlier tests are over."""
        async with embedded(self.system.place / "data") as url:
            database = await asyncpg.connect(url)

            async def idle() -> bool:
                busy: bool = await database.fetchval(
                    """SELECT exists(SELECT FROM queue) OR exists(
                           SELECT FROM payments WHERE next_check_at < clock_timestamp() + interval '1 minute')"""
                )
                return not busy

            try:
                await until(idle, what="nothing is queued or due", seconds=60)  # a hanging gateway keeps its lease
            finally:
                await database.close()
        answer: Document = (await self.stage.control.get("calls", provider=provider))["by"]
        return answer


def signed(name: str, body: bytes, *, age: int = 0, secret: str | None = None) -> dict[str, str]:
    """The headers of a webhook of this gateway, made `age` seconds ago."""
    at = int(time.time()) - age
    key = (secret or CREDENTIALS[name]["webhook_secret"]).encode()
    if name == "shadhinpay":
        digest = hmac.new(key, b"t=%d." % at + body, hashlib.sha256).hexdigest()
        return {"X-ShadhinPay-Signature": f"t={at},v1={digest}"}
    digest = hmac.new(key, b"%d." % at + body, hashlib.sha256).hexdigest()
    return {"X-Webhook-Signature": f"sha256={digest}", "X-Webhook-Timestamp": str(at)}


async def payproof_says(payproof: Payproof, *words: str, **settings: str) -> Ended:
    """Run a command with the configuration of the running service; its output never holds the shop's key."""
    ended = await command(*words, cwd=payproof.system.place, settings=payproof.system.settings | settings)
    assert payproof.system.key not in ended.out + ended.err
    return ended
