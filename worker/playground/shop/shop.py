"""The state that the shop's handlers share."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp
from aiohttp import web

from worker.playground.shop.books import Books
from worker.playground.shop.client import Payproof
from worker.playground.shop.feed import Feed
from worker.playground.shop.hooks import Hooks
from worker.playground.shop.shop_config import ShopConfig
from worker.playground.shop.simulator import Simulator

CATCH_UP_SECONDS = 3.0


class Shop:
    """Made inside the running loop; its maker closes `http`."""

    def __init__(self, config: ShopConfig) -> None:
        self.config = config
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self.payproof = Payproof(self.http, config.payproof_url, config.key)
        self.books = Books()
        self.feed = Feed(self.payproof, self.books)
        self.hooks = None if config.secret is None else Hooks(config.secret, self.books)
        self.names = {account.id: account.name for account in config.accounts}

    async def catch_up(self) -> None:
        """Read the events so far, so that a page is not older than its request."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await self.feed.catch_up()

    def simulator(self, request: web.Request) -> Simulator:
        return Simulator(self.http, self.config.sandbox_url or _arrived_at(request))

    def url(self, request: web.Request) -> str:
        """Where browsers reach the shop."""
        return (self.config.public_url or f"{request.scheme}://{request.host}").rstrip("/")


def _arrived_at(request: web.Request) -> str:
    """The address of this very process, which no header of a stranger's can change."""
    assert request.transport is not None, "the request is being answered"
    host, port = request.transport.get_extra_info("sockname")[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
