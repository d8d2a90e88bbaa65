"""iPay Bangladesh 1.2.1, simulated after https://www.ipay.com.bd/developers: order, status by either id, redirects.

Documented: the key's header, fields and limits, 401 and 409 with `message`, a `paymentUrl` without scheme, exact
redirect URLs, statusCode 200 for paid, transaction fields that are null until then, 15 minutes.

Invented, because the public pages lost their table: every other statusCode and its label (100 created, 300 cancelled,
400 failed, 408 expired), 400 for wrong fields, 404 for unknown ids. Clients read two fields that no documentation has:
`orderAmount`, left out where the sandbox is configured so, unless a test had another amount paid; and `errorMessage`,
which repeats `message`.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar

from msgspec import Raw

from schemas.wire import Number
from worker.playground.sandbox import request_fields
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayRefusal, GatewayReply
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Change, Deed, Path, Shows, SimulatedGateway, about_session
from worker.playground.sandbox.times import bangladesh_time

LIFETIME = 15 * 60
WORDS = {
    "open": (100, "Order created"),
    "paid": (200, "Successfully paid"),
    "refunded": (200, "Successfully paid"),
    "cancelled": (300, "Cancelled by member"),
    "failed": (400, "Payment failed"),
    "expired": (408, "Order expired"),
}
URLS = ("successCallbackUrl", "failureCallbackUrl", "cancelCallbackUrl")


class IPay(SimulatedGateway):
    name = "ipay"
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]] = MappingProxyType(
        {
            "unknown_word": ((("statusCode",), 299), (("status",), "Under review")),
            "contradiction": ((("statusCode",), 400), (("status",), "Payment failed")),
            "still_pending": ((("statusCode",), 100), (("status",), "Payment not done yet")),
            "wrong_identity": ((("orderId",), "IPAY-00000000"), (("referenceId",), "not-yours")),
            "wrong_amount": ((("orderAmount",), Raw(b"1.00")),),
        }
    )
    adds: ClassVar[frozenset[Path]] = frozenset({("orderAmount",)})

    shows: ClassVar[frozenset[Shows]] = frozenset({"second_payment"})

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        return (
            GatewayEndpoint(
                method="POST",
                path="/order",
                kind="create",
                handler=self.create,
                about=lambda call: call.named("referenceId"),
            ),
            GatewayEndpoint(
                method="GET",
                path="/order/referenceId/{reference}/status",
                kind="status",
                handler=self.status_by_reference,
                about=lambda call: call.path["reference"],
            ),
            GatewayEndpoint(
                method="GET",
                path="/order/{order_id}/status",
                kind="status",
                handler=self.status_by_order,
                about=lambda call: about_session(self, call.path["order_id"]),
            ),
        )

    def create(self, call: Call) -> GatewayReply:
        self._admit(call)
        body = call.document()
        try:
            session = self._opened(body)
        except request_fields.WrongField as wrong:
            raise GatewayRefusal(self.failure(400, wrong.message)) from wrong
        if self.sessions.latest(self.name, session.reference):
            raise GatewayRefusal(self.failure(409, f"Reference Id '{session.reference}' has already been used"))
        self.sessions.save(session)
        answer = {
            "message": "Order placed successfully",
            "orderId": session.session_id,
            "paymentUrl": self.checkout_url(call.base, session.session_id).partition("://")[2],
            "referenceId": session.reference,
        }
        return GatewayReply(body=answer)

    def status_by_reference(self, call: Call) -> GatewayReply:
        self._admit(call)
        return self._status(self.sessions.latest(self.name, call.path["reference"]))

    def status_by_order(self, call: Call) -> GatewayReply:
        self._admit(call)
        return self._status(self.sessions.get(self.name, call.path["order_id"]))

    def failure(self, status: int, message: str) -> GatewayReply:
        told = "Invalid API key" if status == 401 else message
        return GatewayReply(status=status, body={"message": told, "errorMessage": told})

    def redirect(self, session: Session, deed: Deed) -> str:
        return str(session.body[URLS[0] if deed == "pay" else URLS[1] if deed == "fail" else URLS[2]])

    def new_transaction_id(self, draw: Random) -> str:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        return f"{draw.randrange(10, 32)}{draw.choice(letters)}{draw.randrange(10)}-{draw.randrange(10**8):08d}"

    def _status(self, session: Session | None) -> GatewayReply:
        if session is None:
            return self.not_found()
        code, label = WORDS[session.status]
        answer: dict[str, Any] = {
            "statusCode": code,
            "status": label,
            "orderId": session.session_id,
            "referenceId": session.reference,
            "transactionId": session.transaction_id if session.paid else None,
            "transactionTime": None if session.paid_at is None else bangladesh_time(session.paid_at),
        }
        if self.config.ipay_order_amount or session.paid_amount is not None:
            answer["orderAmount"] = Raw(session.told_amount.encode())
        return GatewayReply(body=answer)

    def _opened(self, body: dict[str, Any]) -> Session:
        if body.get("amount") is not None and not isinstance(body["amount"], Number):
            raise request_fields.WrongField("amount", "amount must be a number")
        amount = request_fields.amount(body.get("amount"), "amount", least="0.01", most="999999999.99")
        reference = request_fields.field_text(body, "referenceId", most=50)
        request_fields.field_text(body, "description", most=255)
        for name in URLS:
            request_fields.link(body, name, most=512)
        now = self.state.now()
        return Session(
            provider=self.name,
            session_id=f"IPAY-{self.draw(reference).randrange(10**11):011d}",
            merchant="shop",
            reference=reference,
            amount=amount,
            currency="BDT",
            body=body,
            created_at=now,
            expires_at=self.ends_at(reference, LIFETIME),
        )

    def _admit(self, call: Call) -> None:
        if call.headers.get("Authorization") != f"Bearer {self.config.credential(self.name, 'api_key')}":
            raise GatewayRefusal(self.failure(401, "Invalid API key"))
