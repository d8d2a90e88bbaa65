"""Buyers with real browsers. Afterwards no page may have complained, and no process of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.browser.chromium import Windows, launched, windows_of
from tests.e2e.browser.demo_shop import DemoShop
from tests.harness import Control, System
from tests.integration.conftest import database, dsn, server
from tests.processes import loud, running

__all__ = ["database", "dsn", "server"]

SHOPPING = """\
return_wait = "1s"

[checks]
claimed = ["300ms", "500ms", "1s"]
pending = ["2s", "4s"]
closed = ["2s", "4s"]
refunds = ["1s", "2s"]
grace = "1s"
confirm_end = "500ms"
give_up = "2h"
"""
"""Asks soon by itself, since the demo shop's visitors wait for outcomes that no callback reports."""


@pytest.fixture
async def windows(request: pytest.FixtureRequest) -> AsyncIterator[Windows]:
    async with windows_of(request.node.name) as windows:
        yield windows
    assert windows.complaints == []


@pytest.fixture(scope="session")
def shopping() -> Iterator[System]:
    """An installation beside the layer's own, which hardly asks by itself."""
    with running(settings=SHOPPING) as system:
        yield system


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def demo(shopping: System, browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[DemoShop]:
    """The demo shop for tests in the session's event loop, which share its browser."""
    windows = Windows(browser, request.node.name)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield DemoShop(shopping.sandbox_url, windows, http, Control(http, shopping.sandbox_url))
    await windows.close()
    assert windows.complaints == []
    for process in (shopping.service, shopping.sandbox):
        assert process.running
        assert loud(process.log.read_text()) == []
