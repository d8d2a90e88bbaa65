"""Two people decide about money in the console, each in a browser of their own; and every page looked over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.async_api import Page, expect

from schemas.words import Status
from tests.consoles import PASSWORD, Console, running_console
from tests.e2e.browser.chromium import BANGLA, Windows
from tests.e2e.browser.console_browser import at_console, looked_over_in_all_ways
from tests.integration.shops import RULES, Shops, serving
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.verify.approvals import Approvals


class Desk:
    """A console with a worker that applies what is approved, and the shop whose payments are held."""

    def __init__(self, console: Console, shops: Shops) -> None:
        self.console, self.shops = console, shops

    async def held(self, reference: str) -> str:
        payment = await self.shops.opened(account="shop-ipay", reference=reference)
        await self.shops.answered(payment, Status.COMPLETED, amount=Decimal("15.00"))
        return str(payment["payment_id"])

    async def events(self) -> list[dict[str, Any]]:
        await self.shops.placed()
        found: list[dict[str, Any]] = (await self.shops.get("/v1/events")).body["events"]
        return found


@pytest.fixture
async def desk(database: Database, windows: Windows) -> AsyncIterator[Desk]:
    rules = replace(RULES, second_person_from=Decimal("0.00"))
    approvals = Approvals(database, PostgresLedger(database), rules)
    async with serving(database, rules=rules) as shops, running_console(database) as console:
        database._wakeups.on_wakeup = approvals.on_wakeup
        running = asyncio.create_task(approvals.run())
        yield Desk(console, shops)
        await windows.close()
        approvals.stop()
        await running


async def chooses(page: Page, status: str, reason: str) -> None:
    await page.locator(f"input[name=status][value={status}]").check()
    await page.get_by_label("Why you decide so").fill(reason)
    await page.get_by_role("button", name="See what it changes").click()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_propose_then_another_approves_and_the_event_arrives(windows: Windows, desk: Desk, scripts: bool) -> None:
    payment_id = await desk.held("order-7831-a1")
    abida = await at_console(windows, desk.console, "abida", "/held", scripts=scripts)
    await abida.get_by_role("link", name="order-7831-a1").click()
    await chooses(abida, "completed", "The panel shows 15.00, and we take it")
    await expect(abida.get_by_text("payment.completed, version 3, will be delivered to the shop.")).to_be_visible()
    await abida.get_by_label("Your password, or a new 6-digit code").fill(PASSWORD)
    await abida.get_by_role("button", name="Propose it").click()
    await expect(abida.get_by_text("It waits for a second person.")).to_be_visible()
    await expect(abida.get_by_text("You proposed it. Another person has to approve it.")).to_be_visible()
    await expect(abida.get_by_role("button", name="Approve")).to_have_count(0)
    assert [one["type"] for one in await desk.events()] == ["payment.opened", "payment.held"]

    anis = await at_console(windows, desk.console, "anis", "/approvals", scripts=scripts)
    await anis.get_by_role("link", name="order-7831-a1").click()
    await expect(anis.get_by_text("payment.completed, version 3, will be delivered to the shop.")).to_be_visible()
    card = anis.locator(".card").filter(has=anis.get_by_role("button", name="Approve"))
    await card.get_by_label("Your password, or a new 6-digit code").fill(PASSWORD)
    await card.get_by_role("button", name="Approve").click()
    await expect(anis.get_by_text("It is applied: the payment is resolved.")).to_be_visible()
    told = (await desk.events())[-1]
    assert (told["type"], told["id"]) == ("payment.completed", f"{payment_id}.3")


async def test_by_keyboard_alone(windows: Windows, desk: Desk) -> None:
    await desk.held("order-1")
    page = await at_console(windows, desk.console, "abida", "/held")
    await page.keyboard.press("j")  # the first row is that of the reason
    await page.keyboard.press("j")
    await expect(page.get_by_role("link", name="order-1")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.locator("input[name=status][value=failed]").focus()
    await page.keyboard.press("Space")
    await page.get_by_label("Why you decide so").focus()
    await page.keyboard.type("Not in the panel")
    await page.get_by_role("button", name="See what it changes").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("payment.failed, version 3, will be delivered to the shop.")).to_be_visible()


@pytest.mark.parametrize("locale", ["en-US", BANGLA])
async def test_every_page_on_a_phone_and_at_a_desk_light_and_dark(windows: Windows, desk: Desk, locale: str) -> None:
    first = await desk.held("order-7831-a1")
    await desk.held("order-7832-a1")
    page = await at_console(windows, desk.console, "abida", "/held", locale=locale)
    await looked_over_in_all_ways(windows, page, f"held {locale}")
    await page.goto(f"{desk.console.url}/held/{first}")
    await looked_over_in_all_ways(windows, page, f"decide one {locale}")
    await page.locator("input[name=status][value=completed]").check()
    await page.locator("#reason").fill("The panel shows it")
    await page.locator("#evidence").fill("Statement of 20 November, line 14")
    await page.locator("form.stacked button").click()
    await expect(page.locator("#confirm")).to_be_visible()
    await looked_over_in_all_ways(windows, page, f"decide two {locale}")
    await page.locator("#confirm").fill(PASSWORD)
    await page.locator("form.stacked button").click()
    await expect(page.locator("dl.facts")).to_be_visible()
    await looked_over_in_all_ways(windows, page, f"proposal own {locale}")
    other = await at_console(windows, desk.console, "anis", "/approvals", locale=locale)
    await looked_over_in_all_ways(windows, other, f"approvals {locale}")
    await other.locator("tr[data-row] a").first.click()
    await expect(other.locator("#confirm-approve")).to_be_visible()
    await looked_over_in_all_ways(windows, other, f"proposal {locale}")
    await other.locator("#confirm-approve").fill(PASSWORD)
    await other.locator("#confirm-approve").press("Enter")
    await expect(other.locator("#confirm-approve")).to_have_count(0)
    await looked_over_in_all_ways(windows, other, f"proposal applied {locale}")
    await other.goto(f"{desk.console.url}/audit")
    await looked_over_in_all_ways(windows, other, f"audit {locale}")
