"""Now, Gateways and Settings in a browser: a silent gateway is seen without a hand, and without scripts by a link."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from tests.console_rows import silence, some_days
from tests.consoles import Console, running_console
from tests.e2e.browser.chromium import BANGLA, ENGLISH, Windows
from tests.e2e.browser.console_browser import at_console, looked_over_in_all_ways
from worker.postgres.database import Database


@pytest.fixture
async def console(database: Database, windows: Windows) -> AsyncIterator[Console]:
    await some_days(database, held=2)
    async with running_console(database) as console:
        yield console
        await windows.close()


async def test_a_gateway_that_falls_silent_is_seen_within_ten_seconds(
    console: Console, windows: Windows, database: Database
) -> None:
    page = await at_console(windows, console, "vera")
    await expect(page.get_by_text("Held payments: 2")).to_be_visible()
    await silence(database, "shop-one")
    await expect(page.get_by_text("shop-one: the gateway is silent")).to_be_visible(timeout=10_000)


async def test_without_scripts_a_link_shows_it(console: Console, windows: Windows, database: Database) -> None:
    page = await at_console(windows, console, "vera", scripts=False)
    await silence(database, "shop-one")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Now").click()
    await page.get_by_text("shop-one: the gateway is silent").get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Gateways")
    await expect(page.locator("#shop-one")).to_contain_text("silent")


@pytest.mark.parametrize("locale", [ENGLISH, BANGLA])
async def test_the_pages_on_a_phone_and_at_a_desk_light_and_dark(
    console: Console, windows: Windows, database: Database, locale: str
) -> None:
    await silence(database, "shop-one")
    for path in ("/", "/gateways", "/settings"):
        page = await at_console(windows, console, "abida", path, locale=locale)
        await looked_over_in_all_ways(windows, page, f"{path.strip('/') or 'now'} {locale}")


async def test_j_and_k_go_along_the_rows(console: Console, windows: Windows) -> None:
    page = await at_console(windows, console, "vera")
    await page.keyboard.press("j")
    await expect(page.get_by_role("link", name="other-one")).to_be_focused()
    await page.keyboard.press("j")
    await expect(page.get_by_role("link", name="shop-bag")).to_be_focused()
    await page.keyboard.press("k")
    await page.keyboard.press("k")
    await expect(page.get_by_role("link", name="other-one")).to_be_focused()
