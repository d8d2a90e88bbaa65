"""Payproof's pages in a browser: in both languages, on a phone and at a desk, with scripts and without."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.e2e.browser.chromium import BANGLA, DESKTOP, ENGLISH, PHONE, Windows
from tests.e2e.browser.looking import looked_over
from tests.e2e.buyers import GATEWAYS, Payproof

TITLES = {
    ENGLISH: {
        "confirming": "Confirming your payment",
        "held": "We are checking this by hand",
        "not_found": "Nothing to show here",
    },
    BANGLA: {
        "confirming": "আপনার পেমেন্ট যাচাই করা হচ্ছে",
        "held": "আমরা নিজেরা যাচাই করে দেখছি",
        "not_found": "এখানে দেখানোর মতো কিছু নেই",
    },
}
looks = pytest.mark.parametrize(
    ("size", "locale"),
    [(PHONE, ENGLISH), (PHONE, BANGLA), (DESKTOP, ENGLISH), (DESKTOP, BANGLA)],
    ids=["phone-en", "phone-bn", "desktop-en", "desktop-bn"],
)
scripts = pytest.mark.parametrize("scripts", [False, True], ids=["without scripts", "with scripts"])


async def shows(page: Page, locale: str, name: str) -> None:
    """The page is this one in this language, and says so in its text, to screen readers and in the window's title."""
    await expect(page).to_have_title(TITLES[locale][name])
    await expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[locale][name])
    await expect(page.get_by_role("status").first).not_to_be_empty()
    await expect(page.locator("html")).to_have_attribute("lang", locale.partition("-")[0])


async def sent_on(page: Page, payproof: Payproof, name: str, status: str) -> None:
    """The buyer gets to this page of the shop, with this status in its address."""
    address = re.escape(f"{payproof.stage.shop.pages_url}/{name}?")
    await page.wait_for_url(re.compile(rf"{address}(.*&)?status={status}(&|$)"))


@scripts
async def test_a_buyer_who_waits_is_sent_on_when_the_answer_arrives(
    payproof: Payproof, windows: Windows, scripts: bool
) -> None:
    buyer = await payproof.opened("ipay")
    page = await windows.open(PHONE, scripts=scripts)
    await page.goto(buyer.forged())
    await shows(page, ENGLISH, "confirming")
    await payproof.call("GET", await buyer.at_gateway("pay"))
    await payproof.settled(buyer.payment["payment_id"], "completed")
    await sent_on(page, payproof, "thanks", "completed")


@scripts
async def test_a_buyer_who_is_posted_back_waits_and_is_sent_on(
    payproof: Payproof, windows: Windows, scripts: bool
) -> None:
    """SSLCOMMERZ and aamarPay send browsers back by a form of their own site."""
    buyer = await payproof.opened("ipay")
    page = await windows.open(PHONE, BANGLA, scripts=scripts)
    await page.set_content(
        f'<form method="post" action="{buyer.forged()}"><button name="pay_status">Back</button></form>'
    )
    await page.get_by_role("button").click()
    await shows(page, BANGLA, "confirming")
    await windows.snap(page, "posted")
    await payproof.call("GET", await buyer.at_gateway("pay"))
    await payproof.settled(buyer.payment["payment_id"], "completed")
    await sent_on(page, payproof, "thanks", "completed")


@scripts
async def test_a_buyer_who_will_not_wait_goes_back_with_what_is_known(
    payproof: Payproof, windows: Windows, scripts: bool
) -> None:
    buyer = await payproof.opened("ipay")
    page = await windows.open(PHONE, BANGLA, scripts=scripts)
    await page.goto(buyer.forged())
    await page.locator(f'a[href^="{payproof.stage.shop.pages_url}/"]').click()
    await sent_on(page, payproof, "thanks", "pending")


@pytest.mark.parametrize(
    ("does", "name", "status"),
    [("pay", "thanks", "completed"), ("fail", "failed", "failed"), ("cancel", "cancelled", "cancelled")],
)
async def test_a_buyer_whose_end_is_known_sees_the_shop_alone(
    payproof: Payproof, windows: Windows, does: str, name: str, status: str
) -> None:
    buyer = await payproof.opened("onepaybd")
    page = await windows.open()
    await page.goto(await buyer.at_gateway(does))
    await sent_on(page, payproof, name, status)


async def test_a_buyer_whose_payment_is_held_is_sent_on_with_that_word(payproof: Payproof, windows: Windows) -> None:
    buyer = await payproof.opened("ipay")
    page = await windows.open()
    await page.goto(await buyer.at_gateway("pay", amount="1.00"))
    await sent_on(page, payproof, "thanks", "held")


@looks
async def test_the_confirming_page(payproof: Payproof, windows: Windows, size: ViewportSize, locale: str) -> None:
    buyer = await payproof.opened("ipay")
    page = await windows.open(size, locale)
    await page.goto(buyer.forged())
    await shows(page, locale, "confirming")
    # It must reload where scripts are off, and a slow reader loses nothing: it is the same page again.
    await looked_over(windows, page, "confirming", but=["meta-refresh"])


@looks
async def test_the_page_of_a_held_payment_whose_shop_gave_no_address(
    payproof: Payproof, windows: Windows, size: ViewportSize, locale: str, request: pytest.FixtureRequest
) -> None:
    """A checkout of the shop's own at a gateway that cannot be asked: its success is not believed."""
    name, account = request.node.callspec.id, GATEWAYS["blind"].account
    tracked = await payproof.shop_calls(
        "POST",
        "/v1/payments/track",
        json={
            "account": account,
            "reference": f"own-{name}",
            "amount": "1500.50",
            "currency": "BDT",
            "session_id": f"session-{name}",
        },
    )
    assert tracked.status == 201, tracked.text
    page = await windows.open(size, locale)
    await page.goto(f"{payproof.system.url}/return/{account}/{tracked.json['payment_id']}/success")
    await shows(page, locale, "held")
    await looked_over(windows, page, "held")


@looks
async def test_the_page_of_a_payment_that_nobody_knows(
    payproof: Payproof, windows: Windows, size: ViewportSize, locale: str
) -> None:
    page = await windows.open(size, locale, may=[404])
    answer = await page.goto(f"{payproof.system.url}/return/shop-ipay/pay_{'0' * 26}")
    assert answer is not None
    assert answer.status == 404
    await shows(page, locale, "not_found")
    await looked_over(windows, page, "not found")
