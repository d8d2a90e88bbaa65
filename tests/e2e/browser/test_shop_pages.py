"""The pages around the paths: the shop's form and what it refuses, its orders, and the sandbox's page about itself."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.e2e.browser.demo_shop import DemoShop
from tests.e2e.browser.looking import looked_over_everywhere
from tests.e2e.browser.shopping import CHECKOUTS
from tests.local_server import serving
from worker.playground.sandbox.sandbox_app import make_app
from worker.playground.sandbox.sandbox_config import SandboxConfig

pytestmark = pytest.mark.asyncio(loop_scope="session")
FORGED = "Webhook forged"


async def test_the_form_offers_only_troubles_that_fit(demo: DemoShop) -> None:
    buyer = await demo.person()
    page = buyer.page
    await page.goto(demo.url)
    await looked_over_everywhere(demo.windows, page, "form")
    trouble = page.get_by_label("What shall go wrong")
    await page.get_by_role("radio", name=re.compile("^Moneybag ")).check()
    await trouble.select_option(label=FORGED)
    await expect(page.locator("#trouble-about")).to_contain_text("signed with somebody else's secret")
    await page.get_by_role("radio", name=re.compile("^iPay ")).check()
    await expect(trouble).to_have_value("")
    await expect(trouble.get_by_role("option", name=FORGED)).to_have_count(0)


async def test_the_form_says_what_cannot_be_ordered(demo: DemoShop) -> None:
    """Without scripts, so that no script prevents a trouble and a gateway that do not fit."""
    buyer = await demo.person(scripts=False, may=[422])
    await buyer.orders("iPay", trouble=re.compile(f"^{FORGED}"))
    await expect(buyer.page.get_by_role("alert")).to_contain_text("No order was placed.")
    said = "iPay cannot have this trouble: webhook_forged cannot happen at ipay"
    await expect(buyer.page.locator("#trouble-wrong")).to_have_text(said)
    await expect(buyer.page.get_by_role("radio", name=re.compile("^iPay "))).to_be_checked()

    await buyer.orders("PayParse", amount="9.50")
    await expect(buyer.page.locator("#amount-wrong")).to_be_visible()
    await expect(buyer.page.get_by_label("Amount in taka")).to_have_value("9.50")


async def test_the_refusing_form_the_orders_and_an_unknown_order(demo: DemoShop) -> None:
    buyer = await demo.person(may=[404, 422])
    await buyer.orders("PayParse", amount="a lot")
    await expect(buyer.page.locator("#amount-wrong")).to_be_visible()
    await looked_over_everywhere(demo.windows, buyer.page, "refused form")

    await buyer.orders(
        "OnePayBD", what="Three kilos of a tea whose name is long: " + "Sreemangal" * 12, amount="499999.99"
    )
    await CHECKOUTS["OnePayBD"].pay(buyer)
    await buyer.sees("Fulfilled")
    await looked_over_everywhere(demo.windows, buyer.page, "fulfilled")
    await buyer.page.get_by_role("navigation").get_by_role("link", name="Orders").click()
    await expect(buyer.page.get_by_role("heading", level=1)).to_have_text("Orders")
    await looked_over_everywhere(demo.windows, buyer.page, "orders")
    await buyer.page.goto(f"{demo.url}/orders/never-placed")
    await expect(buyer.page.get_by_role("heading", level=1)).to_have_text("No such order")
    await looked_over_everywhere(demo.windows, buyer.page, "no such order")


async def test_the_page_of_the_control_api(demo: DemoShop) -> None:
    person = await demo.person()
    await person.page.goto(demo.url)
    await person.follows("their control API")
    await expect(person.page.get_by_role("heading", level=1)).to_have_text("Payproof sandbox")
    await looked_over_everywhere(demo.windows, person.page, "control")


@pytest_asyncio.fixture(loop_scope="session")
async def bare() -> AsyncIterator[str]:
    """A sandbox without a shop."""
    async with serving(make_app(SandboxConfig())) as base:
        yield base


async def test_a_sandbox_without_a_shop_says_how_to_connect_one(demo: DemoShop, bare: str) -> None:
    person = await demo.person()
    await person.page.goto(bare)
    await expect(person.page.get_by_role("heading", level=1)).to_have_text("Simulated gateways")
    await looked_over_everywhere(demo.windows, person.page, "welcome")
    await person.follows("the control API")
    await expect(person.page.get_by_role("heading", level=1)).to_have_text("Payproof sandbox")
