"""The sandbox's control API, as the demo and the tests use it in place of buyers, gateways and time."""

from __future__ import annotations

from typing import Any

import aiohttp

from worker.demo.shop import Document

SECONDS = 30.0


class ControlError(Exception):
    """The sandbox refused; the message is its own."""


class Control:
    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = f"{url}/_control"

    async def post(self, what: str, **body: Any) -> Document:
        """Fields that are None are left out."""
        return await self._call("POST", what, json={name: value for name, value in body.items() if value is not None})

    async def get(self, what: str, **query: str) -> Document:
        return await self._call("GET", what, params=query)

    async def session(self, provider: str, reference: str) -> Document | None:
        """The newest checkout of a reference as the gateway's own books hold it; None where there is none."""
        found: list[Document] = (await self.get("sessions", provider=provider, reference=reference))["sessions"]
        return found[0] if found else None

    async def questions(self, provider: str, reference: str) -> int:
        """How often the gateway was asked about a reference."""
        by = (await self.get("calls", provider=provider, reference=reference))["by"]
        return int(by["status"] + by["execute"])

    async def _call(self, method: str, what: str, **more: Any) -> Document:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with self._http.request(method, f"{self._url}/{what}", timeout=timeout, **more) as response:
            answer: Document = await response.json()
            if response.status != 200:
                raise ControlError(f"{what}: {answer.get('error')}")
            return answer
