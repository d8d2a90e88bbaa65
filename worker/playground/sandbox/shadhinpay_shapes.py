"""How ShadhinPay writes its answers: the envelope, its errors, and the payment object."""

from __future__ import annotations

from typing import Any

from worker.playground.sandbox.gateway_call import GatewayReply
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.times import iso_z

METADATA = ("valueA", "valueB", "valueC", "valueD")
WORDS = {
    "open": "PENDING",
    "paid": "COMPLETED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
    "expired": "EXPIRED",
    "refunded": "REFUNDED",
}


def payment(session: Session) -> dict[str, Any]:
    """The payment object of reads; `paymentUrl` is in the create answer."""
    body = session.body
    shown = {
        "paymentId": session.session_id,
        "merchantTxnId": session.reference,
        "amount": session.told_amount,
        "currency": session.told_currency,
        "status": WORDS[session.status],
        "vendor": body.get("preferredVendor") or ("BKASH" if session.paid else None),
        "description": body.get("description"),
        "refundTotal": session.refunded,
        "initiatedAt": iso_z(session.created_at),
        "completedAt": None if session.paid_at is None else iso_z(session.paid_at),
        "expiresAt": iso_z(session.expires_at),
    }
    return shown | {name: body[name] for name in METADATA if isinstance(body.get(name), str)}


def done(message: str, data: dict[str, Any], *, status: int = 200) -> GatewayReply:
    return GatewayReply(status=status, body={"status": "success", "message": message, "data": data})


def error(status: int, kind: str, message: str, data: dict[str, str] | None = None) -> GatewayReply:
    return GatewayReply(status=status, body={"status": "error", "errorType": kind, "message": message, "data": data})


def invalid_field(kind: str, field: str, message: str) -> GatewayReply:
    return error(400, kind, "Validation failed", {field: message})
