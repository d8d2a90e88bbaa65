"""`/docs` and `/` in a browser: on a phone and at a desk, light and dark, without scripts, for everyone who reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from playwright.async_api import expect

from tests.e2e.browser.chromium import DESKTOP, PHONE, Windows
from tests.e2e.browser.looking import fits, looked_over, looked_over_everywhere
from tests.local_server import serving
from worker.api.entry import entry_routes


@pytest.fixture
async def address() -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(entry_routes(""))
    async with serving(app) as base:
        yield base


@pytest.mark.parametrize("path", ["/docs", "/"])
async def test_the_page_fits_everywhere_and_everyone_can_read_it(windows: Windows, address: str, path: str) -> None:
    page = await windows.open(DESKTOP)
    await page.goto(address + path)
    await looked_over_everywhere(windows, page, "docs")
    await page.emulate_media(color_scheme="dark")
    await looked_over(windows, page, "docs dark")


async def test_everything_opens_without_a_script_and_still_fits_a_phone(windows: Windows, address: str) -> None:
    page = await windows.open(DESKTOP, scripts=False)
    await page.goto(address)
    await page.get_by_role("link", name="/docs").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Payproof API")
    await page.get_by_role("link", name="Payments", exact=True).click()
    assert page.url.endswith("/docs#tag-Payments")
    opening = page.locator("#openPayment")
    await expect(opening.locator("pre").first).to_be_hidden()
    await opening.get_by_role("heading", name="POST /v1/payments", exact=True).click()
    await expect(opening.locator("pre").first).to_contain_text("curl -X POST")
    await expect(opening.locator("pre").first).to_be_visible()
    await opening.get_by_text("Answer 201", exact=True).click()
    await expect(opening.get_by_text('"payment_id": "pay_0123456789abcdefghijklmnop"')).to_be_visible()
    await opening.get_by_text("Errors, by their status and code").click()
    await expect(opening.get_by_text("reference_used", exact=True)).to_be_visible()
    await page.set_viewport_size(PHONE)
    await fits(page)


async def test_on_a_phone_the_page_is_a_few_screens_long_until_something_is_opened(
    windows: Windows, address: str
) -> None:
    page = await windows.open(PHONE, scripts=False)
    await page.goto(f"{address}/docs#resolvePayment")
    height, screen = await page.locator("html").evaluate("page => [page.scrollHeight, innerHeight]")
    assert height < 12 * screen
    await expect(page.locator("#resolvePayment > summary")).to_be_in_viewport()
