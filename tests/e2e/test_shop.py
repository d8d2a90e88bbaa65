"""The demo shop over a whole installation: ordered at the form, paid at the gateway, proven, and shipped."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tests.e2e.buyers import Answered, Payproof
from tests.processes import until

FORM = {"description": "Two kilos of tea", "amount": "1500.50", "account": "shop-moneybag", "trouble": ""}


async def reads(payproof: Payproof, page: str, text: str) -> Answered:
    async def look() -> Answered | None:
        answered = await payproof.call("GET", page)
        return answered if text in answered.text else None

    return await until(look, what=f"the page says {text}")


async def test_an_order_is_paid_proven_and_fulfilled_before_the_buyers_eyes(payproof: Payproof) -> None:
    shop = payproof.system.sandbox_url
    assert "Buy some tea" in (await payproof.call("GET", f"{shop}/")).text

    ordered = await payproof.call("POST", f"{shop}/orders", data=FORM)
    assert ordered.status == 303
    session_id = urlsplit(ordered.headers["Location"]).path.rsplit("/", 1)[-1]
    named = {"provider": "moneybag", "session_id": session_id}
    paid = await payproof.stage.control.post("shopper", **named, does="pay", webhook=False, returns=False)
    page = f"{shop}/orders/{paid['session']['reference']}"
    assert "Waiting for proof" in (await payproof.call("GET", page)).text

    returned = await payproof.call("GET", paid["redirect"])
    assert returned.headers["Location"].startswith(f"{page}?payment_id=pay_")
    answered = await reads(payproof, returned.headers["Location"], "Fulfilled")
    assert "The signature is Payproof&#x27;s" in answered.text
    assert re.findall(r'<li class="(answer|decision)">', answered.text) == ["answer", "decision"]
    assert "shipped" in (await payproof.call("GET", f"{shop}/orders")).text


async def test_a_person_resolves_what_is_held_and_the_shop_ships_on_the_event(payproof: Payproof) -> None:
    shop = payproof.system.sandbox_url
    ordered = await payproof.call("POST", f"{shop}/orders", data=FORM | {"trouble": "amount_tampered"})
    session_id = urlsplit(ordered.headers["Location"]).path.rsplit("/", 1)[-1]
    named = {"provider": "moneybag", "session_id": session_id}
    paid = await payproof.stage.control.post("shopper", **named, does="pay", returns=False)
    page = f"{shop}/orders/{paid['session']['reference']}"
    await payproof.call("GET", paid["redirect"])

    held = await reads(payproof, page, "Held: nothing leaves")
    version = re.search(r'name="version" value="([0-9]+)"', held.text)
    assert version is not None
    decision = {"version": version[1], "status": "completed", "reason": "seen at the bank"}
    assert (await payproof.call("POST", f"{page}/resolve", data=decision)).status == 303
    resolved = await reads(payproof, page, "Fulfilled")
    assert "demo-shop resolved it as completed: seen at the bank" in resolved.text
    late = decision | {"status": "failed"}
    assert (await payproof.call("POST", f"{page}/resolve", data=late)).status == 409
