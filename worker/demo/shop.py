"""The shop: the pages that buyers come back to, and its own calls of payproof's API.

The one thing to get wrong: these pages believe nothing. They show what the redirect carried, which is what the demo
wants to see; a real shop ships when the event comes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import escape
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

Document = dict[str, Any]
SECONDS = 40.0
PAGES = ("thanks", "failed", "cancelled")


class Refused(Exception):
    """The API answered with a problem. `code` is the problem's own word."""

    def __init__(self, status: int, problem: Document) -> None:
        super().__init__(f"HTTP {status} {problem.get('code')}: {problem.get('detail') or problem.get('title')}")
        self.status = status
        self.code = str(problem.get("code"))
        self.payment_id: str | None = problem.get("payment_id")


class Shop:
    """A merchant's system: opens payments, asks about them, and knows where its pages are."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str, pages_url: str) -> None:
        self._http, self._url = http, url
        self._key = {"Authorization": f"Bearer {key}"}
        self.pages_url = pages_url

    async def open(self, request: Mapping[str, Any], idempotency_key: str | None = None) -> Document:
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return await self._call("POST", "/v1/payments", request, headers)

    async def payment(self, payment_id: str) -> Document:
        return await self._call("GET", f"/v1/payments/{payment_id}")

    async def timeline(self, payment_id: str) -> list[Document]:
        entries: list[Document] = (await self._call("GET", f"/v1/payments/{payment_id}/timeline"))["entries"]
        return entries

    async def verify(self, payment_id: str) -> Document:
        return await self._call("POST", f"/v1/payments/{payment_id}/verify")

    async def resolve(self, payment_id: str, **decision: str) -> Document:
        return await self._call("POST", f"/v1/payments/{payment_id}/resolve", decision)

    async def events(self, after: str | None, limit: int = 1000) -> bytes:
        """The page as it came, so that the bytes of each event can be compared."""
        query = f"?limit={limit}" + (f"&after={after}" if after else "")
        return await self._bytes("GET", f"/v1/events{query}")

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Document:
        answer: Document = msgspec.json.decode(await self._bytes(method, path, body, headers))
        return answer

    async def _bytes(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with self._http.request(
            method, self._url + path, json=body, headers={**self._key, **(headers or {})}, timeout=timeout
        ) as response:
            if response.status >= 400:
                raise Refused(response.status, await response.json(content_type=None))
            return await response.read()


@asynccontextmanager
async def shop_pages() -> AsyncIterator[str]:
    """Serve the pages on a free port of loopback; their address."""
    app = web.Application()
    app.add_routes([web.get(f"/{name}", _page) for name in PAGES])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def _page(request: web.Request) -> web.Response:
    title = escape(f"{request.path.strip('/')} ({request.query.get('status', 'nothing said')})")
    return web.Response(text=f"<!doctype html><title>{title}</title>", content_type="text/html")
