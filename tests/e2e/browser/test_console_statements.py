"""A statement in the console, by a person in a browser: upload, look, dry run, run, and explain a row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from consumers.rules import Rules
from schemas.checks import Checks
from tests.consoles import PASSWORD, Console, running_console
from tests.e2e.browser.chromium import BANGLA, Windows
from tests.e2e.browser.console_browser import at_console, looked_over_in_all_ways
from tests.integration.shops import CONFIG
from tests.processes import directory
from worker.postgres.database import Database
from worker.postgres.queue.claim_queue import PostgresBus
from worker.reconciliation.upload_runner import UploadRunner
from worker.runtime.encryption import ArchiveCipher

ROWS = "Order ID,Transaction ID,Amount,Fee,Date,Status\n" + "".join(
    f"order-{number},TX{number:04},{number}500.50,12.25,2026-05-17 12:{number:02}:00,Success\n"
    for number in range(1, 5)
)


@pytest.fixture
async def console(database: Database, windows: Windows) -> AsyncIterator[Console]:
    async with running_console(database) as console:
        yield console
        await windows.close()


@pytest.fixture
async def runner(database: Database) -> UploadRunner:
    accounts = {account.id: account for account in CONFIG.accounts}
    rules = Rules(accounts=accounts, checks=Checks(), public_url="https://pay.example")
    return UploadRunner(database, rules, PostgresBus(database), ArchiveCipher())


@pytest.fixture
def statement() -> Path:
    with directory() as place:
        path = place / "may 2026.csv"
        path.write_text(ROWS + "order-9,TX0009,many,1.00,2026-05-17 12:09:00,Success\n")
        yield path


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_upload_map_dry_run_run_and_explain_a_row(
    windows: Windows, console: Console, runner: UploadRunner, statement: Path, scripts: bool
) -> None:
    page = await at_console(windows, console, "omar", "/statements", scripts=scripts)
    await page.get_by_label("Account").select_option("shop-one")
    await page.get_by_label("Statement (CSV").set_input_files(statement)
    await page.get_by_role("button", name="Upload and look at it").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Statement may 2026.csv")
    await expect(page.get_by_text("is no amount")).to_be_visible()
    await page.get_by_role("button", name="Dry run").click()
    await expect(page.get_by_text("This statement is being worked on.")).to_be_visible()
    assert await runner.reconcile_next()
    if not scripts:
        await page.get_by_role("link", name="Refresh").click()
    await expect(page.get_by_text("nothing was changed")).to_be_visible()
    await page.get_by_label("Follow up even").check()
    await page.get_by_label("Your password, or a new 6-digit code").fill(PASSWORD)
    await page.get_by_role("button", name="Reconcile").click()
    await expect(page.get_by_text("This statement is being worked on.")).to_be_visible()
    assert await runner.reconcile_next()
    if not scripts:
        await page.get_by_role("link", name="Refresh").click()
    await page.get_by_role("link", name="See what differs").click()
    await expect(page.get_by_text("is not yet explained")).to_be_visible()
    await page.get_by_role("row", name="TX0002").get_by_role("link", name="3", exact=True).click()
    await page.get_by_label("Your explanation").fill("A test of the gateway's people.")
    await page.get_by_role("button", name="Add the explanation").click()
    await expect(page.get_by_text("A test of the gateway's people.")).to_be_visible()
    await page.get_by_role("link", name="Back to the run").click()
    await expect(page.get_by_text("omar: A test of the gateway's people.")).to_be_visible()


@pytest.mark.parametrize("locale", ["en-US", BANGLA])
async def test_the_pages_of_statements_in_all_ways(
    windows: Windows, console: Console, runner: UploadRunner, statement: Path, locale: str
) -> None:
    page = await at_console(windows, console, "omar", "/statements", locale=locale)
    await page.locator("#file").set_input_files(statement)
    await page.locator("main form button").click()
    await expect(page.locator("main h2").first).to_be_visible()
    await looked_over_in_all_ways(windows, page, f"statement uploaded {locale}")
    await page.locator("form[action$='/try'] button").click()
    assert await runner.reconcile_next()
    await page.reload()
    await expect(page.locator("form[action$='/run']")).to_be_visible()
    await looked_over_in_all_ways(windows, page, f"statement tried {locale}")
    await page.locator(".note.fine a").click()
    await looked_over_in_all_ways(windows, page, f"statement run {locale}")
    await page.locator("tr[data-row] a").first.click()
    await looked_over_in_all_ways(windows, page, f"statement row {locale}")
    await page.goto(f"{console.url}/statements")
    await looked_over_in_all_ways(windows, page, f"statements {locale}")
