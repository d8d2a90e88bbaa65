"""The console's corners, looked over like every page: dead letters, empty pages, refusals and errors; and that looking
finds faults at all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from tests.consoles import PASSWORD, Console, running_console
from tests.e2e.browser.axe import accessible
from tests.e2e.browser.chromium import BANGLA, DESKTOP, ENGLISH, Windows
from tests.e2e.browser.console_browser import at_console, looked_over_in_all_ways
from tests.e2e.browser.looking import fits
from tests.integration.shops import serving
from tests.integration.test_console_dead_letters import dies
from worker.postgres.database import Database

LOCALES = pytest.mark.parametrize("locale", [ENGLISH, BANGLA])
EMPTY = ("/", "/held", "/approvals", "/endpoints", "/events", "/dead-letters", "/statements", "/audit", "/payments")


@pytest.fixture
async def console(database: Database, windows: Windows) -> AsyncIterator[Console]:
    async with running_console(database) as console:
        yield console
        await windows.close()


@LOCALES
async def test_empty_pages_say_so_in_words(windows: Windows, console: Console, locale: str) -> None:
    page = await at_console(windows, console, "abida", locale=locale)
    titles = set()
    for path in EMPTY:
        await page.goto(f"{console.url}{path}")
        titles.add(await page.title())
        await looked_over_in_all_ways(windows, page, f"empty {path.strip('/') or 'now'} {locale}")
    assert len(titles) == len(EMPTY)


@LOCALES
async def test_dead_letters(windows: Windows, console: Console, database: Database, locale: str) -> None:
    path = await dies(database, "shop-ipay")
    page = await at_console(windows, console, "abida", "/dead-letters", locale=locale)
    await looked_over_in_all_ways(windows, page, f"dead-letters {locale}")
    await page.locator("tr[data-row] a").first.click()
    await expect(page).to_have_url(f"{console.url}{path}")
    await looked_over_in_all_ways(windows, page, f"dead-letter {locale}")
    await page.locator("#why").fill("A probe of ours")
    await page.locator("#confirm").fill(PASSWORD)
    await page.locator("button.danger").click()
    await expect(page).to_have_url(f"{console.url}/dead-letters")
    await expect(page.locator("tr[data-row]")).to_have_count(0)
    await page.goto(f"{console.url}/audit")
    await expect(page.locator("tr[data-row]")).to_contain_text("A probe of ours")
    await looked_over_in_all_ways(windows, page, f"audit-dropped {locale}")


@LOCALES
async def test_refusals_and_errors_have_the_pages_frame(
    windows: Windows, console: Console, database: Database, locale: str
) -> None:
    async with serving(database) as shops:
        payment = await shops.opened()
    address = f"{console.url}/payments/{payment['payment_id']}"
    page = await at_console(windows, console, "vera", "/no-such-page", locale=locale, may=[403, 404, 422, 503])
    await looked_over_in_all_ways(windows, page, f"error-missing {locale}")
    await page.goto(f"{address}/callback?claim=x")
    await expect(page.locator("nav.side")).to_have_count(1)
    await looked_over_in_all_ways(windows, page, f"error-role {locale}")
    page = await at_console(windows, console, "omar", "/dead-letters/1", locale=locale, may=[403, 404, 422])
    await page.goto(address)
    await page.locator("#note").evaluate("one => { one.required = false; }")
    await page.locator("form[action$='/notes'] button").click()
    await looked_over_in_all_ways(windows, page, f"error-note {locale}")
    await database.execute("ALTER TABLE payments RENAME TO payments_away")
    page = await at_console(windows, console, "vera", "/payments", locale=locale, may=[500])
    await expect(page.get_by_role("alert")).to_be_visible()
    await looked_over_in_all_ways(windows, page, f"error-failed {locale}")
    await database.execute("ALTER TABLE payments_away RENAME TO payments")


async def test_each_page_has_its_landmarks(windows: Windows, console: Console) -> None:
    page = await at_console(windows, console, "abida")
    for path in (*EMPTY, "/find", "/gateways", "/settings", "/session"):
        await page.goto(f"{console.url}{path}")
        assert await page.locator("html").get_attribute("lang") == "en"
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await expect(page.get_by_role("main")).to_have_count(1)
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
        for table in await page.get_by_role("table").all():
            await expect(table.locator("caption")).to_have_count(1)
            assert await table.locator("thead th:not([scope=col])").count() == 0
            assert await table.locator("tbody th:not([scope=row])").count() == 0


# -- looking finds faults ---------------------------------------------------------------------------------------------


async def test_axe_fails_a_page_with_a_field_that_has_no_name(windows: Windows, console: Console) -> None:
    page = await at_console(windows, console, "abida", "/find")
    await accessible(page)
    await page.evaluate("document.querySelector('label[for=find]').remove()")
    with pytest.raises(AssertionError, match="label"):
        await accessible(page)


async def test_a_page_that_is_wider_than_the_screen_fails(windows: Windows, console: Console) -> None:
    page = await at_console(windows, console, "abida", "/find")
    await page.set_viewport_size(DESKTOP)
    await fits(page)
    await page.evaluate("document.querySelector('h1').style.width = '3000px'")
    with pytest.raises(AssertionError, match="wide"):
        await fits(page)


@pytest.mark.parametrize(
    "fault",
    [
        "document.body.setAttribute('style', 'color: red')",
        "document.body.append(Object.assign(document.createElement('script'), {textContent: '1'}))",
        "document.body.append(Object.assign(document.createElement('img'), {alt: '', src: '/assets/x.png'}))",
    ],
    ids=["a style", "a script", "a picture"],
)
async def test_a_violated_content_security_policy_fails_the_test(
    windows: Windows, console: Console, fault: str
) -> None:
    page = await at_console(windows, console, "abida", "/find")
    assert windows.complaints == []
    async with page.context.expect_event("console"):
        await page.evaluate(fault)
    assert "Content Security Policy" in " ".join(windows.complaints)
    windows.complaints.clear()
