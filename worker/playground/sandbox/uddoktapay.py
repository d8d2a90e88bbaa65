"""UddoktaPay, simulated: a shop's own installation, which takes money by the personal wallets of its owner.

Documented: the key's header, the opening's fields and answer, which names no invoice, the return with `invoice_id` by
POST or by GET as `return_type` says, the question by invoice, three words for its answer, ERROR with a message for an
unknown invoice, the webhook with the same key as its header. From the product's guide: a payment that waits for its
owner's approval, and a status that the owner edits by hand. Invented: everything unpaid is PENDING for ever; a return
after a failed try, which names the invoice as well; a cancel without any field; the webhook is sent when a payment
completes, and repeats the answer; the refusals' HTTP statuses; a refund changes nothing in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar

from worker.playground.sandbox import request_fields
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayRefusal, GatewayReply
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Change, Deed, Happening, Shows, SimulatedGateway
from worker.playground.sandbox.times import naive_seconds

KEY = "RT-UDDOKTAPAY-API-KEY"
LIFETIME = 30 * 60
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class UddoktaPay(SimulatedGateway):
    name = "uddoktapay"
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]] = MappingProxyType(
        {
            "unknown_word": ((("status",), "UNDER_REVIEW"),),
            "contradiction": ((("status",), "ERROR"),),
            "still_pending": ((("status",), "PENDING"),),
            "wrong_identity": ((("metadata",), {"reference": "not-your-order"}),),
            "wrong_amount": ((("amount",), "1.00"),),
        }
    )
    shows: ClassVar[frozenset[Shows]] = frozenset({"redirect_ids", "review"})

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        return (
            *(
                GatewayEndpoint(
                    method="POST", path=path, kind="create", handler=self.create, about=lambda call: _reference(call)
                )
                for path in ("/api/checkout-v2", "/api/checkout-v2/global")
            ),
            GatewayEndpoint(
                method="POST",
                path="/api/verify-payment",
                kind="status",
                handler=self.verify,
                about=lambda call: self._about(call.named("invoice_id")),
            ),
        )

    def create(self, call: Call) -> GatewayReply:
        self._admit(call)
        body = call.document()
        try:
            session = self._opened(body, _reference(call))
        except request_fields.WrongField as wrong:
            raise GatewayRefusal(self.failure(422, wrong.message)) from wrong
        self.sessions.save(session)
        url = self.checkout_url(call.base, session.session_id)
        return GatewayReply(body={"status": True, "message": "Payment Url", "payment_url": url})

    def verify(self, call: Call) -> GatewayReply:
        self._admit(call)
        session = self.sessions.noted(self.name, "invoice_id", call.named("invoice_id") or "")
        return self.not_found() if session is None else GatewayReply(body=_told(session))

    def failure(self, status: int, message: str) -> GatewayReply:
        return GatewayReply(status=status, body={"status": False, "message": message})

    def not_found(self) -> GatewayReply:
        return GatewayReply(body={"status": "ERROR", "message": "Invoice ID not found"})

    def redirect(self, session: Session, deed: Deed) -> str:
        url = str(session.body["redirect_url"])
        if deed == "cancel":
            return str(session.body.get("cancel_url") or url)
        if self._by_form(session):
            return url
        return f"{url}{'&' if '?' in url else '?'}invoice_id={session.notes['invoice_id']}"

    def posted(self, session: Session, deed: Deed) -> Mapping[str, str] | None:
        by_form = deed != "cancel" and self._by_form(session)
        return {"invoice_id": session.notes["invoice_id"]} if by_form else None

    def another(self, session: Session, reference: str) -> Session:
        return self._opened({**session.body, "metadata": {"reference": reference}}, reference)

    def new_transaction_id(self, draw: Random) -> str:
        return "".join(draw.choices(LETTERS, k=10))

    def secret(self) -> str:
        return self.config.credential(self.name, "api_key")

    def event_url(self, session: Session) -> str | None:
        return session.body.get("webhook_url")

    def event_type(self, happening: Happening) -> str | None:
        return "webhook" if happening == "paid" else None

    def event_body(self, session: Session, happening: Happening, event_id: str) -> dict[str, Any]:
        del event_id
        return _told(session) | ({"status": "COMPLETED"} if happening == "paid" else {})

    def event_headers(
        self, body: bytes, event_id: str, event_type: str, *, at: int, attempt: int, secret: str
    ) -> dict[str, str]:
        """The key itself is the header: no signature, and no time."""
        del body, event_id, event_type, at, attempt
        return {KEY: secret}

    def _opened(self, body: dict[str, Any], reference: str | None) -> Session:
        for name in ("full_name", "email"):
            request_fields.field_text(body, name, most=255)
        metadata = body.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            raise request_fields.WrongField("metadata", "metadata must be an object")
        request_fields.link(body, "redirect_url")
        for name in ("cancel_url", "webhook_url"):
            if body.get(name) is not None:
                request_fields.link(body, name)
        if request_fields.optional_field_text(body, "return_type") not in (None, "GET", "POST"):
            raise request_fields.WrongField("return_type", "return_type must be GET or POST")
        draw = self.draw(reference or "")
        page, invoice = (f"{draw.getrandbits(128):032x}" for _ in range(2))
        reference = reference or f"invoice-{invoice[:8]}"
        return Session(
            provider=self.name,
            session_id=page,
            merchant="shop",
            reference=reference,
            amount=request_fields.amount(body.get("amount"), "amount", least="0.01", most="999999999.99"),
            currency="BDT",
            body=body,
            notes={"invoice_id": invoice},
            created_at=self.state.now(),
            expires_at=self.ends_at(reference, LIFETIME),
        )

    def _about(self, invoice_id: str | None) -> str | None:
        session = self.sessions.noted(self.name, "invoice_id", invoice_id or "")
        return session.reference if session else None

    def _by_form(self, session: Session) -> bool:
        return session.body.get("return_type") != "GET"

    def _admit(self, call: Call) -> None:
        if call.headers.get(KEY) != self.config.credential(self.name, "api_key"):
            raise GatewayRefusal(self.failure(401, "Unauthorized Action"))


def _reference(call: Call) -> str | None:
    """The text `reference` of the metadata, else its `order_id`."""
    metadata = call.document().get("metadata")
    given = [metadata.get(name) for name in ("reference", "order_id")] if isinstance(metadata, dict) else []
    return next((name for name in given if isinstance(name, str) and name), None)


def _told(session: Session) -> dict[str, Any]:
    paid = session.paid
    return {
        "full_name": session.body["full_name"],
        "email": session.body["email"],
        "amount": session.told_amount,
        "fee": "0.00",
        "charged_amount": session.told_amount,
        "invoice_id": session.notes["invoice_id"],
        "metadata": session.body.get("metadata"),
        "payment_method": "bkash" if paid else None,
        "sender_number": "01770618575" if paid else None,
        "transaction_id": session.transaction_id if paid else None,
        "date": naive_seconds(session.paid_at or session.created_at),
        "status": "COMPLETED" if paid else "PENDING",
    }
