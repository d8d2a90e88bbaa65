"""Find, Payments and Payment in a browser: from a phone number to what the shop knows, also without scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.async_api import expect

from schemas.secret import Secret
from schemas.words import Status
from tests.consoles import Console, running_console
from tests.e2e.browser.chromium import BANGLA, ENGLISH, Windows
from tests.e2e.browser.console_browser import at_console, looked_over_in_all_ways
from tests.integration.shops import CONFIG, Shops, serving
from worker.config.shapes import Contacts
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.runtime.encryption import new_archive_key

KEYED = replace(CONFIG, contacts=Contacts(keys=(Secret(new_archive_key()),)))
PHONE = "01712345678"


@pytest.fixture
async def console(database: Database, windows: Windows) -> AsyncIterator[Console]:
    async with running_console(database, config=KEYED) as console:
        yield console
        await windows.close()


@pytest.fixture
async def payments(database: Database) -> list[dict[str, Any]]:
    """A completed payment of a buyer with a phone number, a held payment, and a failed one, all of one order."""
    ledger = PostgresLedger(database, contacts=KEYED.contacts.hashing)
    async with serving(database, ledger=ledger) as shops:
        return await _opened(shops)


async def _opened(shops: Shops) -> list[dict[str, Any]]:
    done = await shops.opened(reference="order-7831-a1", order="order-7831", customer={"phone": PHONE})
    held = await shops.opened(reference="order-7831-a2", order="order-7831", amount="123456.50")
    failed = await shops.opened(reference="order-7831-a3", order="order-7831", customer={"phone": "01812345678"})
    await shops.answered(done, Status.COMPLETED)
    await shops.answered(held, Status.COMPLETED, amount=Decimal("900.00"), transaction_id="9AB7XY")
    await shops.answered(failed, Status.FAILED)
    return [done, held, failed]


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_a_phone_number_leads_to_the_payment_and_a_note_stays_there(
    windows: Windows, console: Console, payments: list[dict[str, Any]], scripts: bool
) -> None:
    page = await at_console(windows, console, "omar", "/find", scripts=scripts)
    await page.get_by_label("Any id, or a buyer's phone number").fill(f"+88 {PHONE}")
    await page.get_by_role("main").get_by_role("button", name="Find").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("order-7831-a1")
    await expect(page).to_have_url(f"{console.url}/payments/{payments[0]['payment_id']}")
    await expect(page.get_by_role("region", name="Does the shop know?")).to_be_visible()
    await page.get_by_label("Note, which nobody can change").fill("The buyer called.")
    await page.get_by_role("button", name="Add the note").click()
    await expect(page.get_by_role("region", name="Notes and acts")).to_contain_text("The buyer called.")


async def test_payments_are_filtered_by_the_form_and_the_address_is_the_view(
    windows: Windows, console: Console, payments: list[dict[str, Any]]
) -> None:
    page = await at_console(windows, console, "vera", "/payments?merchant=shop")
    await expect(page.get_by_role("status")).to_contain_text("3 payments: 1 completed")
    await page.get_by_label("Status").select_option("failed")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("status")).to_contain_text("1 payments: 0 completed")
    await page.goto(page.url)
    await expect(page.get_by_role("table").get_by_role("link")).to_have_text("order-7831-a3")
    await page.get_by_role("navigation", name="Lists for every day").get_by_role("link", name="Held").click()
    await expect(page.get_by_role("table")).to_contain_text("Amount 900.00, expected 123456.50")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download this list as CSV").click()
    assert (await download.value).suggested_filename == "payments.csv"
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("order-7831-a2")
    assert payments


@pytest.mark.parametrize("locale", [ENGLISH, BANGLA])
async def test_the_pages_on_a_phone_and_at_a_desk_light_and_dark(
    windows: Windows, console: Console, payments: list[dict[str, Any]], locale: str
) -> None:
    paths = {
        "find": "/find",
        "found": "/find?q=ORDER-7831",
        "nothing": "/find?q=nothing",
        "payments": "/payments?merchant=shop",
        "payments-wrong": "/payments?merchant=shop&amount_min=much",
        "payments-none": "/payments?merchant=other",
        "payment": f"/payments/{payments[0]['payment_id']}",
        "payment-held": f"/payments/{payments[1]['payment_id']}",
    }
    page = await at_console(windows, console, "abida", "/find", locale=locale, may=[422])
    for name, path in paths.items():
        await page.goto(f"{console.url}{path}")
        await looked_over_in_all_ways(windows, page, f"{name} {locale}")
    page = await at_console(windows, console, "aziz", paths["payment"], locale=locale)
    await looked_over_in_all_ways(windows, page, f"payment-auditor {locale}")
