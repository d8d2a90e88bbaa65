"""Moneybag API v2, simulated after its checkout page and its public OpenAPI.

A payment is asked for by a transaction id alone, and a transaction is made when the buyer first acts. Where the two
sources differ the stricter is taken: order_id of 10 to 30 characters, amounts of 10.00 to 500,000.00 as strings with
two decimals, all seven customer fields, a description. Documented or observed besides: 500 for an explicit null, naive
Dhaka times, four decimals and a charge of 1.5 % in verify, redirects with three parameters, the webhook's headers and
signature over `<timestamp>.<body>`. Invented: http callback URLs are taken (there is no https on loopback), 409 for an
order that is already paid, the webhook's body and event names, the form posted to `ipn_url`, `verified` staying true
after a refund, and a partial refund leaving SUCCESS.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlencode

from msgspec.structs import replace

from worker.playground.sandbox import request_fields
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayRefusal, GatewayReply
from worker.playground.sandbox.moneybag_opening import CUSTOMER, KNOWN, checked_amount
from worker.playground.sandbox.sessions import Session, Standing, Transaction
from worker.playground.sandbox.simulated_gateway import Change, Deed, Happening, Shows, SimulatedGateway, about_session
from worker.playground.sandbox.times import drawn_moment, naive_dhaka

LIFETIME = 30 * 60
CHARGE = Decimal("0.015")
WORDS = {
    "open": "PENDING",
    "paid": "SUCCESS",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
    "expired": "EXPIRED",
    "refunded": "REFUNDED",
}
EVENTS: Mapping[Happening, str] = MappingProxyType(
    {
        "paid": "payment.success",
        "failed": "payment.failed",
        "cancelled": "payment.cancelled",
        "expired": "payment.expired",
        "refunded": "payment.refunded",
    }
)


class Moneybag(SimulatedGateway):
    name = "moneybag"
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]] = MappingProxyType(
        {
            "unknown_word": ((("data", "status"), "UNDER_REVIEW"),),
            "contradiction": ((("data", "status"), "FAILED"), (("data", "verified"), False)),
            "still_pending": ((("data", "status"), "PENDING"), (("data", "verified"), False)),
            "wrong_identity": ((("data", "order_id"), "not-your-order"),),
            "wrong_currency": ((("data", "currency"), "USD"),),
            "wrong_amount": ((("data", "amount"), "1.0000"),),
        }
    )

    shows: ClassVar[frozenset[Shows]] = frozenset({"redirect_ids", "second_payment", "full_refund"})

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        return (
            GatewayEndpoint(
                method="POST",
                path="/payments/checkout",
                kind="create",
                handler=self.create,
                about=lambda call: call.named("order_id"),
            ),
            GatewayEndpoint(
                method="GET",
                path="/payments/verify/{transaction_id}",
                kind="status",
                handler=self.verify,
                about=self._about,
            ),
        )

    def create(self, call: Call) -> GatewayReply:
        self._admit(call)
        body = call.document()
        if any(value is None for value in body.values()):
            raise GatewayRefusal(self.failure(500, "Internal server error"))
        unknown = sorted(set(body) - KNOWN)
        if unknown:
            detail = {"loc": ["body", unknown[0]], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}
            raise GatewayRefusal(GatewayReply(status=422, body={"detail": [detail]}))
        try:
            session = self._opened(body)
        except request_fields.WrongField as wrong:
            raise GatewayRefusal(_error(400, "INVALID_REQUEST", wrong.message, field=wrong.field)) from wrong
        if any(earlier.paid for earlier in self.sessions.of(self.name, session.reference)):
            raise GatewayRefusal(_error(409, "DUPLICATE_TRANSACTION", "Duplicate transaction ID", field="order_id"))
        self.sessions.save(session)
        data = {
            "checkout_url": self.checkout_url(call.base, session.session_id),
            "session_id": session.session_id,
            "expires_at": naive_dhaka(session.expires_at),
        }
        return GatewayReply(body={"success": True, "data": data, "message": "Checkout session created"})

    def verify(self, call: Call) -> GatewayReply:
        self._admit(call)
        made = self.sessions.transaction(self.name, call.path["transaction_id"])
        session = None if made is None else self.sessions.get(self.name, made.session_id)
        if made is None or session is None:
            return self.not_found()
        standing = _standing(made, session)
        amount = Decimal(made.amount)
        data = {
            "transaction_id": made.transaction_id,
            "order_id": session.reference,
            "verified": standing in ("paid", "refunded"),
            "status": WORDS[standing],
            "amount": f"{amount:.4f}",
            "currency": made.currency,
            "charge_amount": f"{amount * CHARGE:.4f}",
            "payment_method": "BKASH",
            "payment_reference_id": session.notes["payment_reference_id"],
            "customer": {name: session.body["customer"][name] for name in CUSTOMER} | {"metadata": {}},
        }
        meta = {"timestamp": naive_dhaka(self.state.now()), "status_code": 200}
        message = "Payment verification details retrieved"
        return GatewayReply(body={"success": True, "message": message, "data": data, "meta": meta})

    def failure(self, status: int, message: str) -> GatewayReply:
        codes = {401: "UNAUTHORIZED", 404: "NOT_FOUND", 429: "RATE_LIMIT_EXCEEDED", 503: "SERVICE_UNAVAILABLE"}
        return _error(status, codes.get(status, "INVALID_REQUEST" if status < 500 else "INTERNAL_ERROR"), message)

    def redirect(self, session: Session, deed: Deed) -> str:
        name, word = {"pay": ("success_url", "SUCCESS"), "fail": ("fail_url", "FAILED")}.get(
            deed, ("cancel_url", "CANCELLED")
        )
        url = str(session.body[name])
        query = {"transaction_id": session.transaction_id or "", "status": word, "order_id": session.reference}
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"

    def end(self, session: Session, status: Standing) -> Session:
        return self._attempted(replace(session, status=status), status)

    def walk_away(self, session: Session) -> Session:
        """The buyer chose a way to pay, which made a transaction, and left."""
        return self._attempted(session, "open")

    def another(self, session: Session, reference: str) -> Session:
        return self._opened({**session.body, "order_id": reference})

    def new_transaction_id(self, draw: Random) -> str:
        return f"txn{draw.getrandbits(128):032x}"

    def event_type(self, happening: Happening) -> str | None:
        return EVENTS[happening]

    def event_body(self, session: Session, happening: Happening, event_id: str) -> dict[str, Any]:
        del event_id
        data = {
            "transaction_id": session.transaction_id or self.new_transaction_id(self.draw(session.reference)),
            "order_id": session.reference,
            "amount": session.told_amount,
            "status": WORDS[happening],
        }
        return {"event_type": EVENTS[happening], "data": data}

    def event_headers(
        self, body: bytes, event_id: str, event_type: str, *, at: int, attempt: int, secret: str
    ) -> dict[str, str]:
        del attempt
        signed = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
        return {
            "X-Webhook-Signature": f"sha256={signed}",
            "X-Webhook-Timestamp": str(at),
            "X-Webhook-Event-Type": event_type,
            "X-Webhook-Event-Id": event_id,
        }

    def notification(self, session: Session, happening: Happening) -> tuple[str, dict[str, str]] | None:
        url = session.body.get("ipn_url")
        if url is None or session.transaction_id is None:  # the buyer never tried to pay, so there is no transaction
            return None
        return str(url), {
            "transaction_id": session.transaction_id,
            "status": WORDS[happening],
            "order_id": session.reference,
        }

    def _attempted(self, session: Session, status: Standing) -> Session:
        session = replace(session, transaction_id=self.new_transaction_id(self.draw(session.reference)))
        self.book(session, status)
        return self.sessions.save(session)

    def _opened(self, body: dict[str, Any]) -> Session:
        amount = checked_amount(body)
        now, draw = self.state.now(), self.draw(body["order_id"])
        return Session(
            provider=self.name,
            session_id=f"ps{draw.randrange(10**15, 10**16)}",
            merchant="shop",
            reference=body["order_id"],
            amount=amount,
            currency=body["currency"],
            body=body,
            notes={"payment_reference_id": f"TR0011{draw.getrandbits(32):08X}{int(drawn_moment(draw) * 1000)}"},
            created_at=now,
            expires_at=self.ends_at(body["order_id"], LIFETIME),
        )

    def _about(self, call: Call) -> str | None:
        made = self.sessions.transaction(self.name, call.path["transaction_id"])
        return None if made is None else about_session(self, made.session_id)

    def _admit(self, call: Call) -> None:
        if call.headers.get("X-Merchant-API-Key") != self.config.credential(self.name, "api_key"):
            raise GatewayRefusal(self.failure(401, "Invalid API key"))


def _standing(made: Transaction, session: Session) -> Standing:
    """A transaction's status follows its session's where time or a refund moved that."""
    if made.status == "open" and session.status == "expired":
        return "expired"
    if made.status == "paid" and session.status == "refunded" and made.transaction_id == session.transaction_id:
        return "refunded"
    return made.status


def _error(status: int, code: str, message: str, *, field: str | None = None) -> GatewayReply:
    error = {"code": code, "message": message, "request_id": hashlib.sha256(message.encode()).hexdigest()[:16]}
    return GatewayReply(status=status, body={"success": False, "error": error | ({"field": field} if field else {})})
