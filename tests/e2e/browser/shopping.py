"""A person at the demo shop and at the hosted checkouts: what they click and type, and what they then see.

Nothing here calls the control API: a person acts by a person's means. The tests themselves let time pass and bring
gateways back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import count
from types import MappingProxyType

from playwright.async_api import Locator, Page, expect

from tests.e2e.browser.chromium import Windows
from tests.e2e.browser.looking import fits, looked_over_everywhere
from tests.processes import until

KINDS = ("Claim", "Question", "Answer", "Decision", "Event")
_numbers = count(1)


class Person:
    """One window and its user. `looks`: each page is looked over closely, not only whether it fits."""

    def __init__(self, windows: Windows, page: Page, shop: str, *, looks: bool = False) -> None:
        self.windows, self.page, self.shop, self.looks = windows, page, shop, looks

    async def orders(
        self, gateway: str, *, what: str = "Tea", amount: str = "1500.50", trouble: str | re.Pattern[str] = ""
    ) -> None:
        """Fill in the shop's form and place the order. `gateway` is its name in the form."""
        await self.page.goto(self.shop)
        await self.page.get_by_label("What", exact=True).fill(what)
        await self.page.get_by_label("Amount in taka").fill(amount)
        await self.page.get_by_role("radio", name=re.compile(rf"^{gateway} ")).check()
        if trouble:
            select = self.page.get_by_label("What shall go wrong")
            option = select.get_by_role("option", name=trouble, exact=True)
            await select.select_option(value=await option.get_attribute("value"))
        await self.presses("Place the order and pay")

    async def at(self, title: str) -> None:
        """Check that the person has come to the checkout's page of this title."""
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(title)
        await fits(self.page)
        if self.looks:
            await looked_over_everywhere(self.windows, self.page, title)

    async def sees(self, outcome: str) -> None:
        """Wait until the shop's page of the order shows this outcome."""
        await self.page.wait_for_url(f"{self.shop}/orders/**", wait_until="commit")
        await expect(self.page.locator("#outcome h2")).to_have_text(outcome)
        await fits(self.page)

    async def looks_again_until(self, outcome: str) -> None:
        """Follow the link to look again, which is there without scripts, until the order's page shows this outcome."""
        await self.page.wait_for_url(f"{self.shop}/orders/**", wait_until="commit")

        async def shown() -> bool:
            if await self.page.locator("#outcome h2").inner_text() == outcome:
                return True
            await self.follows("Look again")
            return False

        await until(shown, what=f"the page shows {outcome}", seconds=60)
        await fits(self.page)

    async def types(self, label: str, text: str) -> None:
        await self.page.get_by_label(label, exact=True).fill(text)

    async def presses(self, name: str | re.Pattern[str]) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def follows(self, name: str | re.Pattern[str]) -> None:
        await self.page.get_by_role("link", name=name, exact=isinstance(name, str)).click()

    async def goes_back(self) -> None:
        """Go back to the shop from a checkout that is over, by a link or by the button of a form."""
        link, button = (self.page.get_by_role(role, name="Back to the shop", exact=True) for role in ("link", "button"))
        await link.or_(button).click()

    async def resolves(self, status: str) -> None:
        """Resolve a held payment at the order's page."""
        await self.page.get_by_text("Resolve it, as a person").click()
        await self.page.get_by_label("It was").select_option(status)
        await self.types("Because", "Asked the gateway by telephone")
        await self.presses("Resolve")

    async def reference(self) -> str:
        """The reference of the order whose page the person is looking at."""
        return (await self.page.title()).rpartition(": ")[2]

    def steps(self, text: str | re.Pattern[str]) -> Locator:
        """The rows of the timeline with this text."""
        return self.page.locator("#steps li").filter(has_text=text)


async def _payparse(person: Person) -> None:
    await person.at("Choose a wallet")
    await person.follows(re.compile("Nagad"))
    await person.at("Send with Nagad")
    await person.types("TrxID", f"NGD{next(_numbers):07}")


async def _onepaybd(person: Person) -> None:
    await person.at("Your bKash account")
    await person.types("bKash account number", "01812 345 678")
    await person.presses("Proceed")
    await person.at("Verification code")
    await expect(person.page.get_by_text("018 ** *** 678")).to_be_visible()
    await person.types("6 digits from the message", "654321")
    await person.presses("Confirm code")
    await person.at("Enter your PIN")
    await person.types("bKash PIN", "24680")


async def _shadhinpay(person: Person) -> None:
    await person.at("Choose how to pay")
    await person.follows("Card Visa, Mastercard, Amex")
    await person.at("Pay by card")
    await person.follows("Choose another way")
    await person.follows(re.compile("Rocket"))
    await person.at("Pay with Rocket")
    await person.types("Rocket number", "01912345678")
    await person.types("PIN", "24680")


def _from_wallet(wallet: str) -> Callable[[Person], Awaitable[None]]:
    """SSLCOMMERZ, shurjoPay and aamarPay have the same steps: a way is picked, and thought over."""

    async def go(person: Person) -> None:
        await person.at("Choose how to pay")
        await person.follows(re.compile("^Card"))
        await person.at("Pay by card")
        await person.follows("Choose another way")
        await person.follows(re.compile(wallet))
        await person.at(f"Pay with {wallet}")
        await person.types(f"{wallet} number", "01912345678")
        await person.types("PIN", "24680")

    return go


async def _eps(person: Person) -> None:
    await person.at("Pay from a mobile wallet")
    await person.follows("Card")
    await person.at("Pay by card")
    await person.follows("Bank account")
    await person.at("Pay from a bank account")
    await person.types("Account number", "1002003004005")
    await person.types("Code by SMS", "654321")


async def _uddoktapay(person: Person) -> None:
    await person.at("Send money by")
    await person.follows(re.compile("Nagad"))
    await person.at("Send money with Nagad")
    await person.types("Transaction id", f"NGU{next(_numbers):07}")


async def _moneybag(person: Person) -> None:
    await person.at("Debit or credit card")
    await person.follows("Net banking")
    await person.at("Net banking")
    await person.follows("Mobile wallet")
    await person.at("Mobile wallet")
    await person.types("Wallet number", "01712345678")
    await person.types("PIN", "24680")


async def _ipay(person: Person) -> None:
    await person.at("Log in to pay")
    await person.types("Mobile number", "01712345678")
    await person.types("PIN", "24680")
    await person.presses("Log in")
    await person.at("Confirm the payment")
    await expect(person.page.get_by_text("01712345678")).to_be_visible()


class Checkout:
    """One gateway's way to pay: the steps up to the last button, and that button."""

    def __init__(
        self, provider: str, first: str, go: Callable[[Person], Awaitable[None]], last: str | re.Pattern[str]
    ) -> None:
        self.provider, self.first, self._go, self.last = provider, first, go, last

    async def fill_in(self, person: Person) -> None:
        """Go up to the last button, which is not pressed."""
        await self._go(person)

    async def pay(self, person: Person) -> None:
        await self._go(person)
        await person.presses(self.last)


_PAY = re.compile("^Pay ৳")
FIRST: Mapping[str, Checkout] = MappingProxyType(
    {
        "PayParse": Checkout("payparse", "Choose a wallet", _payparse, "I have sent it"),
        "OnePayBD": Checkout("onepaybd", "Your bKash account", _onepaybd, "Confirm"),
        "ShadhinPay": Checkout("shadhinpay", "Choose how to pay", _shadhinpay, _PAY),
        "Moneybag": Checkout("moneybag", "Debit or credit card", _moneybag, _PAY),
        "iPay": Checkout("ipay", "Log in to pay", _ipay, _PAY),
    }
)
"""The gateways of tests that are about the shop."""
NEWER: Mapping[str, Checkout] = MappingProxyType(
    {
        "SSLCOMMERZ": Checkout("sslcommerz", "Choose how to pay", _from_wallet("Upay"), _PAY),
        "bKash": Checkout("bkash", "Your bKash account", _onepaybd, "Confirm"),
        "ShurjoPay": Checkout("shurjopay", "Choose how to pay", _from_wallet("Nagad"), _PAY),
        "aamarPay": Checkout("aamarpay", "Choose how to pay", _from_wallet("Rocket"), _PAY),
        "EPS": Checkout("eps", "Pay from a mobile wallet", _eps, _PAY),
        "UddoktaPay": Checkout("uddoktapay", "Send money by", _uddoktapay, "Verify"),
    }
)
CHECKOUTS: Mapping[str, Checkout] = MappingProxyType({**FIRST, **NEWER})
"""All, for tests that are about checkouts."""


async def at_once(path: Callable[[str], Awaitable[None]], gateways: Iterable[str]) -> None:
    """Run the same path at several gateways side by side, as most of it is waiting. A failure names its gateway."""

    async def walked(gateway: str) -> None:
        try:
            await path(gateway)
        except Exception as error:
            error.add_note(f"at {gateway}")
            raise

    async with asyncio.TaskGroup() as group:
        for gateway in gateways:
            group.create_task(walked(gateway))
