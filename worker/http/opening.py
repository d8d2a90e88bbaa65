"""POST /v1/payments and /v1/payments/track: a checkout is opened, or one that the shop opened itself is taken on.

The one thing to get wrong: the id in the callback URLs. A row that is opened again keeps its own id, so the opening is
made from the row that was committed and never from the id that was proposed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from consumers.account import Account
from consumers.gateway import CallbackUrls, Customer, FieldError, Opening, OpeningOutcome
from consumers.opening import OpeningFailed, open_payment, track_payment
from schemas.payments import Payment, view
from schemas.requests import NEW_PAYMENT, TRACKED_PAYMENT, PaymentWish, Shape, Wrong
from schemas.wire import canonical
from worker.config import Config, Merchant
from worker.config.rules import is_loopback, split_url
from worker.http.auth import merchant_of
from worker.http.context import Api
from worker.http.idempotency import once
from worker.http.problems import Problem, Reply, invalid, json_reply
from worker.postgres.reading import read_payment

_STATUS = {"gateway_refused": 422, "gateway_unavailable": 502, "gateway_timeout": 504}
_TO_BLAME = {
    "reference_used": "reference",
    "reference_used_at_gateway": "reference",
    "opening_in_progress": "reference",
    "session_used": "session_id",
}


class Openings:
    """The two handlers, both of which honour Idempotency-Key."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def open(self, request: web.Request) -> web.Response:
        merchant = merchant_of(request)

        async def work(payment_id: str, body: Any) -> Reply:
            return await self._open(merchant, payment_id, body)

        return await once(self._api, request, work)

    async def track(self, request: web.Request) -> web.Response:
        merchant = merchant_of(request)

        async def work(payment_id: str, body: Any) -> Reply:
            return await self._track(merchant, payment_id, body)

        return await once(self._api, request, work)

    async def _open(self, merchant: Merchant, payment_id: str, body: Any) -> Reply:
        rules = self._api.rules
        account, wish = _read(NEW_PAYMENT, merchant, body)
        _refuse(account.provider.check(_opening(payment_id, account, wish, rules.public_url)))
        _check_public_url(account, self._api.config, rules.public_url)

        async def call(row: Payment) -> OpeningOutcome:
            return await self._api.open_checkout(account, _opening(row.id, account, wish, rules.public_url))

        row = self._row(payment_id, account, wish)
        try:
            payment = await open_payment(self._api.ledger, rules, row, _kept(body), call)
        except OpeningFailed as failed:
            payment = await self._ours(row, failed)
        return json_reply(201, view(payment))

    async def _track(self, merchant: Merchant, payment_id: str, body: Any) -> Reply:
        rules = self._api.rules
        account, wish = _read(TRACKED_PAYMENT, merchant, body)
        # The shop's checkout has passed the gateway's own limits; what matters here is what it will be asked by.
        found = account.provider.check(_opening(payment_id, account, wish, rules.public_url))
        _refuse(one for one in found if one.field == "reference")
        row = self._row(payment_id, account, wish)
        try:
            payment = await track_payment(self._api.ledger, rules, row, _kept(body))
        except OpeningFailed as failed:
            payment = await self._ours(row, failed)
        return json_reply(201, view(payment))

    def _row(self, payment_id: str, account: Account, wish: PaymentWish) -> Payment:
        now = self._api.database.clock.now()
        return Payment(
            id=payment_id,
            merchant=account.merchant,
            account=account.id,
            provider=account.provider.name,
            reference=wish.reference,
            order_ref=wish.order,
            amount=wish.amount,
            currency=wish.currency,
            description=wish.description,
            metadata=wish.metadata,
            return_url=wish.return_url,
            failure_url=wish.failure_url,
            cancel_url=wish.cancel_url,
            session_id=wish.session_id,
            opened_at=now,
            expires_at=now + account.provider.lifetime(wish.expires_in),
        )

    async def _ours(self, row: Payment, failed: OpeningFailed) -> Payment:
        """The payment that is in the way, where it is this very request's, made before its holder died."""
        if failed.code == "reference_used" and failed.payment_id == row.id:
            made = await read_payment(self._api.database, row.merchant, row.id)
            if made is not None and made.opened:
                return made
        raise Problem(
            _STATUS.get(failed.code, 409),
            failed.code,
            str(failed) or "the gateway could not be understood",
            field=_TO_BLAME.get(failed.code),
            payment_id=failed.payment_id,
            retry_after=failed.retry_after,
        ) from None


def _read(shape: Shape, merchant: Merchant, body: Any) -> tuple[Account, PaymentWish]:
    """What is wished, and the merchant's account it names. Raises Problem with every wrong field."""
    wrong: list[Wrong] = []
    found = shape.read(body, wrong)
    account = next((account for account in merchant.accounts if account.id == found.get("account")), None)
    if account is None and "account" in found:
        wrong.append(Wrong("account", "you have no such account"))
    if account is None or wrong:
        raise invalid(wrong)
    return account, PaymentWish(**found)


def _opening(payment_id: str, account: Account, wish: PaymentWish, public_url: str) -> Opening:
    back = f"{public_url}/return/{account.id}/{payment_id}"
    return Opening(
        payment_id=payment_id,
        reference=wish.reference,
        amount=wish.amount,
        currency=wish.currency,
        description=wish.description,
        urls=CallbackUrls(
            back=back,
            success=f"{back}/success",
            failure=f"{back}/failure",
            cancel=f"{back}/cancel",
            ipn=f"{public_url}/ipn/{account.id}/{payment_id}",
        ),
        expires_in=wish.expires_in,
        method=wish.method,
        customer=Customer(**wish.customer),
        options=wish.provider_options,
    )


def _refuse(found: Iterable[FieldError]) -> None:
    wrong = [Wrong(one.field, one.message) for one in found]
    if wrong:
        raise invalid(wrong)


def _check_public_url(account: Account, config: Config, public_url: str) -> None:
    """A real gateway is given no http address to send buyers to."""
    _, host = split_url(account.provider.base_url)
    near = is_loopback(host) or host in config.allow_http_hosts
    if not near and not public_url.startswith("https://"):
        detail = "this gateway must be given https addresses: PAYPROOF_PUBLIC_URL has to begin with https://"
        raise Problem(422, "callback_url_not_https", detail)


def _kept(body: Any) -> dict[str, Any]:
    """What is stored to tell an equal body from another one. As text, since jsonb would rewrite its numbers."""
    return {"body": canonical(body).decode()}
