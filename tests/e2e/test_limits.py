"""Floods from one address and about one payment, seen from outside; the tests act as a proxy that names its clients."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

from tests.e2e.buyers import Answered, Payproof

MOST_FLOODS = 20
_addresses = (f"203.0.113.{n}" for n in itertools.count(1))


async def flood_until_refused(payproof: Payproof, method: str, path: str, **more: object) -> list[Answered]:
    """Requests from one address until one is refused. A slow machine sends longer, as the limit refills meanwhile."""
    address, answers = next(_addresses), list[Answered]()
    for _ in range(MOST_FLOODS):
        answers += await flood(payproof, method, path, 300, address=address, **more)
        if any(answered.status == 429 for answered in answers):
            return answers
    raise AssertionError(f"none of {len(answers)} requests was refused")


async def flood(
    payproof: Payproof, method: str, path: str, times: int, *, address: str | None = None, **more: object
) -> list[Answered]:
    """So many requests from one address, some at a time."""
    address, slots = address or next(_addresses), asyncio.Semaphore(20)

    async def one() -> Answered:
        async with slots:
            return await payproof.call(method, path, headers={"X-Forwarded-For": address}, **more)

    return list(await asyncio.gather(*(one() for _ in range(times))))


async def test_an_address_that_floods_is_told_to_wait_and_others_are_not(payproof: Payproof) -> None:
    answers = await flood_until_refused(payproof, "GET", "/return/shop-ipay/pay_00000000000000000000000000")
    counted = Counter(answered.status for answered in answers)
    assert set(counted) == {404, 429}
    assert counted[404] >= 200
    refused = next(answered for answered in answers if answered.status == 429)
    assert refused.headers["Retry-After"] == "5"
    assert "<title>Confirming your payment</title>" in refused.text
    assert "refresh" in refused.text
    (other,) = await flood(payproof, "GET", "/return/shop-ipay/pay_00000000000000000000000000", 1)
    assert other.status == 404


async def test_a_flood_of_forged_webhooks_is_refused_and_a_right_signature_never_is(payproof: Payproof) -> None:
    answers = await flood_until_refused(payproof, "POST", "/webhooks/shop-moneybag", data=b"{}")
    assert set(Counter(answered.status for answered in answers)) == {401, 429}
    buyer = await payproof.opened("moneybag")
    await buyer.at_gateway("pay")  # the sandbox's own webhook, from an address that did not flood
    await payproof.settled(buyer.payment["payment_id"], "completed")


async def test_of_thousands_of_claims_about_one_payment_a_thousand_are_enough(payproof: Payproof) -> None:
    buyer = await payproof.opened("payparse")
    path = f"/return/shop-payparse/{buyer.payment['payment_id']}/failure"
    floods = await asyncio.gather(*(flood(payproof, "GET", path, 180) for _ in range(8)))
    counted = Counter(answered.status for answers in floods for answered in answers)
    assert set(counted) == {303, 429}
    assert counted[303] >= 1000
    assert 1000 <= len(await payproof.claims(buyer.payment["payment_id"])) <= 1200
