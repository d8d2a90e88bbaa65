"""The hosted checkouts when the buyer does not pay directly: given up, left, twice, too late, without mouse or scripts.

Whether money moved stands in the gateway's own books, and on no page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from playwright.async_api import Page, expect

from tests.e2e.browser.demo_shop import DemoShop
from tests.e2e.browser.looking import looked_over_everywhere
from tests.e2e.browser.shopping import CHECKOUTS, FIRST, NEWER, Checkout, Person, at_once
from tests.harness import System, shorten
from worker.postgres.database import connect

pytestmark = pytest.mark.asyncio(loop_scope="session")
MOST_TABS = 40
PROVE_NO_END = ("aamarPay", "UddoktaPay")
"""No answer of theirs says that a buyer did not pay."""
NEVER_OVER = ("ShurjoPay", "aamarPay", "EPS")
"""Their answers prove no end, so that a payment is asked about for as long as the schedule goes."""
EXECUTED = ("OnePayBD", "bKash")
sides = pytest.mark.parametrize("gateways", [FIRST, NEWER], ids=["first", "newer"])
UNSEEN = """() => {
  const focused = document.activeElement, style = getComputedStyle(focused);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return (focused.matches(":focus-visible") && outlined) || focused === document.body ? null : focused.outerHTML;
}"""


async def tabbed_to(page: Page, name: str | re.Pattern[str], role: str = "button") -> None:
    """Tab until this element has the focus, and visibly so."""
    wanted = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        if unseen := await page.evaluate(UNSEEN):
            raise AssertionError(f"the focus is not visible on {unseen}")
        if await wanted.evaluate("e => e === document.activeElement"):
            return
    raise AssertionError(f"Tab does not come to {name}")


def in_tab(buyer: Person, page: Page | None = None, *, looks: bool = False) -> Person:
    """The same person in another tab, or looking more closely."""
    return Person(buyer.windows, page or buyer.page, buyer.shop, looks=looks)


@sides
async def test_a_person_leaves_comes_back_fails_cancels_and_pays_once_in_two_tabs(
    demo: DemoShop, gateways: Mapping[str, Checkout]
) -> None:
    async def path(gateway: str) -> None:
        checkout, buyer = CHECKOUTS[gateway], await demo.person(may=[409])
        closely = in_tab(buyer, looks=True)
        await buyer.orders(gateway, what=f"Tea thought over at {gateway}")
        await buyer.presses("Walk away")
        await closely.at("The buyer closed the tab")
        await buyer.follows("Open the checkout again")
        await buyer.at(checkout.first)
        opened = buyer.page.url
        await buyer.presses("Let it fail")
        await buyer.sees("Not paid")
        await buyer.page.goto(opened)
        await closely.at("Already failed")
        await buyer.goes_back()
        await buyer.sees("Not paid")

        await buyer.presses("Pay in another attempt")
        await buyer.presses("Cancel and return")
        await buyer.sees("Cancelled")

        await buyer.presses("Pay in another attempt")
        await buyer.at(checkout.first)
        other = in_tab(buyer, await buyer.page.context.new_page())
        await other.page.goto(buyer.page.url)
        await checkout.fill_in(other)
        await checkout.pay(buyer)
        await buyer.sees("Fulfilled")
        await other.presses(checkout.last)
        await in_tab(other, looks=True).at("Already paid")
        await other.goes_back()
        await other.sees("Fulfilled")
        booked = await demo.booked(checkout.provider, await other.reference())
        assert [one["status"] for one in booked["transactions"]].count("paid") == 1
        await expect(other.steps("Payproof wrote payment.completed to the log.")).to_have_count(1)
        pills = other.page.locator("#attempts .pill")
        await expect(pills).to_have_text(["failed", "cancelled", "completed"])

    await at_once(path, [gateway for gateway in gateways if gateway not in PROVE_NO_END])


async def test_a_person_who_gives_up_where_nothing_proves_it_waits_and_pays_after_all(demo: DemoShop) -> None:
    async def path(gateway: str) -> None:
        checkout, buyer = CHECKOUTS[gateway], await demo.person()
        await buyer.orders(gateway, what=f"Tea given up at {gateway}")
        await buyer.at(checkout.first)
        await buyer.presses("Cancel and return")
        await buyer.sees("Waiting for proof")
        await buyer.presses("Pay in another attempt")
        await checkout.pay(buyer)
        await buyer.sees("Fulfilled")
        booked = await demo.booked(checkout.provider, await buyer.reference())
        assert [one["status"] for one in booked["transactions"]].count("paid") == 1

    await at_once(path, PROVE_NO_END)


async def over(shopping: System, reference: str) -> None:
    """Make the payment's end come now. Our end of a payment comes later than that of its checkout."""
    with shopping.joined() as url:
        async with connect(url) as database:
            (row,) = await database.fetch("SELECT id FROM payments WHERE reference = $1", reference)
    await shorten(shopping, row["id"], 0)


@sides
async def test_a_checkout_that_is_over_is_paid_all_the_same(
    demo: DemoShop, shopping: System, gateways: Mapping[str, Checkout]
) -> None:
    """The page notices the end by itself.

    A late approval takes no money where payproof executes, since an ended payment is not executed.
    """

    async def too_late(gateway: str) -> None:
        buyer = await demo.person()
        await buyer.orders(gateway, trouble="Paid after expiry")
        await expect(buyer.page.get_by_role("heading", level=1)).to_have_text("The time is over")
        await looked_over_everywhere(demo.windows, buyer.page, f"over {gateway}")
        await buyer.follows("What the shop knows of it")
        await over(shopping, await buyer.reference())
        await buyer.sees("Waiting for proof" if gateway in NEVER_OVER else "Not paid in time")
        await buyer.page.go_back()
        await buyer.presses("Pay all the same")
        await buyer.sees("Not paid in time" if gateway in EXECUTED else "Fulfilled")
        booked = await demo.booked(CHECKOUTS[gateway].provider, await buyer.reference())
        assert [one["status"] for one in booked["transactions"]].count("paid") == (gateway not in EXECUTED)

    await at_once(too_late, gateways)


async def test_a_wrong_code_is_asked_for_again_and_a_declined_card_is_not_paid(demo: DemoShop) -> None:
    buyer = await demo.person(may=[422])
    await buyer.orders("OnePayBD")
    await buyer.presses("Proceed")
    await buyer.types("6 digits from the message", "000000")
    await buyer.presses("Confirm code")
    await expect(buyer.page.get_by_role("alert")).to_have_text("That code is not the one we sent. Please try again.")
    await in_tab(buyer, looks=True).at("Verification code")
    await buyer.types("6 digits from the message", "123456")
    await buyer.presses("Confirm code")
    await buyer.presses("Confirm")
    await buyer.sees("Fulfilled")

    await buyer.orders("Moneybag")
    await buyer.types("Card number", "4000 0000 0000 0002")
    await buyer.presses(CHECKOUTS["Moneybag"].last)
    await buyer.sees("Not paid")


async def test_payparse_sends_a_late_buyer_back_unless_told_to_stay(demo: DemoShop) -> None:
    buyer = await demo.person()
    await buyer.orders("PayParse")
    goes = in_tab(buyer, await buyer.page.context.new_page())
    await goes.page.goto(buyer.page.url)
    await buyer.follows("Stay here instead")
    await buyer.page.wait_for_url(re.compile(r"\?stay$"))
    await buyer.at("Choose a wallet")
    session_id = re.search(r"checkout/([^/?]+)", buyer.page.url)
    assert session_id is not None
    await demo.control.post("expire", provider="payparse", session_id=session_id[1])

    await goes.page.reload()
    await goes.sees("Not paid in time")
    await buyer.page.reload()
    await buyer.at("The time is over")
    await buyer.presses("Pay all the same")
    await buyer.sees("Fulfilled")
    await goes.sees("Fulfilled")


async def test_a_person_without_scripts_pays_and_looks_again(demo: DemoShop) -> None:
    async def path(gateway: str) -> None:
        buyer, shopkeeper = await demo.person(scripts=False), await demo.person(scripts=False)
        tea = f"Tea without scripts at {gateway}"
        await buyer.orders(gateway, what=tea)
        await shopkeeper.page.goto(f"{demo.url}/orders")
        await shopkeeper.follows(tea)
        await shopkeeper.sees("Waiting for proof")
        await CHECKOUTS[gateway].pay(buyer)
        await buyer.looks_again_until("Fulfilled")
        await shopkeeper.looks_again_until("Fulfilled")

    await at_once(path, ("OnePayBD", "Moneybag"))


async def test_a_person_pays_by_keyboard_alone(demo: DemoShop) -> None:
    buyer = await demo.person()
    page, keyboard = buyer.page, buyer.page.keyboard
    await page.goto(demo.url)
    await tabbed_to(page, "To the content", "link")
    await keyboard.press("Enter")
    await tabbed_to(page, "What", "textbox")
    await keyboard.type("Tea by keyboard")
    await tabbed_to(page, re.compile("^PayParse asked"), "radio")
    for _ in range(2):
        await keyboard.press("ArrowDown")
    await expect(page.get_by_role("radio", name=re.compile("^OnePayBD"))).to_be_focused()
    await tabbed_to(page, "Place the order and pay")
    await keyboard.press("Enter")
    for title, label, typed in (
        ("Your bKash account", "bKash account number", "01812345678"),
        ("Verification code", "6 digits from the message", "654321"),
        ("Enter your PIN", "bKash PIN", "24680"),
    ):
        await buyer.at(title)
        await tabbed_to(page, label, "textbox")
        await keyboard.type(typed)
        if typed == "654321":
            await keyboard.press("Enter")  # the same as pressing the button
        else:
            await tabbed_to(page, "Proceed" if typed == "01812345678" else "Confirm")
            await keyboard.press("Enter")
    await buyer.sees("Fulfilled")
    await tabbed_to(page, "Verify now")
    await keyboard.press("Enter")
    await expect(buyer.steps("A person, or this shop, wants it looked at.")).to_have_count(1)
