"""ShadhinPay, simulated after https://shadhinpay.com/docs/developers: payments, list, refunds, idempotency, webhooks.

Documented: headers, envelope, error types, fields, the list's filters, refunds answered 202, the signature over
`t=<t>.<body>`, six attempts, the test phone numbers. Invented: the list's envelope (`content`, `page`, `size`,
`totalElements`, `totalPages`), the hex writing of v1, a refund that is done as soon as it was accepted, remembering
only accepted requests by their idempotency key, and a limit of a day for expiresInMinutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar

from worker.playground.sandbox import request_fields, shadhinpay_list, shadhinpay_webhooks
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayRefusal, GatewayReply
from worker.playground.sandbox.money_back import give_back
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.shadhinpay_idempotency import remembered
from worker.playground.sandbox.shadhinpay_shapes import METADATA, done, error, invalid_field, payment
from worker.playground.sandbox.simulated_gateway import (
    Change,
    Deed,
    Happening,
    Impossible,
    Shows,
    SimulatedGateway,
    about_session,
)
from worker.playground.sandbox.times import drawn_moment

TEST_PHONES: Mapping[str, Deed] = MappingProxyType(
    {"01770618576": "fail", "01770618577": "walk_away", "01770618578": "cancel"}
)
BASE36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ShadhinPay(SimulatedGateway):
    name = "shadhinpay"
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]] = MappingProxyType(
        {
            trouble: tuple((("data", *where, field), value) for where in ((), ("content",)) for field, value in changes)
            for trouble, changes in {
                "unknown_word": (("status", "UNDER_REVIEW"),),
                "contradiction": (("status", "FAILED"),),
                "still_pending": (("status", "PENDING"),),
                "wrong_identity": (("paymentId", "PAY_20200101_NOTYRS"), ("merchantTxnId", "not-yours")),
                "wrong_currency": (("currency", "USD"),),
                "wrong_amount": (("amount", "1.00"),),
            }.items()
        }
    )

    shows: ClassVar[frozenset[Shows]] = frozenset({"part_refund", "full_refund"})

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        def about(call: Call) -> str | None:
            return about_session(self, call.path["payment_id"])

        one = "/payments/{payment_id}"
        return (
            GatewayEndpoint(
                method="POST",
                path="/payments",
                kind="create",
                handler=self.create,
                about=lambda call: call.named("merchantTxnId"),
            ),
            GatewayEndpoint(
                method="GET",
                path="/payments",
                kind="status",
                handler=self.listed,
                about=lambda call: call.query.get("merchantTxnId"),
            ),
            GatewayEndpoint(method="GET", path=one, kind="status", handler=self.status, about=about),
            GatewayEndpoint(method="POST", path=f"{one}/refunds", kind="refund", handler=self.refund, about=about),
        )

    def create(self, call: Call) -> GatewayReply:
        self._admit(call)
        key = call.headers.get("X-Idempotency-Key")
        if not key:
            raise GatewayRefusal(
                invalid_field("MISSING_REQUIRED_FIELD", "X-Idempotency-Key", "X-Idempotency-Key is required")
            )
        return remembered(self, f"payments {key}", call, lambda: self._create(call))

    def status(self, call: Call) -> GatewayReply:
        self._admit(call)
        return done("Payment retrieved successfully", payment(self._session(call)))

    def listed(self, call: Call) -> GatewayReply:
        self._admit(call)
        sessions = self.sessions.of(self.name, call.query.get("merchantTxnId"))
        try:
            found = shadhinpay_list.list_page(call.query, [payment(session) for session in sessions])
        except request_fields.WrongField as wrong:
            raise GatewayRefusal(invalid_field("VALIDATION_ERROR", wrong.field, wrong.message)) from wrong
        return done("Payments retrieved successfully", found)

    def refund(self, call: Call) -> GatewayReply:
        self._admit(call)
        key = call.headers.get("X-Idempotency-Key")
        if not key:
            return self._refund(call)
        return remembered(self, f"refunds {call.path['payment_id']} {key}", call, lambda: self._refund(call))

    def failure(self, status: int, message: str) -> GatewayReply:
        kinds = {
            401: "AUTHENTICATION_ERROR",
            404: "RESOURCE_NOT_FOUND",
            429: "RATE_LIMIT_EXCEEDED",
            503: "EXTERNAL_SERVICE_ERROR",
        }
        return error(
            status, kinds.get(status, "VALIDATION_ERROR" if status < 500 else "INTERNAL_SERVER_ERROR"), message
        )

    def conflict(self, message: str) -> GatewayReply:
        return error(409, "IDEMPOTENCY_CONFLICT", message)

    def redirect(self, session: Session, deed: Deed) -> str:
        del deed
        return str(session.body["callbackUrl"])

    def swayed(self, session: Session, deed: Deed) -> Deed:
        phone = str(session.body.get("customerPhone") or "").removeprefix("+").removeprefix("88")
        return TEST_PHONES.get(phone, deed) if deed == "pay" else deed

    def new_transaction_id(self, draw: Random) -> str:
        """The wallet's id, which ShadhinPay does not show."""
        return "".join(draw.choices(BASE36, k=10))

    def event_type(self, happening: Happening) -> str | None:
        return shadhinpay_webhooks.EVENTS[happening]

    def event_body(self, session: Session, happening: Happening, event_id: str) -> dict[str, Any]:
        return shadhinpay_webhooks.webhook_event(session, happening, event_id, at=self.state.now())

    def event_headers(
        self, body: bytes, event_id: str, event_type: str, *, at: int, attempt: int, secret: str
    ) -> dict[str, str]:
        del event_type
        return shadhinpay_webhooks.headers(body, event_id, at=at, attempt=attempt, secret=secret)

    def _create(self, call: Call) -> GatewayReply:
        body = call.document()
        try:
            session = self._opened(body)
        except request_fields.WrongField as wrong:
            kind = "INVALID_AMOUNT" if wrong.field == "amount" else "VALIDATION_ERROR"
            kind = "MISSING_REQUIRED_FIELD" if wrong.missing else kind
            raise GatewayRefusal(invalid_field(kind, wrong.field, wrong.message)) from wrong
        if self.sessions.latest(self.name, session.reference):
            raise GatewayRefusal(error(409, "DUPLICATE_RESOURCE", "merchantTxnId already exists"))
        self.sessions.save(session)
        shown = payment(session) | {"paymentUrl": self.checkout_url(call.base, session.session_id)}
        return done("Payment initiated successfully", shown, status=201)

    def _opened(self, body: dict[str, Any]) -> Session:
        request_fields.field_text(body, "amount")
        reference = request_fields.field_text(body, "merchantTxnId")
        amount = request_fields.amount(body["amount"], "amount", least="10", most="200000")
        if request_fields.field_text(body, "currency") != "BDT":
            raise request_fields.WrongField("currency", "currency must be BDT")
        request_fields.link(body, "callbackUrl")
        for name in ("customerPhone", "customerEmail", "description", *METADATA):
            request_fields.optional_field_text(body, name)
        if request_fields.optional_field_text(body, "preferredVendor") not in (None, "BKASH", "NAGAD"):
            raise request_fields.WrongField("preferredVendor", "preferredVendor must be BKASH or NAGAD")
        if not isinstance(body.get("isSandbox"), bool | None):
            raise request_fields.WrongField("isSandbox", "isSandbox must be a boolean")
        minutes = request_fields.number_between(body, "expiresInMinutes", 1, 1440, default=15)
        now, draw = self.state.now(), self.draw(reference)
        return Session(
            provider=self.name,
            session_id=f"PAY_{_day(draw)}_{''.join(draw.choices(BASE36, k=8))}",
            merchant="shop",
            reference=reference,
            amount=amount,
            currency="BDT",
            body=body,
            created_at=now,
            expires_at=self.ends_at(reference, minutes * 60),
        )

    def _refund(self, call: Call) -> GatewayReply:
        session, body = self._session(call), call.document()
        try:
            reason = request_fields.field_text(body, "reason")
            wanted = request_fields.optional_field_text(body, "amount")
            merchant_ref = request_fields.optional_field_text(body, "merchantRef")
        except request_fields.WrongField as wrong:
            kind = "MISSING_REQUIRED_FIELD" if wrong.missing else "VALIDATION_ERROR"
            raise GatewayRefusal(invalid_field(kind, wrong.field, wrong.message)) from wrong
        if session.status != "paid":
            raise GatewayRefusal(error(422, "REFUND_NOT_ALLOWED", "Only a COMPLETED payment can be refunded"))
        try:
            returned = give_back(self, session, wanted)
        except Impossible as why:
            raise GatewayRefusal(error(422, "BUSINESS_RULE_VIOLATION", str(why))) from why
        draw = self.draw(session.reference)
        refund = {
            "refundId": f"REF_{_day(draw)}_{''.join(draw.choices(BASE36, k=8))}",
            "paymentId": session.session_id,
            "amount": str(returned),
            "reason": reason,
            "merchantRef": merchant_ref,
            "status": "INITIATED",
        }
        return done("Refund initiated successfully", refund, status=202)

    def _session(self, call: Call) -> Session:
        session = self.sessions.get(self.name, call.path["payment_id"])
        if session is None:
            raise GatewayRefusal(self.failure(404, "Payment not found"))
        return session

    def _admit(self, call: Call) -> None:
        wrong = [
            header
            for header, credential in (("Client-Id", "client_id"), ("Business-Id", "business_id"))
            if call.headers.get(header) != self.config.credential(self.name, credential)
        ]
        if wrong:
            raise GatewayRefusal(error(401, "AUTHENTICATION_ERROR", f"Invalid {wrong[0]}"))
        if call.headers.get("X-Api-Key") != self.config.credential(self.name, "api_key"):
            raise GatewayRefusal(error(401, "INVALID_API_KEY", "Invalid API key"))


def _day(draw: Random) -> str:
    return f"{datetime.fromtimestamp(drawn_moment(draw), UTC):%Y%m%d}"
