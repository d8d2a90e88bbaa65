"""How EPS writes its answers: its words for a payment, the flat status answer, and a refused opening."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from worker.playground.sandbox.gateway_call import GatewayReply
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.times import naive_dhaka

FEE = Decimal("0.02")
WORDS = {
    "open": "PENDING",
    "paid": "SUCCESS",
    "failed": "FAILED",
    "cancelled": "CANCELED",
    "expired": "EXPIRED",
    "refunded": "SUCCESS",
}


def told(session: Session) -> dict[str, Any]:
    """The status answer. `PaymentReferance` is EPS's own spelling."""
    amount = Decimal(session.told_amount)
    return {
        "Status": WORDS[session.status],
        "MerchantTransactionId": session.reference,
        "EPSTransactionId": session.transaction_id,
        "TotalAmount": f"{amount:.2f}",
        "StoreAmount": f"{amount * (1 - FEE):.2f}",
        "FinancialEntity": "bKash" if session.paid else None,
        "TransactionDate": naive_dhaka(session.paid_at or session.created_at),
        "CustomerId": str(uuid.uuid5(uuid.NAMESPACE_URL, session.body["customerPhone"])),
        "PaymentReferance": session.session_id,
        **{name: session.body.get(name[0].lower() + name[1:]) for name in ("ValueA", "ValueB", "ValueC", "ValueD")},
    }


def opening_refused(message: str) -> GatewayReply:
    """A refused opening: a message, and no address."""
    answer = {"TransactionId": "", "RedirectURL": "", "ErrorMessage": message}
    return GatewayReply(body=answer | {"ErrorCode": "400", "FinancialEntityList": None})
