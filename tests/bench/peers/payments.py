"""The parts that both peers share: a claim's payment, the check of a gateway's answer, the writes, and the event.

These are Core statements on indexed columns, and no more of them than a sound service needs. What is written is
durable, deduplicated and published once, as far as a good team gets with it in a week.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Select, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from tests.bench.peers.tables import CLAIMS, EVENTS, PAYMENTS

EXCHANGE = "payproof.events"


class Places(Struct, frozen=True, kw_only=True):
    """The servers' URLs, each in the form that its own client takes."""

    database: str
    broker: str
    gateway: str

    @staticmethod
    def told() -> Places:
        """The places that the parent process passed on."""
        read = os.environ
        return Places(database=read["PEER_DATABASE"], broker=read["PEER_BROKER"], gateway=read["PEER_GATEWAY"])

    def engine_url(self, driver: str) -> str:
        return self.database.replace("postgresql://", f"postgresql+{driver}://", 1)


class Claim(BaseModel):
    """The fields of a claim's message that the peers need."""

    model_config = ConfigDict(frozen=True)

    id: str
    provider: str
    payment_id: str | None = None
    reference: str | None = None
    transaction_id: str | None = None


class Mismatch(Exception):
    """The gateway's answer is about another payment, or does not say that the payment is paid."""


def payment_of(claim: Claim) -> Select[Any]:
    if claim.payment_id is not None:
        return select(PAYMENTS).where(PAYMENTS.c.id == claim.payment_id)
    return select(PAYMENTS).where(PAYMENTS.c.reference == claim.reference)


def question(claim: Claim, payment: Row[Any]) -> str:
    """The path of the gateway's status API."""
    match claim.provider:
        case "shadhinpay":
            return f"/shadhinpay/payments/{payment.session_id}"
        case "moneybag":
            return f"/moneybag/payments/verify/{claim.transaction_id}"
        case _:
            return f"/ipay/order/{payment.session_id}/status"


def transaction_in(claim: Claim, payment: Row[Any], answer: Mapping[str, Any]) -> str:
    """The transaction that paid it, if the gateway says so for the right payment and money. Raises Mismatch."""
    if claim.provider == "ipay":
        paid, reference, amount = answer["statusCode"] == 200, answer["referenceId"], answer["orderAmount"]
        currency, transaction_id = "BDT", answer["transactionId"]
    else:
        data = answer["data"]
        paid = data["status"] in {"COMPLETED", "SUCCESS"}
        reference = data["merchantTxnId"] if claim.provider == "shadhinpay" else data["order_id"]
        amount, currency = data["amount"], data["currency"]
        transaction_id = data["transactionId"] if claim.provider == "shadhinpay" else data["transaction_id"]
    if not paid or reference != payment.reference or currency != payment.currency or Decimal(amount) != payment.amount:
        raise Mismatch(payment.id)
    return str(transaction_id)


def seen(claim: Claim, payment: Row[Any], answer: str) -> ReturningInsert[Any]:
    """No row comes back for a claim that was processed before."""
    made = insert(CLAIMS).values(id=claim.id, payment_id=payment.id, answer=answer)
    return made.on_conflict_do_nothing().returning(CLAIMS.c.id)


def completed(payment: Row[Any], transaction_id: str, at: datetime) -> ReturningUpdate[Any]:
    """No row comes back for a payment that is completed already."""
    made = update(PAYMENTS).where(PAYMENTS.c.id == payment.id, PAYMENTS.c.status == "pending")
    return made.values(status="completed", transaction_id=transaction_id, completed_at=at).returning(PAYMENTS.c.id)


def told(payment: Row[Any], body: str) -> Insert:
    return insert(EVENTS).values(id=f"{payment.id}.2", payment_id=payment.id, body=body)


def telling(payment: Row[Any]) -> Select[Any]:
    """Select the event of a payment that was completed before.

    It may not have reached the broker, so it is sent again.
    """
    return select(EVENTS.c.body).where(EVENTS.c.payment_id == payment.id)


def routing_key(payment: Row[Any]) -> str:
    return f"payment.completed.shop.{payment.account}"


def event(claim: Claim, payment: Row[Any], transaction_id: str, at: datetime) -> str:
    """A CloudEvent with a snapshot of the payment, about as large as payproof's own."""
    now = at.isoformat()
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"{payment.id}.2",
            "type": "payment.completed",
            "source": f"/payproof/shop/{payment.account}",
            "subject": payment.id,
            "time": now,
            "datacontenttype": "application/json",
            "dataschema": "https://pay.shop.example/schemas/payment-1.json",
            "data": {
                "payment_id": payment.id,
                "merchant": "shop",
                "account": payment.account,
                "provider": claim.provider,
                "reference": payment.reference,
                "order": payment.reference,
                "status": "completed",
                "version": 2,
                "hold": None,
                "late": False,
                "amount": str(payment.amount),
                "currency": payment.currency,
                "amount_verified": True,
                "refunded_amount": "0.00",
                "fee": None,
                "method": None,
                "risk": None,
                "session_id": payment.session_id,
                "transaction_id": transaction_id,
                "checkout_url": f"https://gateway.example/pay/{payment.session_id}",
                "description": f"Order {payment.reference}",
                "metadata": {"cart": "7f3a"},
                "opened_at": payment.opened_at.isoformat(),
                "completed_at": now,
                "checked_at": now,
            },
        }
    )


def now() -> datetime:
    return datetime.now(UTC)
