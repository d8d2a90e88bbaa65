"""The sandbox's control API: troubles set for an order, and refunds. No part of an integration.

Only the simulated gateways have it; no real gateway does.
"""

from __future__ import annotations

import aiohttp
import msgspec
from msgspec import Struct

from worker.playground.shop.client import Document

SECONDS = 10.0


class SimulatorError(Exception):
    """The simulated gateway cannot do that, or cannot be reached; the message says so in its words."""


class Script(Struct, frozen=True, kw_only=True):
    """A trouble by its name: `what` happens, and at which gateways it can."""

    script: str
    title: str
    what: str
    gateways: tuple[str, ...]


class Simulator:
    def __init__(self, http: aiohttp.ClientSession, sandbox_url: str) -> None:
        self._http, self._url = http, f"{sandbox_url}/_control"

    async def scripts(self) -> list[Script]:
        found = await self._call("GET", "scripts")
        return msgspec.convert(found["scripts"], list[Script])

    async def set_script(self, provider: str, reference: str, script: str) -> None:
        await self._call("POST", "scripts", {"provider": provider, "reference": reference, "script": script})

    async def refund(self, provider: str, reference: str) -> None:
        await self._call("POST", "refund", {"provider": provider, "reference": reference})

    async def _call(self, method: str, what: str, body: Document | None = None) -> Document:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        try:
            async with self._http.request(method, f"{self._url}/{what}", json=body, timeout=timeout) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SimulatorError(f"the sandbox does not answer ({type(error).__name__})") from None
        try:
            answer: Document = msgspec.json.decode(content, type=dict)
        except msgspec.DecodeError:
            raise SimulatorError(f"the sandbox knows no {what} (HTTP {response.status})") from None
        if response.status != 200:
            raise SimulatorError(str(answer.get("error")))
        return answer
