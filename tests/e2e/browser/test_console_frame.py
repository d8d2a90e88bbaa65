"""The console in a browser: signing in and out, and the frame of every page, also without scripts or a mouse."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from tests.consoles import Console, running_console
from tests.e2e.browser.chromium import BANGLA, PHONE, Windows
from tests.e2e.browser.console_browser import at_console, looked_over_in_all_ways, signs_in
from worker.postgres.database import Database


@pytest.fixture
async def console(database: Database, windows: Windows) -> AsyncIterator[Console]:
    async with running_console(database) as console:
        yield console
        await windows.close()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_an_operator_signs_in_goes_on_to_the_page_and_signs_out(
    console: Console, windows: Windows, scripts: bool
) -> None:
    page = await windows.open(scripts=scripts)
    await page.goto(f"{console.url}/session")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    await signs_in(page, console, "abida")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your sessions")
    await page.get_by_role("button", name="Sign out", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    await page.goto(f"{console.url}/")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


async def test_log_out_everywhere_ends_the_session_of_another_browser(console: Console, windows: Windows) -> None:
    here = await at_console(windows, console, "abida", "/session")
    there = await at_console(windows, console, "abida", "/session")
    await here.get_by_role("button", name="Sign out everywhere").click()
    await expect(here.get_by_role("heading", level=1)).to_have_text("Sign in")
    await there.reload()
    await expect(there.get_by_role("heading", level=1)).to_have_text("Sign in")


@pytest.mark.parametrize("locale", ["en-US", BANGLA])
async def test_the_frame_on_a_phone_and_at_a_desk_light_and_dark(
    console: Console, windows: Windows, locale: str
) -> None:
    page = await windows.open(locale=locale)
    await page.goto(f"{console.url}/sign-in")
    await looked_over_in_all_ways(windows, page, f"sign-in {locale}")
    page = await at_console(windows, console, "abida", "/session", locale=locale)
    await looked_over_in_all_ways(windows, page, f"session {locale}")


async def test_by_keyboard_alone(console: Console, windows: Windows) -> None:
    page = await at_console(windows, console, "abida", "/session")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


async def test_the_menu_opens_on_a_phone_without_scripts(console: Console, windows: Windows) -> None:
    page = await at_console(windows, console, "abida", "/session", scripts=False)
    await page.set_viewport_size(PHONE)
    await expect(page.get_by_role("link", name="Now")).not_to_be_visible()
    await page.get_by_text("Menu").click()
    await page.get_by_role("navigation", name="Menu").get_by_role("link", name="Now").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Now")
