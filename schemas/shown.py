"""The shapes that shops get: the payment, and the CloudEvents 1.0 envelope of an event about it.

API, event log, RabbitMQ and webhooks all send these two shapes, and the published schemas are made from them. So the
meaning and the format of each field are documented here alone.

Only additions are compatible. The schemas are published and stay open, so a new field breaks no reader. Removing a
field, making it null, or adding a word to a closed list breaks readers. The lists of statuses, holds and event types
are closed. A test compares the schemas with the released ones.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.payments import Payment
from schemas.words import EventType, Hold, Risk, Status

PAYMENT_SCHEMA = "/schemas/payment-1.json"
EVENT_SCHEMA = "/schemas/event-1.json"
PAYMENT_ID = "pay_[0-9a-z]{26}"
"""The pattern of a payment's id. A check of the table repeats it."""
TRACEPARENT = "00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
EVENT_ID = PAYMENT_ID + r"\.[1-9][0-9]*"
WEBHOOK_ID = "wh_[0-9a-f]{12}"
CLOUD_EVENT = "application/cloudevents+json"

ShownMoney = Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]{2}$", examples=["1500.50"])]
ShownFee = Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]{2,4}$", examples=["22.5075"])]
ShownTime = Annotated[datetime, Meta(tz=True)]
Traceparent = Annotated[str, Meta(pattern=f"^{TRACEPARENT}$")]
ShownId = Annotated[str, Meta(pattern=f"^{PAYMENT_ID}$")]

_PAYMENT_ID, _TRACEPARENT = re.compile(PAYMENT_ID), re.compile(TRACEPARENT)


class PaymentView(Struct, frozen=True, kw_only=True):
    """A payment as it stands; amounts are decimal strings, times are in UTC. Act on `status` and `hold` together."""

    payment_id: Annotated[ShownId, Meta(description="Ours, and the buyer's ticket where it stands in a path.")]
    merchant: Annotated[str, Meta(description="Whose payment it is, as configured.")]
    account: Annotated[str, Meta(description="The merchant's account at a gateway, as configured.")]
    provider: Annotated[str, Meta(description="The gateway. The list grows.", examples=["ipay", "moneybag"])]
    reference: Annotated[str, Meta(description="The shop's own name for this attempt; unique per account.")]
    order: Annotated[str | None, Meta(description="Groups the attempts to pay one order.")]
    status: Status
    version: Annotated[
        int, Meta(ge=0, description="Rises with every event; drop what is not newer than what you acted on.")
    ]
    hold: Annotated[Hold | None, Meta(description="Why the payment waits beside its status; null when it does not.")]
    late: Annotated[bool, Meta(description="Completed after an event said that it expired, failed or was cancelled.")]
    amount: Annotated[ShownMoney, Meta(description="What was to be paid.")]
    currency: Annotated[str, Meta(description="ISO 4217.", examples=["BDT"])]
    amount_verified: Annotated[bool, Meta(description="Whether the gateway named the amount, and it agreed.")]
    refunded_amount: Annotated[
        ShownMoney,
        Meta(description="What went back so far. Once all that came went back, the status is `refunded`."),
    ]
    fee: Annotated[ShownFee | None, Meta(description="What the gateway kept, where it tells.")]
    method: Annotated[
        str | None, Meta(description="How the buyer pays or paid, where it is known.", examples=["bkash"])
    ]
    risk: Annotated[
        Risk | None,
        Meta(description="How the gateway rates the money that came, where it tells. At `high`, look before you ship."),
    ]
    session_id: Annotated[str | None, Meta(description="The gateway's id of the checkout. Null until it gives one.")]
    transaction_id: Annotated[str | None, Meta(description="The gateway's id of the money's movement.")]
    checkout_url: Annotated[str | None, Meta(description="Where the buyer pays.")]
    description: Annotated[str, Meta(description="What is paid for, as the shop put it.")]
    metadata: Annotated[dict[str, str], Meta(description="The shop's own, given back as it came.")]
    opened_at: Annotated[ShownTime, Meta(description="When we were asked to expect it.")]
    expires_at: Annotated[ShownTime, Meta(description="Until when it can be paid; later money counts all the same.")]
    completed_at: Annotated[
        ShownTime | None, Meta(description="When it was paid by the gateway's clock, else when the gateway said so.")
    ]
    checked_at: Annotated[ShownTime | None, Meta(description="When the gateway last gave a conclusive answer.")]


class PaymentEvent(Struct, frozen=True, kw_only=True):
    """CloudEvents 1.0, structured JSON: a full snapshot of the payment after a change.

    Act on `data.status` and `data.hold`, and drop what is not newer, by `data.version`, than what you acted on. It
    comes at least once; who takes a single type drops repeats by `id`.
    """

    specversion: Literal["1.0"]
    id: Annotated[
        str, Meta(pattern=f"^{EVENT_ID}$", description="`<payment_id>.<version>`; one id has one content for ever.")
    ]
    type: EventType
    source: Annotated[str, Meta(pattern="^/payproof/[^/]+/[^/]+$", description="`/payproof/<merchant>/<account>`.")]
    subject: Annotated[ShownId, Meta(description="The payment's id.")]
    time: Annotated[ShownTime, Meta(description="When it was recorded.")]
    datacontenttype: Literal["application/json"]
    dataschema: Annotated[str, Meta(pattern=r"/schemas/payment-1\.json$", description="Where `data` is described.")]
    data: PaymentView
    traceparent: Annotated[
        Traceparent | UnsetType,
        Meta(description="CloudEvents' distributed tracing: the trace of what led to it; absent where none is."),
    ] = UNSET


class TrialMessage(Struct, frozen=True, kw_only=True):
    """No payment: a text for the person who tries the endpoint."""

    message: str


class TrialEvent(Struct, frozen=True, kw_only=True):
    """CloudEvents 1.0, structured JSON: the event of `payproof webhooks test`, signed as every webhook is.

    It is about no payment. Answer it with 2xx, as every `type` that you do not know.
    """

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(pattern="^test_[0-9a-f]{16}$")]
    type: Literal["payproof.test"]
    source: Annotated[str, Meta(pattern="^/payproof/[^/]+$", description="`/payproof/<merchant>`.")]
    time: Annotated[ShownTime, Meta(description="When it was made.")]
    datacontenttype: Literal["application/json"]
    data: TrialMessage


def view(payment: Payment) -> PaymentView:
    return PaymentView(
        payment_id=payment.id,
        merchant=payment.merchant,
        account=payment.account,
        provider=payment.provider,
        reference=payment.reference,
        order=payment.order_ref,
        status=payment.status,
        version=payment.version,
        hold=payment.hold,
        late=payment.late,
        amount=f"{payment.amount:.2f}",
        currency=payment.currency,
        amount_verified=payment.amount_verified,
        refunded_amount=f"{payment.refunded_amount:.2f}",
        fee=None if payment.fee is None else _fee(payment.fee),
        method=payment.method,
        risk=payment.risk,
        session_id=payment.session_id,
        transaction_id=payment.transaction_id,
        checkout_url=payment.checkout_url,
        description=payment.description,
        metadata=payment.metadata,
        opened_at=payment.opened_at,
        expires_at=payment.expires_at,
        completed_at=payment.completed_at,
        checked_at=payment.checked_at,
    )


def is_payment_id(text: str) -> bool:
    """Whether the text can be the id of a payment. Only such a text is sent to the database as an id."""
    return _PAYMENT_ID.fullmatch(text) is not None


def is_traceparent(text: str) -> bool:
    """Whether the text is a W3C `traceparent`, as events show it."""
    return _TRACEPARENT.fullmatch(text) is not None


def _fee(fee: Decimal) -> str:
    """The fee with two to four decimals: gateways charge in hundredths of a paisa."""
    whole, _, decimals = f"{fee:.4f}".partition(".")
    return f"{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"
