"""The stories' shop: payproof's API as every shop calls it, and the pages that scripted buyers come back to.

These pages only show what the redirect carried, for the demo. A real shop ships when the event comes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape

import aiohttp
from aiohttp import web

from worker.playground.shop.client import Document, Payproof, Refused
from worker.runtime.http_listener import Runner

__all__ = ["Document", "Refused", "StoryShop", "shop_pages"]

PAGES = ("thanks", "failed", "cancelled")


class StoryShop(Payproof):
    """A merchant's system: opens payments, asks about them, and knows where its pages are."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str, pages_url: str) -> None:
        super().__init__(http, url, key)
        self.pages_url = pages_url


@asynccontextmanager
async def shop_pages() -> AsyncIterator[str]:
    """Serve the pages on a free port of loopback. Yields their address."""
    app = web.Application()
    app.add_routes([web.get(f"/{name}", _page) for name in PAGES])
    runner = Runner(app)
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
