"""A shop's payment request, over HTTP or by message: read, checked, and made a payment.

Both ways use these rules, so they refuse a request in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from consumers.account import Account
from consumers.commands.open_payment import CheckoutStore, track_payment
from consumers.ports.openings import CallbackUrls, Customer, FieldError, Opening
from consumers.rules import Rules
from schemas.payments import Payment
from schemas.request_shape import Shape, Wrong
from schemas.requests import TRACKED_PAYMENT, PaymentRequest
from schemas.wire import canonical
from worker.config import Merchant

TO_BLAME = {
    "reference_used": "reference",
    "reference_used_at_gateway": "reference",
    "opening_in_progress": "reference",
    "session_used": "session_id",
}
"""The field that an OpeningFailed is about, by its code."""


class InvalidRequest(Exception):
    """A body that could be read, but is not accepted. `wrong` lists every wrong field, and is never empty."""

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        super().__init__("; ".join(f"{item.field}: {item.message}" if item.field else item.message for item in wrong))
        self.wrong = wrong


async def track(
    openings: CheckoutStore, rules: Rules, merchant: Merchant, body: Any, *, payment_id: str, now: datetime
) -> Payment:
    """Track the payment of a body of POST /v1/payments/track. Raises InvalidRequest and OpeningFailed.

    If an earlier try with `payment_id` has made the payment, OpeningFailed names that id.
    """
    account, wanted = read_payment_request(TRACKED_PAYMENT, merchant, body)
    # The shop's checkout has passed the gateway's limits. Only the reference matters: the gateway is asked by it.
    found = account.provider.check(opening_of(payment_id, account, wanted, rules.public_url))
    reject(error for error in found if error.field == "reference")
    return await track_payment(openings, rules, payment_row(payment_id, account, wanted, now), kept(body))


def read_payment_request(shape: Shape, merchant: Merchant, body: Any) -> tuple[Account, PaymentRequest]:
    """Read a body. Returns the account that it names, and the request. Raises InvalidRequest with every wrong field."""
    wrong: list[Wrong] = []
    found = shape.read(body, wrong)
    account = next((account for account in merchant.accounts if account.id == found.get("account")), None)
    if account is None and "account" in found:
        wrong.append(Wrong("account", "you have no such account"))
    if account is None or wrong:
        raise InvalidRequest(wrong)
    return account, PaymentRequest(**found)


def reject(found: Iterable[FieldError]) -> None:
    """Raises InvalidRequest with these errors of a gateway's own limits, if there are any."""
    wrong = [Wrong(error.field, error.message) for error in found]
    if wrong:
        raise InvalidRequest(wrong)


def payment_row(payment_id: str, account: Account, wanted: PaymentRequest, now: datetime) -> Payment:
    """A new payment for this request, opened now, with the expiry that its gateway sets. Writes nothing."""
    return Payment(
        id=payment_id,
        merchant=account.merchant,
        account=account.id,
        provider=account.provider.name,
        reference=wanted.reference,
        order_ref=wanted.order,
        amount=wanted.amount,
        currency=wanted.currency,
        description=wanted.description,
        metadata=wanted.metadata,
        return_url=wanted.return_url,
        failure_url=wanted.failure_url,
        cancel_url=wanted.cancel_url,
        session_id=wanted.session_id,
        opened_at=now,
        expires_at=now + account.provider.lifetime(wanted.expires_in),
    )


def opening_of(payment_id: str, account: Account, wanted: PaymentRequest, public_url: str) -> Opening:
    """The data with which a gateway opens the checkout, with our URLs for callbacks."""
    back = f"{public_url}/return/{account.id}/{payment_id}"
    return Opening(
        payment_id=payment_id,
        reference=wanted.reference,
        amount=wanted.amount,
        currency=wanted.currency,
        description=wanted.description,
        urls=CallbackUrls(
            back=back,
            success=f"{back}/success",
            failure=f"{back}/failure",
            cancel=f"{back}/cancel",
            ipn=f"{public_url}/ipn/{account.id}/{payment_id}",
        ),
        expires_in=wanted.expires_in,
        method=wanted.method,
        customer=Customer(**wanted.customer),
        options=wanted.provider_options,
    )


def kept(body: Any) -> dict[str, Any]:
    """The request as it is stored, to tell an equal body from another. As text, because jsonb would change numbers."""
    return {"body": canonical(body).decode()}
