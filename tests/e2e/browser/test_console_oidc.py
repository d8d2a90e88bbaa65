"""Signing in and confirming at an identity provider in a browser, which keeps and sends cookies as browsers do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from playwright.async_api import Page, expect

from schemas.words import OperatorRole, Status
from tests import oidc_console
from tests.consoles import Console, operator
from tests.e2e.browser.chromium import BANGLA, Windows
from tests.e2e.browser.console_browser import at_console, looked_over_in_all_ways
from tests.integration.shops import Shops, serving
from tests.oidc_provider import TestProvider
from worker.config import console as config_console
from worker.postgres.database import Database

OPERATORS = (
    config_console.Operator(name="abida@shop.example", role=OperatorRole.APPROVER),
    operator("anis", "approver"),
)
provider, console = oidc_console.provider, oidc_console.console_of(OPERATORS)
SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])


@pytest.fixture
async def shops(database: Database) -> AsyncIterator[Shops]:
    async with serving(database) as shops:
        yield shops


async def signs_in(page: Page, console: Console, path: str) -> None:
    await page.goto(f"{console.url}{path}")
    await page.get_by_role("link", name="Sign in at localhost").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("The provider")
    await page.get_by_role("button", name="Sign in as the person").click()


async def held(shops: Shops) -> str:
    payment = await shops.opened(account="shop-ipay", reference="order-7831-a1")
    await shops.answered(payment, Status.COMPLETED, amount=Decimal("15.00"))
    return str(payment["payment_id"])


async def chooses(page: Page) -> None:
    await page.locator("input[name=status][value=completed]").check()
    await page.get_by_label("Why you decide so").fill("The panel shows 15.00, and we take it")
    await page.get_by_role("button", name="See what it changes").click()


@SCRIPTS
async def test_a_person_signs_in_there_and_is_at_the_page_that_they_wanted(
    console: Console, provider: TestProvider, windows: Windows, scripts: bool
) -> None:
    page = await windows.open(scripts=scripts)
    await signs_in(page, console, "/session")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your sessions")
    assert page.url == f"{console.url}/session"
    await expect(page.get_by_role("link", name="Signed in as abida@shop.example (approver)")).to_be_visible()
    await page.get_by_role("button", name="Sign out everywhere").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    await page.goto(f"{console.url}/session")
    await page.get_by_role("link", name="Sign in at localhost").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your sessions"), "the provider knows the person"
    assert len(provider.asked) == 2


@SCRIPTS
async def test_a_decision_is_confirmed_there_in_another_tab(
    console: Console, provider: TestProvider, windows: Windows, shops: Shops, scripts: bool
) -> None:
    payment_id = await held(shops)
    page = await windows.open(scripts=scripts, may={403})
    await signs_in(page, console, f"/held/{payment_id}")
    await chooses(page)
    await page.get_by_role("button", name="Propose it").click()
    await expect(page.get_by_role("alert")).to_contain_text("You have not confirmed this act")
    await page.goto(f"{console.url}/held/{payment_id}")
    await chooses(page)
    await page.locator("input[type=file]").set_input_files({"name": "p.txt", "mimeType": "text/plain", "buffer": b"p"})
    async with page.context.expect_page() as opening:
        await page.get_by_role("link", name="Sign in at localhost again").click()
    tab = await opening.value
    await tab.get_by_role("button", name="Sign in as the person").click()
    await expect(tab.get_by_role("heading", level=1)).to_have_text("Confirmed")
    await tab.close()
    await page.get_by_role("button", name="Propose it").click()
    await expect(page.get_by_text("It waits for a second person.")).to_be_visible()
    rows = await console.database.fetch("SELECT count(*) AS left FROM console_confirmations")
    assert rows[0]["left"] == 0, "it is used up"


async def test_a_provider_that_does_not_ask_again_confirms_nothing(
    console: Console, provider: TestProvider, windows: Windows, shops: Shops
) -> None:
    payment_id = await held(shops)
    page = await windows.open(may={403})
    await signs_in(page, console, f"/held/{payment_id}")
    await chooses(page)
    assert provider.session_at is not None
    provider.session_at -= 3600
    provider.heeds_prompt = False
    async with page.context.expect_page() as opening:
        await page.get_by_role("link", name="Sign in at localhost again").click()
    tab = await opening.value
    await expect(tab.get_by_role("alert")).to_contain_text("did not prove that you signed in just now")
    await page.get_by_role("button", name="Propose it").click()
    await expect(page.get_by_role("alert")).to_contain_text("You have not confirmed this act")


@pytest.mark.parametrize("locale", ["en-US", BANGLA])
async def test_its_pages_on_a_phone_and_at_a_desk_light_and_dark(
    console: Console, provider: TestProvider, windows: Windows, shops: Shops, locale: str
) -> None:
    page = await windows.open(locale=locale, may={403, 503})
    await page.goto(f"{console.url}/sign-in")
    await looked_over_in_all_ways(windows, page, f"sign-in at a provider {locale}")
    await page.goto(f"{console.url}/sign-in/oidc/callback?state=x&code=y")
    await looked_over_in_all_ways(windows, page, f"not asked for {locale}")
    payment_id = await held(shops)
    for name in ("abida@shop.example", "anis"):
        page = await at_console(windows, console, name, f"/held/{payment_id}", locale=locale)
        await page.locator("input[name=status][value=completed]").check()
        await page.locator("#reason").fill("The panel shows 15.00, and we take it")
        await page.locator("main form button").last.click()
        await expect(page.locator(f"a[href^='/confirm?act=%2Fheld%2F{payment_id}']")).to_be_visible()
        await looked_over_in_all_ways(windows, page, f"confirm {name} {locale}")
