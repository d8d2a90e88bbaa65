"""Taking an order: the form, and `POST /v1/payments` with the buyer sent on to the gateway's checkout.

Nothing here ships: an opened payment is only an expectation.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from worker.playground.shop.client import AWAY, Refused
from worker.playground.shop.opening import next_number, open_attempt, reference_of
from worker.playground.shop.pages.catalogue import Form, catalogue
from worker.playground.shop.shop import Shop
from worker.playground.shop.simulator import Script, SimulatorError

CUSTOMER = {
    "name": "Demo Buyer",
    "email": "buyer@example.com",
    "phone": "01700000000",
    "address": "1 Demo Road",
    "city": "Dhaka",
    "postcode": "1000",
    "country": "Bangladesh",
}
AT_THE_FORM = frozenset({"description", "amount", "account"})


class Ordering:
    """The handlers that open payments."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def catalogue(self, request: web.Request) -> web.Response:
        return await self._form(request, Form())

    async def place(self, request: web.Request) -> web.Response:
        """A new order: the troubles are set at the sandbox, the payment is opened, the buyer is sent to pay."""
        sent = {name: str(value).strip() for name, value in (await request.post()).items()}
        form = Form(
            description=sent.get("description", ""),
            amount=sent.get("amount", ""),
            account=sent.get("account", ""),
            trouble=sent.get("trouble", ""),
        )
        account = next((one for one in self._shop.config.accounts if one.id == form.account), None)
        if account is None:
            return await self._form(request, form, {"account": "Choose one of these."})
        order = f"order-{secrets.token_hex(4)}"
        if form.trouble:
            try:
                await self._shop.simulator(request).set_script(account.provider, reference_of(order, 1), form.trouble)
            except SimulatorError as error:
                return await self._form(request, form, {"trouble": f"{account.name} cannot have this trouble: {error}"})
        wish = {
            "account": account.id,
            "amount": form.amount,
            "description": form.description,
            "metadata": {"trouble": form.trouble} if form.trouble else {},
        }
        return await self._open(request, form, order, 1, wish)

    async def again(self, request: web.Request) -> web.Response:
        """Open another attempt of the same order, with a reference of its own."""
        await self._shop.catch_up()
        believed = self._shop.books.by_reference(request.match_info["reference"])
        if believed is None:
            raise web.HTTPNotFound(text="No such order.")
        payment = believed.payment
        form = Form(description=payment.description, amount=payment.amount, account=payment.account)
        wish = {"account": payment.account, "amount": payment.amount, "description": payment.description}
        had = [one.payment.reference for one in self._shop.books.attempts(believed.order)]
        return await self._open(request, form, believed.order, next_number(believed.order, had), wish)

    async def _open(
        self, request: web.Request, form: Form, order: str, number: int, wish: Mapping[str, Any]
    ) -> web.Response:
        """Open it and send the buyer to the checkout. On failure, the form again with the reason."""
        page = f"{self._shop.url(request)}/orders/{{reference}}"
        fixed = {"currency": "BDT", "customer": CUSTOMER, "return_url": page}
        try:
            payment = await open_attempt(self._shop.payproof, order, number, {**wish, **fixed})
        except Refused as refused:
            return await self._form(request, form, _wrong(refused))
        except AWAY as error:
            return await self._form(request, form, {"": f"Payproof does not answer ({type(error).__name__})."}, 502)
        raise web.HTTPSeeOther(payment["checkout_url"])

    async def _form(
        self, request: web.Request, form: Form, wrong: Mapping[str, str] | None = None, status: int = 422
    ) -> web.Response:
        form = replace(form, wrong=wrong or {})
        return catalogue(
            self._shop.config.accounts, await self._scripts(request), form, status=status if wrong else 200
        )

    async def _scripts(self, request: web.Request) -> Sequence[Script]:
        try:
            return await self._shop.simulator(request).scripts()
        except SimulatorError:
            return ()


def _wrong(refused: Refused) -> dict[str, str]:
    """The wrong fields that the API found, by the form's field where it has one, in the API's words."""
    found = {one["field"]: f"{one['message'][:1].upper()}{one['message'][1:]}." for one in refused.errors}
    wrong = {name: text for name, text in found.items() if name in AT_THE_FORM}
    beside = [f"{name}: {text}" for name, text in found.items() if name not in AT_THE_FORM]
    if beside or not wrong:
        wrong[""] = " ".join(beside) or f"{refused.detail[:1].upper()}{refused.detail[1:]}."
    return wrong
