"""PayParse, simulated after its only page (https://gateway.payparse.site/docs): create, cancel, expiry.

Documented: the create call, its limits, `x-api-key`, bare redirects, an expired link leading to cancel_url. Invented,
because the page is silent: the error shape, which fields are mandatory (here amount, order_ref and both URLs), where a
failed attempt leads (cancel_url), refusing a reference that is already paid, and the whole status endpoint with its
words. The second key is a second merchant of the same gateway, for accounts that have no status check.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import ClassVar

from msgspec import Raw

from schemas.wire import Number
from worker.playground.sandbox import request_fields
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayRefusal, GatewayReply
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Change, Deed, Shows, SimulatedGateway, about_session
from worker.playground.sandbox.times import iso_ms_z

WORDS = {
    "open": "pending",
    "paid": "paid",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
    "refunded": "refunded",
}


class PayParse(SimulatedGateway):
    name = "payparse"
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]] = MappingProxyType(
        {
            "unknown_word": ((("status",), "under_review"),),
            "contradiction": ((("status",), "failed"),),
            "still_pending": ((("status",), "pending"),),
            "wrong_identity": (
                (("payment_id",), "00000000-0000-4000-8000-000000000000"),
                (("order_ref",), "not-yours"),
            ),
            "wrong_currency": ((("currency",), "USD"),),
            "wrong_amount": ((("amount",), Raw(b"1.00")),),
        }
    )

    shows: ClassVar[frozenset[Shows]] = frozenset({"second_payment", "full_refund"})

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        return (
            GatewayEndpoint(
                method="POST",
                path="/api/v1/order/create",
                kind="create",
                handler=self.create,
                about=lambda call: call.named("order_ref"),
            ),
            GatewayEndpoint(
                method="GET",
                path="/api/v1/order/{payment_id}/status",
                kind="status",
                handler=self.status,
                about=lambda call: about_session(self, call.path["payment_id"]),
            ),
        )

    def create(self, call: Call) -> GatewayReply:
        merchant = self._merchant(call)
        body = call.document()
        try:
            session = self._opened(body, merchant)
        except request_fields.WrongField as wrong:
            raise GatewayRefusal(self.failure(400, wrong.message)) from wrong
        self.sessions.save(session)
        answer = {
            "payment_id": session.session_id,
            "checkout_url": self.checkout_url(call.base, session.session_id),
            "expires_at": iso_ms_z(session.expires_at),
            "amount": Raw(session.amount.encode()),
            "currency": session.currency,
            "status": "pending",
        }
        return GatewayReply(status=201, body=answer)

    def status(self, call: Call) -> GatewayReply:
        merchant = self._merchant(call)
        session = self.sessions.get(self.name, call.path["payment_id"])
        if session is None or session.merchant != merchant:
            return self.not_found()
        answer = {
            "payment_id": session.session_id,
            "order_ref": session.reference,
            "status": WORDS[session.status],
            "amount": Raw(session.told_amount.encode()),
            "currency": session.told_currency,
            "transaction_id": session.transaction_id,
        }
        return GatewayReply(body=answer)

    def failure(self, status: int, message: str) -> GatewayReply:
        return GatewayReply(status=status, body={"message": message})

    def redirect(self, session: Session, deed: Deed) -> str:
        return str(session.body["success_url" if deed == "pay" else "cancel_url"])

    def closed_link(self, session: Session) -> str | None:
        """The cancel_url of an expired checkout, to which its link redirects by the documentation; else None."""
        return str(session.body["cancel_url"]) if session.status == "expired" else None

    def new_transaction_id(self, draw: Random) -> str:
        """An id in the form that the mobile wallets use."""
        return "".join(draw.choices("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=10))

    def _opened(self, body: dict[str, object], merchant: str) -> Session:
        if body.get("amount") is not None and not isinstance(body["amount"], Number):
            raise request_fields.WrongField("amount", "amount must be a number")
        amount = request_fields.amount(body.get("amount"), "amount", least="10.00", most="500000.00")
        reference = request_fields.field_text(body, "order_ref")
        seconds = request_fields.number_between(body, "expires_in", 300, 86_400, default=900)
        for name in ("success_url", "cancel_url"):
            request_fields.link(body, name)
        if any(earlier.paid for earlier in self.sessions.of(self.name, reference, merchant)):
            raise GatewayRefusal(self.failure(409, "order_ref has already been paid"))
        now = self.state.now()
        return Session(
            provider=self.name,
            session_id=str(uuid.UUID(int=self.draw(reference).getrandbits(128), version=4)),
            merchant=merchant,
            reference=reference,
            amount=amount,
            currency="BDT",
            body=body,
            created_at=now,
            expires_at=self.ends_at(reference, seconds),
        )

    def _merchant(self, call: Call) -> str:
        key = call.headers.get("x-api-key")
        for merchant, credential in (("checked", "api_key"), ("blind", "blind_api_key")):
            if key == self.config.credential(self.name, credential):
                return merchant
        raise GatewayRefusal(self.failure(401, "Invalid API key"))
