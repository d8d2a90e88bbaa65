"""Whole stories of people in the console, from page to page, with a shop's own receiver at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.async_api import Locator, Page, expect

from schemas.secret import Secret
from schemas.words import Status
from tests.consoles import PASSWORD, Console, running_console
from tests.e2e.browser.chromium import BANGLA, ENGLISH, PHONE, Windows
from tests.e2e.browser.console_browser import at_console, looked_over_in_all_ways, signs_in
from tests.integration.endpoints import SECRET, Hook, hooking
from tests.integration.shops import RULES, Shops, serving
from tests.integration.test_webhook_api import configured
from tests.processes import until
from worker.config import Webhook
from worker.config.shapes import Contacts
from worker.config.webhook_endpoints import endpoints_of
from worker.deliver.role import Deliver
from worker.postgres.console_sessions import end_sessions
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.runtime.encryption import new_archive_key
from worker.telemetry.metrics import Metrics
from worker.verify.approvals import Approvals

BUYERS_PHONE = "01712345678"
MOST_TABS = 60


class Shop:
    """A shop with a receiver, and all that runs for it: deliveries, and a worker that applies what is approved."""

    def __init__(self, console: Console, shops: Shops, deliver: Deliver, hook: Hook) -> None:
        self.console, self.shops, self.deliver, self.hook = console, shops, deliver, hook

    async def paid(self, reference: str) -> dict[str, Any]:
        """A payment of the buyer that is completed and told."""
        payment = await self.shops.opened(
            reference=reference, order=reference.rpartition("-")[0], customer={"phone": BUYERS_PHONE}
        )
        await self.shops.answered(payment, Status.COMPLETED)
        await self.tell()
        return payment

    async def held(self, reference: str) -> dict[str, Any]:
        payment = await self.shops.opened(reference=reference, order=reference.rpartition("-")[0])
        await self.shops.answered(payment, Status.COMPLETED, amount=Decimal("15.00"))
        await self.tell()
        return payment

    async def tell(self) -> None:
        """Have what happened sent to the receiver."""
        await self.shops.placed()
        self.deliver.wake(placed=True)

    async def until_taken(self, event_id: str) -> None:
        async def taken() -> bool:
            await self.tell()
            done = "SELECT FROM deliveries WHERE event_id = $1 AND delivered_at IS NOT NULL"
            return event_id in self.hook.taken and bool(await self.shops.database.fetch(done, event_id))

        await until(taken, what=f"the receiver takes {event_id}, and that is recorded")

    async def until_answered(self) -> None:
        """Wait until every delivery has an answer."""

        async def answered() -> bool:
            rows = await self.shops.database.fetch("SELECT answer FROM deliveries")
            return bool(rows) and all(row["answer"] for row in rows)

        await until(answered, what="each delivery was tried")


@pytest.fixture
async def shop(database: Database, windows: Windows) -> AsyncIterator[Shop]:
    async with hooking(Hook(204)) as hook:
        webhook = Webhook(id="main", url=hook.url, secret=Secret(SECRET))
        contacts = Contacts(keys=(Secret(new_archive_key()),))
        config = replace(configured(webhook), contacts=contacts)
        rules = replace(RULES, second_person_from=Decimal("0.00"))
        ledger = PostgresLedger(database, contacts=contacts.hashing)
        approvals = Approvals(database, ledger, rules)
        deliver = Deliver(database, endpoints_of(config), Metrics(), private=True)
        await deliver.begin()
        async with (
            asyncio.TaskGroup() as group,
            serving(database, rules=rules, ledger=ledger) as shops,
            running_console(database, config=config) as console,
        ):
            database._wakeups.on_wakeup = approvals.on_wakeup
            group.create_task(deliver.run())
            group.create_task(approvals.run())
            yield Shop(console, shops, deliver, hook)
            await windows.close()
            approvals.stop()
            deliver.stop()


async def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until this has the focus, and see that the browser shows so."""
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        if await wanted.evaluate("one => one === document.activeElement && one.matches(':focus-visible')"):
            width = await wanted.evaluate("one => parseFloat(getComputedStyle(one).outlineWidth)")
            assert width >= 2, "the focus is not seen"
            return
    raise AssertionError(f"no Tab leads to {wanted}")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_from_a_phone_number_to_a_webhook_that_is_delivered(windows: Windows, shop: Shop, scripts: bool) -> None:
    shop.hook.answers = 500
    payment = await shop.paid("order-7831-a1")
    await shop.until_answered()
    page = await at_console(windows, shop.console, "omar", "/", scripts=scripts)
    await page.get_by_role("searchbox").fill(BUYERS_PHONE)
    await page.get_by_role("search").get_by_role("button", name="Find").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("order-7831-a1")
    knows = page.get_by_role("region", name="Does the shop know?")
    await expect(knows).to_contain_text("Not yet. main did not take payment.")
    await expect(knows).to_contain_text("HTTP 500")
    shop.hook.answers = 204
    await knows.get_by_role("button", name="Send again").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Delivery to main")
    completed = f"{payment['payment_id']}.2"
    await shop.until_taken(completed)
    if not scripts:
        await page.reload()
    await expect(page.locator(".badge.good")).to_have_text("delivered", timeout=15_000)
    await page.get_by_role("link", name=payment["payment_id"], exact=True).click()
    await expect(knows).to_contain_text("Yes. Every endpoint has its newest event: payment.completed.")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_two_people_decide_and_the_receiver_hears_of_it(windows: Windows, shop: Shop, scripts: bool) -> None:
    payment = await shop.held("order-7831-a1")
    abida = await at_console(windows, shop.console, "abida", "/", scripts=scripts)
    await abida.get_by_role("link", name="See what is held").click()
    await abida.get_by_role("link", name="order-7831-a1").click()
    await abida.locator("input[name=status][value=completed]").check()
    await abida.get_by_label("Why you decide so").fill("The panel shows 15.00, and we take it")
    await abida.get_by_role("button", name="See what it changes").click()
    await abida.get_by_label("Your password, or a new 6-digit code").fill(PASSWORD)
    await abida.get_by_role("button", name="Propose it").click()
    await expect(abida.get_by_text("You proposed it. Another person has to approve it.")).to_be_visible()
    await expect(abida.get_by_role("button", name="Approve")).to_have_count(0)
    anis = await at_console(windows, shop.console, "anis", "/approvals", scripts=scripts)
    await anis.get_by_role("link", name="order-7831-a1").click()
    card = anis.locator(".card").filter(has=anis.get_by_role("button", name="Approve"))
    await card.get_by_label("Your password, or a new 6-digit code").fill(PASSWORD)
    await card.get_by_role("button", name="Approve").click()
    await expect(anis.get_by_text("It is applied: the payment is resolved.")).to_be_visible()
    await shop.until_taken(f"{payment['payment_id']}.3")


async def test_a_whole_story_without_a_mouse(windows: Windows, shop: Shop) -> None:
    await shop.held("order-7831-a1")
    await shop.paid("order-7831-a2")
    page = await windows.open()
    await page.goto(f"{shop.console.url}/")
    await tab_to(page, page.get_by_label("Name"))
    await page.keyboard.type("abida")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Tab")
    await page.keyboard.type(shop.console.code("abida"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Now")
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox").first).to_be_focused()
    await page.keyboard.type("ORDER-7831")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Payments found: 2")).to_be_visible()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(page.get_by_role("link", name="order-7831-a1")).to_be_focused()
    await page.keyboard.press("k")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("order-7831-a1")
    await tab_to(page, page.get_by_role("link", name="Decide", exact=True))
    await page.keyboard.press("Enter")
    await tab_to(page, page.locator("input[name=status]").first)
    for _ in range(4):
        await page.keyboard.press("ArrowDown")
    await expect(page.locator("input[value=completed]")).to_be_checked()
    await tab_to(page, page.get_by_label("Why you decide so"))
    await page.keyboard.type("The panel shows it")
    await tab_to(page, page.get_by_role("button", name="See what it changes"))
    await page.keyboard.press("Enter")
    await tab_to(page, page.get_by_label("Your password, or a new 6-digit code"))
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("You proposed it. Another person has to approve it.")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_what_was_typed_outlives_the_session(windows: Windows, shop: Shop, scripts: bool) -> None:
    payment = await shop.held("order-7831-a1")
    path = f"/held/{payment['payment_id']}"
    page = await at_console(windows, shop.console, "abida", path, scripts=scripts, may=[401, 403])
    await page.locator("input[name=status][value=failed]").check()
    await page.get_by_label("Why you decide so").fill("A long story, typed while the session ended")
    await end_sessions(shop.shops.database, "abida")
    await page.get_by_role("button", name="See what it changes").click()
    await expect(page.get_by_role("alert")).to_contain_text("what you typed is kept")
    await signs_in(page, shop.console, "abida")
    await expect(page.get_by_role("status")).to_contain_text("You are signed in again.")
    await expect(page.get_by_text("A long story, typed while the session ended")).to_be_visible()
    await page.get_by_role("button", name="Send it").click()
    await expect(page.get_by_text("payment.failed, version 3, will be delivered to the shop.")).to_be_visible()
    await page.get_by_label("Your password, or a new 6-digit code").fill("wrong")
    await page.get_by_role("button", name="Propose it").click()
    await expect(page.get_by_role("alert")).to_contain_text("Nothing was changed. Try again.")
    await page.get_by_label("Your password, or a new 6-digit code").fill(PASSWORD)
    await page.get_by_role("button", name="Send it").click()
    await expect(page.get_by_text("You proposed it. Another person has to approve it.")).to_be_visible()


async def test_a_page_that_is_opened_after_the_session_says_so_and_opens_again(windows: Windows, shop: Shop) -> None:
    payment = await shop.paid("order-7831-a1")
    page = await at_console(windows, shop.console, "abida", f"/payments/{payment['payment_id']}")
    await end_sessions(shop.shops.database, "abida")
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("Your session has ended.")
    await signs_in(page, shop.console, "abida")
    await expect(page.get_by_role("heading", level=1)).to_have_text("order-7831-a1")


@pytest.mark.parametrize("locale", [ENGLISH, BANGLA])
async def test_what_the_shop_knows_on_a_phone_and_at_a_desk_light_and_dark(
    windows: Windows, shop: Shop, locale: str
) -> None:
    shop.hook.answers = 500
    payment = await shop.held("order-7831-a1")
    await shop.until_answered()
    page = await at_console(windows, shop.console, "abida", f"/payments/{payment['payment_id']}", locale=locale)
    await looked_over_in_all_ways(windows, page, f"payment-late {locale}")
    await page.goto(shop.console.url)
    await looked_over_in_all_ways(windows, page, f"now-late {locale}")
    await page.set_viewport_size(PHONE)
    await page.locator(".menu summary").click()
    await looked_over_in_all_ways(windows, page, f"menu {locale}")
