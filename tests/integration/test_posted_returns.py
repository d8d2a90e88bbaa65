"""Buyers who come back by a cross-site form, or with nothing at all, and notifications to an account's one address."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from tests.integration.aamarpays import Told, installed, simulated
from tests.processes import until

CROSS_SITE = {"Origin": "https://sandbox.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
SSLCOMMERZ = {
    "tran_id": "made-up",
    "val_id": "230101000",
    "status": "VALID",
    "verify_key": "amount,tran_id",
    "verify_sign": "0" * 32,
}


def form_of(reference: str) -> dict[str, str]:
    return {"mer_txnid": reference, "pg_txnid": "AAM1", "pay_status": "Successful", "status_code": "2", "opt_a": "x"}


def multipart(fields: dict[str, str]) -> aiohttp.FormData:
    made = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        made.add_field(name, value)
    return made


async def back(
    told: Told, payment_id: str, said: str, method: str = "POST", data: Any = None
) -> tuple[str, str | None]:
    """Come back as a browser does that sends no cookie. Returns the address and the status that the shop is told."""
    url = f"{told.url}/return/shop-aamarpay/{payment_id}/{said}"
    async with told.http.request(method, url, data=data, headers=CROSS_SITE, allow_redirects=False) as answered:
        assert "Set-Cookie" not in answered.headers
        assert answered.status == 303, await answered.text()
        target = urlsplit(answered.headers["Location"])
    return f"{target.scheme}://{target.netloc}{target.path}", dict(parse_qsl(target.query)).get("status")


async def opened(told: Told, reference: str) -> str:
    status, payment = await told.open(reference)
    assert status == 201, payment
    found: str = payment["payment_id"]
    return found


async def completed(told: Told, payment_id: str) -> bool:
    _, payment = await told.shop("GET", f"/v1/payments/{payment_id}")
    status: str = payment["status"]
    return status == "completed"


async def test_forms_of_other_sites_and_empty_returns_lead_to_the_shop(dsn: str) -> None:
    async with simulated() as (_, url), installed(dsn, url) as told:
        first = await opened(told, "paid-1")
        thanks = ("https://shop.example/thanks", "completed")
        status, _ = await told.call(
            "POST", f"/return/shop-aamarpay/{first}/success", data=form_of("paid-1"), headers=CROSS_SITE
        )
        assert status in (200, 303), "the outcome may come later than the buyer waits"
        await until(lambda: completed(told, first), what="completed after aamarPay's form", seconds=60)
        assert await back(told, first, "success", data=form_of("paid-1")) == thanks, "aamarPay's form"
        assert await back(told, first, "success", data=multipart(form_of("paid-1"))) == thanks
        assert await back(told, first, "success", data=SSLCOMMERZ) == thanks, "SSLCOMMERZ's form, told by its path"
        assert await back(told, first, "success", data={"invoice_id": "Zx1"}) == thanks, "UddoktaPay's form"
        assert await back(told, first, "cancel", "GET") == thanks, "a paid payment is not cancelled by a return"

        second = await opened(told, "waits-1")
        for method in ("GET", "POST"):
            assert await back(told, second, "cancel", method) == ("https://shop.example/thanks", "pending")
        form = form_of("waits-1")
        status, page = await told.call("POST", f"/return/shop-aamarpay/{second}/success", data=form, headers=CROSS_SITE)
        assert status == 200
        assert f"/return/shop-aamarpay/{second}/wait" in page, "the page looks again by GET, and repeats no form"


async def test_the_one_address_of_an_account_finds_the_payment_by_its_ids(dsn: str) -> None:
    async with simulated() as (gateway, url), installed(dsn, url) as told:
        for number, send in enumerate(("form", "multipart", "query", "json")):
            reference = f"paid-{number}"
            payment_id, form = await opened(told, reference), form_of(reference)
            match send:
                case "form":
                    answered = await told.call("POST", "/ipn/shop-aamarpay", data=form)
                case "multipart":
                    answered = await told.call("POST", "/ipn/shop-aamarpay", data=multipart(form))
                case "query":
                    answered = await told.call("GET", "/ipn/shop-aamarpay", params=form)
                case _:
                    answered = await told.call("POST", "/ipn/shop-aamarpay", json=form)
            assert answered == (200, {"received": True}), send
            await until(lambda of=payment_id: completed(told, of), what=f"completed after {send}", seconds=60)
        assert {query["request_id"] for query in gateway.asked} == {f"paid-{number}" for number in range(4)}

        other = form_of("paid-0")
        assert (await told.call("POST", "/ipn/shop-nobody", data=other))[0] == 404
        assert (await told.call("POST", "/ipn/shop-aamarpay", data={"hello": "there"}))[0] == 400
        assert (await told.call("POST", "/ipn/shop-aamarpay", data={"pay_status": "Successful"}))[0] == 400
        assert (await told.call("POST", "/ipn/shop-aamarpay", data=b"x" * 70_000))[0] == 413
        asked = len(gateway.asked)
        assert (await told.call("POST", "/ipn/shop-away", data=other))[0] == 200, "of another account, so it waits"
        assert len(gateway.asked) == asked
