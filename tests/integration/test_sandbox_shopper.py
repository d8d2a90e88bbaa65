"""The scripted shopper comes back by default, and a gateway without an address for its message says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from tests.integration.sandboxes import REFERENCE, Driver, driving, opened
from tests.local_server import serving
from worker.playground.sandbox.sandbox_config import SandboxConfig


@pytest.fixture
async def sandbox() -> AsyncIterator[Driver]:
    async with driving(SandboxConfig(seed=1)) as driver:
        yield driver


@asynccontextmanager
async def shop_of(sandbox: Driver) -> AsyncIterator[list[str]]:
    """The paths that browsers visited at the shop."""
    visited: list[str] = []

    async def visit(request: web.Request) -> web.Response:
        visited.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", visit)
    async with serving(app) as base:
        sandbox.shop = base
        yield visited


@pytest.mark.parametrize("provider", ["shadhinpay", "ipay", "sslcommerz"])
async def test_the_shopper_comes_back_once(sandbox: Driver, provider: str) -> None:
    async with shop_of(sandbox) as visited:
        await opened(sandbox, provider)
        named = {"provider": provider, "reference": REFERENCE}
        paid = await sandbox.control("shopper", **named, does="pay")
        back = urlsplit(paid["redirect"]).path
        assert visited.count(back) == 1


@pytest.mark.parametrize("how", [{"does": "pay", "returns": False}, {"does": "walk_away"}])
async def test_who_does_not_come_back_visits_nothing(sandbox: Driver, how: dict[str, object]) -> None:
    async with shop_of(sandbox) as visited:
        await opened(sandbox, "shadhinpay")
        await sandbox.control("shopper", provider="shadhinpay", reference=REFERENCE, **how)
        assert visited == []


@pytest.mark.parametrize("provider", ["shadhinpay", "moneybag", "shurjopay", "aamarpay"])
async def test_a_message_without_an_address_is_told(
    sandbox: Driver, provider: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await opened(sandbox, provider)
    advice = f"start the sandbox with --webhook {provider}=URL"
    page = (await sandbox.call("GET", "/_control")).body.decode()
    assert f"messages go nowhere: {advice}" in page
    await sandbox.shopper(provider, "pay")
    said = capsys.readouterr().out
    assert f"{REFERENCE}: {provider} has a message to send (" in said
    assert advice in said


async def test_with_an_address_or_without_messages_nothing_is_told(
    sandbox: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    await sandbox.control("webhook_urls", provider="shadhinpay", url="http://127.0.0.1:9/hook")
    for provider in ("shadhinpay", "ipay"):
        await opened(sandbox, provider)
        await sandbox.shopper(provider, "pay")
    assert "no address" not in capsys.readouterr().out
    assert (
        "messages go to <code>http://127.0.0.1:9/hook</code>" in (await sandbox.call("GET", "/_control")).body.decode()
    )
