"""The demo shop as a person sees it: ordered at the form, paid at the hosted page, proven, shipped once.

Later changes must appear on the page that the person already has, without a reload.
"""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Response, expect

from tests.e2e.browser.demo_shop import DemoShop
from tests.e2e.browser.looking import looked_over_everywhere
from tests.e2e.browser.shopping import CHECKOUTS, KINDS, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")
gateways = pytest.mark.parametrize("gateway", CHECKOUTS)
CONFIRMING = "Confirming your payment"


async def stays(person: Person) -> None:
    """From here on the window must keep its document; `stayed` checks that it did."""
    await person.page.evaluate("window.here = true")


async def stayed(person: Person) -> None:
    assert await person.page.evaluate("window.here === true")


@gateways
async def test_a_person_pays_and_sees_the_proof_grow(demo: DemoShop, gateway: str) -> None:
    buyer, shopkeeper = await demo.person(looks=True), await demo.person()
    tea = f"Tea paid at {gateway}"
    await buyer.orders(gateway, what=tea)

    await shopkeeper.page.goto(f"{demo.url}/orders")
    await shopkeeper.follows(tea)
    await shopkeeper.sees("Waiting for proof")
    await expect(shopkeeper.page.locator("#live")).to_have_text("Live: looks again every second")
    await stays(shopkeeper)

    await CHECKOUTS[gateway].pay(buyer)
    await buyer.sees("Fulfilled")
    brought = buyer.page.get_by_role("heading", name="What your browser brought").locator("..")
    await expect(brought).to_contain_text("It came back saying completed. The signature is Payproof's")

    await shopkeeper.sees("Fulfilled")
    await expect(shopkeeper.page.locator("#outcome")).to_contain_text("The parcel left once")
    await expect(shopkeeper.steps("Payproof wrote payment.completed to the log.")).to_have_count(1)
    kinds = await shopkeeper.page.locator("#steps b").all_text_contents()
    assert set(KINDS) <= set(kinds), kinds
    await stayed(shopkeeper)
    await expect(shopkeeper.page.get_by_role("button", name="Pay in another attempt")).to_have_count(0)


async def test_what_no_gateway_can_tell_is_held_for_a_person(demo: DemoShop) -> None:
    buyer = await demo.person()
    await buyer.orders("PayParse, blind")
    await CHECKOUTS["PayParse"].pay(buyer)
    await buyer.sees("Held: nothing leaves")
    await expect(buyer.page.locator("#outcome")).to_contain_text("this gateway cannot be asked")
    await looked_over_everywhere(demo.windows, buyer.page, "held")
    await buyer.resolves("completed")
    await buyer.sees("Fulfilled")
    await expect(buyer.steps("demo-shop resolved it as completed: Asked the gateway by telephone")).to_have_count(1)


async def test_a_lost_callback_is_found_by_asking(demo: DemoShop) -> None:
    buyer = await demo.person()
    await buyer.orders("iPay", trouble="Callback lost")
    await CHECKOUTS["iPay"].pay(buyer)
    await buyer.at("The browser was closed here")
    await looked_over_everywhere(demo.windows, buyer.page, "lost")
    await buyer.follows("What the shop knows of it")
    await buyer.sees("Fulfilled")
    await expect(buyer.page.get_by_text("You asked for trouble: callback lost.")).to_be_visible()
    await expect(buyer.steps("Payproof's own schedule says that it is time to look.").first).to_be_visible()
    await expect(buyer.steps("A browser that came back")).to_have_count(0)


async def test_a_forged_callback_ships_nothing_and_the_checkout_can_still_be_paid(demo: DemoShop) -> None:
    buyer = await demo.person()
    await buyer.orders("iPay", trouble="Callback forged")
    await CHECKOUTS["iPay"].pay(buyer)
    await expect(buyer.page).to_have_title(CONFIRMING)
    await buyer.page.locator(f'a[href^="{demo.url}/"]').click()
    await buyer.sees("Waiting for proof")
    await looked_over_everywhere(demo.windows, buyer.page, "waiting")
    await buyer.follows("Go to the checkout")
    await CHECKOUTS["iPay"].pay(buyer)
    await buyer.sees("Fulfilled")
    await expect(buyer.steps("Payproof wrote payment.completed to the log.")).to_have_count(1)


async def test_another_amount_is_held_and_a_person_sends_it_back(demo: DemoShop) -> None:
    buyer = await demo.person()
    await buyer.orders("Moneybag", trouble="Another amount paid")
    await CHECKOUTS["Moneybag"].pay(buyer)
    await buyer.sees("Held: nothing leaves")
    await expect(buyer.page.locator("#outcome")).to_contain_text("another amount than was asked for")
    await expect(buyer.steps(re.compile(r"The gateway says .+, 1\.00 BDT\.")).first).to_be_visible()
    await buyer.resolves("failed")
    await buyer.sees("Not paid")


async def test_the_confirming_page_moves_on_when_a_slow_answer_arrives(demo: DemoShop) -> None:
    buyer = await demo.person()
    await buyer.orders("iPay", trouble="Status slow")
    returns: list[int] = []

    def answered(response: Response) -> None:
        if "/return/" in response.url and response.request.is_navigation_request():
            returns.append(response.status)

    buyer.page.on("response", answered)
    await CHECKOUTS["iPay"].pay(buyer)
    await buyer.sees("Fulfilled")
    assert returns[0] == 200, "the confirming page came first, and moved on to the shop"


async def test_a_server_error_of_the_gateway_says_nothing_and_the_money_can_be_given_back(demo: DemoShop) -> None:
    buyer = await demo.person()
    await buyer.orders("PayParse", trouble="Status answers 500")
    await CHECKOUTS["PayParse"].pay(buyer)
    await buyer.sees("Fulfilled")
    await expect(buyer.steps("It means nothing for the money.")).to_have_count(1)
    await stays(buyer)
    await buyer.presses("Refund at the gateway")
    await buyer.sees("Refunded")
    await expect(buyer.page.locator("#outcome")).to_contain_text(
        "All of the money went back; the order had been shipped"
    )


async def test_a_forged_webhook_is_not_needed(demo: DemoShop) -> None:
    buyer = await demo.person()
    await buyer.orders("Moneybag", trouble="Webhook forged")
    await CHECKOUTS["Moneybag"].pay(buyer)
    await buyer.sees("Fulfilled")
    await expect(buyer.steps("A browser that came back says success.")).to_have_count(1)
    await expect(buyer.steps("Signed by the gateway")).to_have_count(0)


async def test_money_given_back_shows_by_itself(demo: DemoShop) -> None:
    buyer = await demo.person()
    await buyer.orders("ShadhinPay", trouble="Refunded in full")
    await CHECKOUTS["ShadhinPay"].pay(buyer)
    await buyer.sees("Fulfilled")
    await stays(buyer)
    await buyer.sees("Refunded")
    await stayed(buyer)


async def test_while_the_gateway_is_down_nothing_is_believed_and_then_it_is_found(demo: DemoShop) -> None:
    buyer = await demo.person()
    await buyer.orders("ShadhinPay", trouble="Gateway down")
    await CHECKOUTS["ShadhinPay"].pay(buyer)
    await expect(buyer.page).to_have_title(CONFIRMING)
    await buyer.page.locator(f'a[href^="{demo.url}/"]').click()
    await buyer.sees("Waiting for proof")
    await expect(buyer.steps("It means nothing for the money.").first).to_be_visible()
    await stays(buyer)
    await demo.gateway_is_back("shadhinpay", await buyer.reference())
    await buyer.sees("Fulfilled")
    await stayed(buyer)
