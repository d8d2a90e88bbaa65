"""What a shop wishes for, whichever way it came: read against its fields, checked, and made a payment.

The one thing to get wrong: a second set of rules. A payment is registered over HTTP and by message, and what one
refuses the other must refuse in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from consumers.account import Account
from consumers.commands.open_payment import Openings, track_payment
from consumers.ports.gateway import CallbackUrls, Customer, FieldError, Opening
from consumers.rules import Rules
from schemas.payments import Payment
from schemas.requests import TRACKED_PAYMENT, PaymentWish, Shape, Wrong
from schemas.wire import canonical
from worker.config import Merchant

TO_BLAME = {
    "reference_used": "reference",
    "reference_used_at_gateway": "reference",
    "opening_in_progress": "reference",
    "session_used": "session_id",
}
"""The field that an OpeningFailed is about, by its code."""


class WrongWish(Exception):
    """The body could be read and not accepted. `wrong` has everything that is, never empty."""

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        super().__init__("; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in wrong))
        self.wrong = wrong


async def track(
    openings: Openings, rules: Rules, merchant: Merchant, body: Any, *, payment_id: str, now: datetime
) -> Payment:
    """Take on the payment that a body of POST /v1/payments/track tells of. Raises WrongWish and OpeningFailed.

    OpeningFailed names `payment_id` as the payment in the way where an earlier try with that id made it.
    """
    account, wish = read_wish(TRACKED_PAYMENT, merchant, body)
    # The shop's checkout has passed the gateway's own limits; what matters here is what it will be asked by.
    found = account.provider.check(opening_of(payment_id, account, wish, rules.public_url))
    refuse(one for one in found if one.field == "reference")
    return await track_payment(openings, rules, row_of(payment_id, account, wish, now), kept(body))


def read_wish(shape: Shape, merchant: Merchant, body: Any) -> tuple[Account, PaymentWish]:
    """What is wished, and the merchant's account it names. Raises WrongWish with every wrong field."""
    wrong: list[Wrong] = []
    found = shape.read(body, wrong)
    account = next((account for account in merchant.accounts if account.id == found.get("account")), None)
    if account is None and "account" in found:
        wrong.append(Wrong("account", "you have no such account"))
    if account is None or wrong:
        raise WrongWish(wrong)
    return account, PaymentWish(**found)


def refuse(found: Iterable[FieldError]) -> None:
    """Raises WrongWish when a gateway's own limits found something."""
    wrong = [Wrong(one.field, one.message) for one in found]
    if wrong:
        raise WrongWish(wrong)


def row_of(payment_id: str, account: Account, wish: PaymentWish, now: datetime) -> Payment:
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


def opening_of(payment_id: str, account: Account, wish: PaymentWish, public_url: str) -> Opening:
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


def kept(body: Any) -> dict[str, Any]:
    """What is stored to tell an equal body from another one. As text, since jsonb would rewrite its numbers."""
    return {"body": canonical(body).decode()}
