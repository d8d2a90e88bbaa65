"""The hosted checkout pages over real sockets: the way through each, every way out of it, and what a page may hold."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.integration.sandboxes import (
    OPENERS,
    POSTING,
    REFERENCE,
    SHOP,
    WITH_EXECUTE,
    Answered,
    Driver,
    checkout_url,
    driving,
    leads_to,
    opened,
)
from tests.local_server import serving
from worker.playground.sandbox.checkout import ORDER_PAGE
from worker.playground.sandbox.checkout.checkout_routes import LOOKS
from worker.playground.sandbox.checkout.shape import Special, shown_money
from worker.playground.sandbox.sandbox_app import make_app
from worker.playground.sandbox.sandbox_config import GATEWAYS, SandboxConfig

MOST_BYTES = 15_000
MARKUP = '</p><b x=\'y"&">'
STEPS = [(provider, step.name) for provider in GATEWAYS for step in LOOKS[provider].steps]
SPECIALS = [
    pytest.param(provider, special, id=f"{provider}-{special.field}-{special.value}")
    for provider in GATEWAYS
    for special in LOOKS[provider].specials
]


class Page(HTMLParser):
    """What a buyer can press and fill in on a page."""

    def __init__(self, answered: Answered) -> None:
        super().__init__()
        self.status, self.html = answered.status, answered.body.decode()
        self.action, self.filled = "", dict[str, str]()
        self.links, self.deeds = list[str](), list[str]()
        self.tags, self.labels, self.inputs = list[tuple[str, dict[str, str | None]]](), list[str](), list[str]()
        self.feed(self.html)

    @property
    def ways_back(self) -> list[str]:
        """Where the page leads on, by links and by a form that is posted to the shop."""
        return [*self.links, *([self.action] if self.action.startswith("https://") else [])]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "form" and "id" not in found:
            self.action = found["action"] or ""
        elif tag == "input":
            self.filled[found["name"] or ""] = found["value"] or ""
            if found.get("type") != "hidden":
                self.inputs.append(found["id"] or "")
        elif tag == "label":
            self.labels.append(found["for"] or "")
        elif tag == "a":
            self.links.append(found["href"] or "")
        elif "formaction" in found:
            self.deeds.append((found["formaction"] or "").partition("?")[0].rsplit("/", 1)[1])


class Buyer:
    """A buyer at one checkout, by its address without the query."""

    def __init__(self, sandbox: Driver, provider: str, url: str) -> None:
        self.sandbox, self.provider, self.url = sandbox, provider, url.partition("?")[0]

    async def sees(self, step: str = "", query: str = "") -> Page:
        return Page(await self.sandbox.call("GET", f"{self.url}{f'/{step}' if step else ''}{query}"))

    async def does(self, name: str, **form: str) -> Answered:
        return await self.sends(f"{self.url}/{name}", form)

    async def sends(self, address: str, form: dict[str, str]) -> Answered:
        async with self.sandbox.http.post(address, data=form, allow_redirects=False) as response:
            return Answered(response.status, response.headers, await response.read())

    async def session(self) -> Any:
        found = (await self.sandbox.asked(f"sessions?provider={self.provider}&reference={REFERENCE}"))["sessions"]
        return found[0]

    async def presses_on(self) -> tuple[int, Answered]:
        """Press on from the first page with the given values, up to the redirect.

        Returns the number of pages and the redirect.
        """
        page, pages = await self.sees(), 1
        while True:
            if not page.action:
                page, pages = Page(await self.sandbox.call("GET", page.links[0])), pages + 1
            answered = await self.sends(page.action, page.filled)
            if answered.status != 200 or 'id="back"' in answered.body.decode():
                return pages, answered
            page, pages = Page(answered), pages + 1


async def arrives(sandbox: Driver, provider: str, **changes: Any) -> Buyer:
    if not changes:
        return Buyer(sandbox, provider, checkout_url(provider, await opened(sandbox, provider)))
    await sandbox.grant(provider)
    answered = await OPENERS[provider](sandbox, **changes)
    assert answered.status in (200, 201), answered.body
    return Buyer(sandbox, provider, checkout_url(provider, answered.json))


@pytest.fixture
async def sandbox() -> AsyncIterator[Driver]:
    async with driving(SandboxConfig(seed=7)) as driver:
        yield driver


def bought(provider: str) -> str:
    return "approved" if provider in WITH_EXECUTE else "paid"


@pytest.mark.parametrize(
    ("provider", "pages"),
    [
        ("payparse", 2),
        ("onepaybd", 3),
        ("shadhinpay", 2),
        ("moneybag", 1),
        ("ipay", 2),
        ("sslcommerz", 2),
        ("bkash", 3),
        ("shurjopay", 2),
        ("aamarpay", 2),
        ("eps", 1),
        ("uddoktapay", 2),
    ],
)
async def test_pressing_on_pays(sandbox: Driver, provider: str, pages: int) -> None:
    buyer = await arrives(sandbox, provider)
    seen, answered = await buyer.presses_on()
    assert (seen, leads_to(answered).startswith(SHOP)) == (pages, True)
    assert answered.status == (200 if provider in POSTING else 303)
    assert (await buyer.session())["status"] == bought(provider)


@pytest.mark.parametrize("provider", GATEWAYS)
@pytest.mark.parametrize(("deed", "status"), [("fail", "failed"), ("cancel", "cancelled")])
async def test_a_button_fails_or_cancels_from_every_step(
    sandbox: Driver, provider: str, deed: str, status: str
) -> None:
    buyer = await arrives(sandbox, provider)
    for step in LOOKS[provider].steps:
        assert (await buyer.sees(step.name)).deeds == ["cancel", "fail", "walk_away"]
    answered = await buyer.does(deed)
    assert leads_to(answered).startswith(SHOP)
    assert (await buyer.session())["status"] == status


@pytest.mark.parametrize("provider", GATEWAYS)
async def test_walking_away_leaves_the_checkout_open(sandbox: Driver, provider: str) -> None:
    buyer = await arrives(sandbox, provider)
    page = Page(await buyer.does("walk_away"))
    assert (page.status, "The buyer closed the tab" in page.html) == (200, True)
    session = await buyer.session()
    assert session["status"] == "open"
    assert bool(session["transaction_id"]) == (provider == "moneybag")  # its walk-away makes a transaction
    assert page.links == [buyer.url]
    assert leads_to(await buyer.does("pay")).startswith(SHOP)


@pytest.mark.parametrize("provider", GATEWAYS)
async def test_after_the_end_only_a_developer_can_pay(sandbox: Driver, provider: str) -> None:
    buyer = await arrives(sandbox, provider)
    await sandbox.control("expire", provider=provider, reference=REFERENCE)
    page = await buyer.sees(query="?stay")
    assert (page.status, "The time is over" in page.html, page.deeds) == (200, True, ["pay_all_the_same"])
    refused = await buyer.sends(f"{buyer.url}/pay?stay", {})
    assert (refused.status, (await buyer.session())["status"]) == (409, "expired")
    late = await buyer.does("pay_all_the_same")
    assert leads_to(late).startswith(SHOP)
    assert (await buyer.session())["status"] == bought(provider)


async def test_payparse_sends_late_visitors_back_unless_they_asked_to_stay(sandbox: Driver) -> None:
    buyer = await arrives(sandbox, "payparse")
    assert f"{buyer.url}?stay" in (await buyer.sees()).links
    stays = await buyer.sees(query="?stay")
    assert all(link.endswith("?stay") for link in stays.links)
    await sandbox.control("expire", provider="payparse", reference=REFERENCE)
    for answered in (await sandbox.call("GET", buyer.url), await buyer.does("pay")):
        assert (answered.status, answered.headers["Location"]) == (303, f"{SHOP}/c")
    assert (await buyer.sees(query="?stay")).status == 200


async def test_the_script_of_late_payment_keeps_payparse_s_page_and_lets_the_buyer_pay(sandbox: Driver) -> None:
    buyer = await arrives(sandbox, "payparse")
    await sandbox.control("scripts", provider="payparse", reference=REFERENCE, script="paid_after_expiry")
    await sandbox.control("clock", advance_seconds=3)
    page = await buyer.sees()
    assert (page.status, page.deeds) == (200, ["pay_all_the_same"])
    assert (await buyer.does("pay")).headers["Location"] == f"{SHOP}/s"


@pytest.mark.parametrize("provider", GATEWAYS)
@pytest.mark.parametrize("deed", ["pay", "fail", "cancel"])
async def test_a_second_tab_is_told_what_the_first_did_and_does_nothing(
    sandbox: Driver, provider: str, deed: str
) -> None:
    buyer = await arrives(sandbox, provider)
    back = leads_to(await buyer.does(deed))
    before = await buyer.session()
    word = before["status"]
    step = LOOKS[provider].steps[-1].name
    for answered in [await buyer.does(name) for name in ("pay", "fail", "cancel", "walk_away", step)]:
        page = Page(answered)
        assert (page.status, f"Already {word}" in page.html, page.ways_back) == (409, True, [back])
    shown = await buyer.sees()
    assert (shown.status, shown.ways_back, shown.deeds) == (200, [back], ["pay_all_the_same"])
    assert await buyer.session() == before


@pytest.mark.parametrize("provider", GATEWAYS)
async def test_many_tabs_that_pay_at_once_pay_once(sandbox: Driver, provider: str) -> None:
    buyer = await arrives(sandbox, provider)
    answers = await asyncio.gather(*(buyer.does("pay", number="01770618575") for _ in range(8)))
    assert sorted(answered.status for answered in answers) == [200 if provider in POSTING else 303] + [409] * 7
    assert len((await buyer.session())["transactions"]) == (0 if provider in WITH_EXECUTE else 1)


@pytest.mark.parametrize("provider", [name for name in GATEWAYS if name not in WITH_EXECUTE])
async def test_paying_again_is_a_second_transaction(sandbox: Driver, provider: str) -> None:
    buyer = await arrives(sandbox, provider)
    await buyer.does("pay")
    assert "Pay again" in (await buyer.sees()).html
    assert leads_to(await buyer.does("pay_all_the_same")).startswith(SHOP)
    assert len((await buyer.session())["transactions"]) == 2


async def test_what_a_gateway_refuses_is_said(sandbox: Driver) -> None:
    buyer = await arrives(sandbox, "shadhinpay")
    await buyer.does("pay")
    await sandbox.control("refund", provider="shadhinpay", reference=REFERENCE)
    page = Page(await buyer.does("pay_all_the_same"))
    assert (page.status, page.deeds) == (409, [])
    assert "Refused: the session is refunded." in page.html


@pytest.mark.parametrize(("provider", "special"), SPECIALS)
async def test_entries_with_a_meaning_are_named_and_act(sandbox: Driver, provider: str, special: Special) -> None:
    buyer = await arrives(sandbox, provider)
    assert special.value in (await buyer.sees()).html
    asking = next(step for step in reversed(LOOKS[provider].steps) if special.field in {f.name for f in step.fields})
    answered = await buyer.does("pay", at=asking.name, **{special.field: f" {special.value.lower()} "})
    session = await buyer.session()
    if special.does == "again":
        page = Page(answered)
        assert (page.status, special.says in page.html, asking.title in page.html) == (422, True, True)
        assert session["status"] == "open"
    else:
        ends = {"fail": "failed", "cancel": "cancelled", "walk_away": "open"}
        stays = special.does == "walk_away" or provider in POSTING
        assert (answered.status, session["status"]) == (200 if stays else 303, ends[special.does])


async def test_what_was_typed_travels_along(sandbox: Driver) -> None:
    buyer = await arrives(sandbox, "ipay")
    page = Page(await buyer.does("confirm", number="01999999999", pin="00000"))
    assert (page.filled["number"], page.filled["pin"]) == ("01999999999", "00000")
    assert "Too little by" in page.html
    await buyer.sends(page.action, page.filled)
    assert (await buyer.session())["status"] == "failed"


async def test_payparse_s_trx_id_becomes_the_transaction(sandbox: Driver) -> None:
    buyer = await arrives(sandbox, "payparse")
    await buyer.does("pay", trx_id="9GT7AKX2QP")
    assert (await buyer.session())["transaction_id"] == "9GT7AKX2QP"


async def test_shadhinpay_begins_at_the_preferred_vendor_with_the_customer_s_number(sandbox: Driver) -> None:
    buyer = await arrives(sandbox, "shadhinpay", preferredVendor="NAGAD", customerPhone="8801712345678")
    page = await buyer.sees()
    assert ("Pay with Nagad" in page.html, page.filled["number"]) == (True, "01712345678")


@pytest.mark.parametrize("provider", GATEWAYS)
async def test_a_callback_lost_on_purpose_is_named_and_explained(sandbox: Driver, provider: str) -> None:
    buyer = await arrives(sandbox, provider)
    await sandbox.control("scripts", provider=provider, reference=REFERENCE, script="callback_lost")
    assert "<strong>Set to go wrong:</strong> Callback lost" in (await buyer.sees()).html
    page = Page(await buyer.does("pay"))
    assert (page.status, "The browser was closed here" in page.html, "Callback lost" in page.html) == (200, True, True)
    assert any(link.startswith(SHOP) for link in page.ways_back)
    assert "What the shop knows of it" not in page.html
    assert (await buyer.session())["status"] == bought(provider)


async def test_a_shop_beside_the_sandbox_is_linked_where_nobody_was_sent_back() -> None:
    app = make_app(SandboxConfig(seed=7))
    app[ORDER_PAGE] = lambda reference: f"/orders/{reference}"
    async with driving(SandboxConfig(seed=7)) as sandbox, serving(app) as base:
        sandbox.base = base
        buyer = await arrives(sandbox, "moneybag")
        page = Page(await buyer.does("walk_away"))
        assert page.links == [buyer.url, f"/orders/{REFERENCE}"]


@pytest.mark.parametrize(("provider", "step"), STEPS)
async def test_a_page_is_small_labelled_and_loads_nothing(sandbox: Driver, provider: str, step: str) -> None:
    buyer = await arrives(sandbox, provider)
    answered = await sandbox.call("GET", f"{buyer.url}/{step}")
    assert len(answered.body) < MOST_BYTES
    policy = answered.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    page = Page(answered)
    scripts = re.findall(r"<script>(.*?)</script>", page.html)
    hashed = [base64.b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    assert all(f"script-src 'sha256-{one}';" in policy for one in hashed)
    assert len(hashed) <= 1
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "embed", "base", "video"}
    assert not any(name.startswith("on") or name == "src" for _, found in page.tags for name in found)
    assert not re.search(r"url\(|@import", page.html)
    assert page.inputs == page.labels
    shown = [found for tag, found in page.tags if tag == "input" and found.get("type") != "hidden"]
    assert all(found["autocomplete"] == "off" and found["value"] for found in shown)
    assert re.search(r"<strong>Sandbox:</strong> no real money moves", page.html)
    assert all(text in page.html for text in ("৳1,500.50", REFERENCE, " in Dhaka"))


@pytest.mark.parametrize("provider", GATEWAYS)
async def test_what_is_bangla_says_so_to_screen_readers_and_nothing_else_does(sandbox: Driver, provider: str) -> None:
    buyer = await arrives(sandbox, provider)
    pages = [await buyer.sees(step.name) for step in LOOKS[provider].steps]
    pages.append(Page(await buyer.does("walk_away")))
    await buyer.does("fail")
    pages.append(await buyer.sees(query="?stay"))
    for page in pages:
        marked = re.findall(r'<(\w+)[^>]* lang="bn"[^>]*>(.*?)</\1>', page.html)
        assert [text for _, text in marked if re.search("[A-Za-z0-9]", text)] == []
        rest = re.sub(r'<(\w+)[^>]* lang="bn"[^>]*>.*?</\1>', "", page.html)
        assert re.findall("[\u0980-\u09e5]+", rest) == []


async def test_a_page_looks_again_when_its_time_is_over(sandbox: Driver) -> None:
    buyer = await arrives(sandbox, "ipay")
    await sandbox.control("clock", advance_seconds=600)
    page = await buyer.sees()
    (body,) = [attrs for tag, attrs in page.tags if tag == "body"]
    assert (290 < int(body["data-left"] or 0) <= 301, body["data-to"]) == (True, buyer.url)
    assert 'http-equiv="refresh"' not in page.html
    assert "Look again</a></p></noscript>" in page.html


@pytest.mark.parametrize("provider", GATEWAYS)
async def test_markup_in_an_order_or_an_entry_stays_text(sandbox: Driver, provider: str) -> None:
    names = {
        "payparse": {"order_ref": MARKUP},
        "onepaybd": {"merchantInvoiceNumber": MARKUP},
        "shadhinpay": {"merchantTxnId": MARKUP, "description": MARKUP, "customerPhone": MARKUP},
        "moneybag": {"order_id": MARKUP, "order_description": MARKUP},
        "ipay": {"referenceId": MARKUP, "description": MARKUP},
        "sslcommerz": {"tran_id": MARKUP, "product_name": MARKUP, "cus_phone": MARKUP},
        "aamarpay": {"tran_id": MARKUP, "desc": MARKUP, "cus_phone": MARKUP},
        "shurjopay": {"order_id": MARKUP, "customer_phone": MARKUP},
        "bkash": {"merchantInvoiceNumber": MARKUP},
        "eps": {"merchantTransactionId": MARKUP, "productName": MARKUP},
        "uddoktapay": {"metadata": {"reference": MARKUP}},
    }
    buyer = await arrives(sandbox, provider, **names[provider])
    typed = {field.name: MARKUP for field in LOOKS[provider].fields()} | {"at": MARKUP, "other": MARKUP}
    answers = [await buyer.does(step.name, **typed) for step in LOOKS[provider].steps]
    for page in map(Page, [*answers, await buyer.does("walk_away")]):
        assert page.status == 200
        assert MARKUP not in page.html
        assert "<b x" not in page.html
        assert "&lt;/p&gt;&lt;b" in page.html
        assert len(page.html.encode()) < MOST_BYTES


async def test_an_address_that_leads_nowhere_says_so(sandbox: Driver) -> None:
    buyer = await arrives(sandbox, "ipay")
    assert (await sandbox.call("GET", "/ipay/checkout/IPAY-0")).status == 404
    assert (await buyer.does("teleport")).status == 404
    reloaded = await sandbox.call("GET", f"{buyer.url}/pay")
    assert (reloaded.status, reloaded.headers["Location"]) == (303, buyer.url)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("10", "BDT", "৳10.00"),
        ("999.5", "BDT", "৳999.50"),
        ("150000.00", "BDT", "৳1,50,000.00"),
        ("12345678.90", "BDT", "৳1,23,45,678.90"),
        ("1500.50", "USD", "USD 1,500.50"),
    ],
)
def test_money_is_grouped_as_in_bangladesh(amount: str, currency: str, shown: str) -> None:
    assert shown_money(amount, currency) == shown
