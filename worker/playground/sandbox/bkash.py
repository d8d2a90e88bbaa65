"""bKash's tokenized checkout, simulated with its own paths, headers, grant, search, refunds and webhook.

From bKash's own and others' code: the paths; grant and refresh with `username` and `password` as headers; a raw token
or one after `Bearer` beside `X-APP-Key`; the search's and the refund's fields; a refund's status being asked at the
refund's own address; the notification of Amazon's SNS, which knows no paymentID and tells completed payments alone.
Invented: 401 for a wrong user or password, 2028 for the status of a refund that was never made, a refund changing
nothing in the query.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from schemas.numbers import money
from schemas.wire import Unreadable
from worker.playground.sandbox.announcing import Telling, announce_happening
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayRefusal, GatewayReply
from worker.playground.sandbox.money_back import give_back
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Happening, Impossible
from worker.playground.sandbox.simulated_sns import SimulatedSns
from worker.playground.sandbox.times import colon_ms, compact_dhaka
from worker.playground.sandbox.tokenized_checkout import TokenizedCheckout, required
from worker.playground.sandbox.tokenized_shapes import BUYER, about_invoice, coded, short_amount

ROOT = "/v1.2.0-beta/tokenized/checkout"
WALLET = "01929918000"
SUCCESSFUL = {"statusCode": "0000", "statusMessage": "Successful"}


class Bkash(TokenizedCheckout):
    name = "bkash"
    amounts_as_numbers: ClassVar[bool] = True

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        def endpoint(path: str, kind: Any, handler: Any, about: Any) -> GatewayEndpoint:
            return GatewayEndpoint(method="POST", path=f"{ROOT}/{path}", kind=kind, handler=handler, about=about)

        return (
            endpoint("token/grant", "grant", self.grant, lambda _: None),
            endpoint("token/refresh", "grant", self.refresh, lambda _: None),
            endpoint("create", "create", self.create, about_invoice),
            endpoint("execute", "execute", self.execute, self.about_payment),
            endpoint("payment/status", "status", self.query, self.about_payment),
            endpoint("general/searchTransaction", "status", self.search, self._about_transaction),
            endpoint("payment/refund", "refund", self.refund, self.about_payment),
        )

    @property
    def sns(self) -> SimulatedSns:
        """The sender of this wallet's notifications, at the address by which the shop reached the gateway last."""
        base = self.state.setting("base bkash") or f"http://{self.config.host}:{self.config.port}/{self.name}"
        return SimulatedSns(self.state, base, self.config.credential(self.name, "topic_arn"))

    def reached(self, base: str) -> None:
        """Note the gateway's base URL as a client reaches it."""
        self.state.set("base bkash", base)

    def grant(self, call: Call) -> GatewayReply:
        self._check_app(call)
        return self.granted()

    def refresh(self, call: Call) -> GatewayReply:
        self._check_app(call)
        self.check_token(required(call.document(), "refresh_token"), use="refresh")
        return self.granted()

    def execute(self, call: Call) -> GatewayReply:
        """Take the money, and tell the shop as the buyer's deed was set to be told."""
        reply = super().execute(call)
        session = self.session_of(call)
        telling = session.notes.get("telling")
        if telling is not None and isinstance(reply.body, dict) and reply.body["statusCode"] == "0000":
            announce_happening(self, session, "paid", Telling(**telling))
        return reply

    def search(self, call: Call) -> GatewayReply:
        """A payment or a refund by its trxID; the answer names neither the paymentID nor the invoice."""
        self.admit(call)
        trx_id = required(call.document(), "trxID")
        session = self._paid_by(trx_id)
        if session is None:
            return coded("2033")
        refund = next((made for made in _refunds(session) if made["trxID"] == trx_id), None)
        at = colon_ms(refund["at"] if refund else session.paid_at or 0)
        answer = SUCCESSFUL | {
            "trxID": trx_id,
            "initiationTime": at,
            "completedTime": at,
            "transactionType": "Payment Refund" if refund else "bKash Tokenized Checkout via API",
            "customerMsisdn": BUYER,
            "payerAccount": WALLET if refund else BUYER,
            "transactionStatus": "Completed",
            "amount": refund["amount"] if refund else session.told_amount,
            "currency": session.told_currency,
            "organizationShortCode": WALLET,
        }
        if refund:
            return GatewayReply(body=answer | {"originalTrxAmount": session.told_amount})
        left = Decimal(session.told_amount) - Decimal(session.refunded)
        return GatewayReply(
            body=answer
            | {
                "payerType": "Customer",
                "serviceFee": "0.00",
                "saleAmount": session.told_amount,
                "creditedAmount": session.told_amount,
                "maxRefundableAmount": f"{left:.2f}",
            }
        )

    def refund(self, call: Call) -> GatewayReply:
        """Refund a part or all; without an amount, tell the status of the last refund."""
        session, body = self.session_of(call), call.document()
        if not session.paid or required(body, "trxID") != session.transaction_id:
            return coded("2033")
        if "amount" not in body and "sku" not in body and "reason" not in body:
            return self._told_refund(session, _refunds(session)[-1]) if _refunds(session) else coded("2028")
        for name in ("sku", "reason"):
            required(body, name)
        if session.status == "refunded":
            return coded("2034")
        try:
            wanted = money(body.get("amount"))
        except Unreadable:
            return coded("2006")
        try:
            give_back(self, session, str(wanted))
        except Impossible:
            return coded("2026")
        made = {
            "trxID": self.new_transaction_id(self.draw(session.reference)),
            "amount": str(wanted),
            "at": self.state.now(),
        }
        returned = self.session_of(call)
        notes = {**returned.notes, "refunds": [*_refunds(returned), made]}
        return self._told_refund(self.sessions.save(replace(returned, notes=notes)), made)

    def admit(self, call: Call) -> None:
        self.reached(call.base)
        if call.headers.get("X-APP-Key") != self.config.credential(self.name, "app_key"):
            raise GatewayRefusal(self.failure(401, "Unauthorized"))
        self.check_token(call.headers.get("Authorization", "").removeprefix("Bearer "))

    def secret(self) -> str:
        return ""  # the sender's private key signs

    def event_type(self, happening: Happening) -> str | None:
        return "Notification" if happening == "paid" else None

    def event_body(self, session: Session, happening: Happening, event_id: str) -> dict[str, Any]:
        del happening
        message = {
            "dateTime": compact_dhaka(session.paid_at or self.state.now()),
            "debitMSISDN": f"88{BUYER}",
            "creditOrganizationName": "Sandbox shop",
            "creditShortCode": WALLET,
            "trxID": session.transaction_id or self.new_transaction_id(self.draw(session.reference)),
            "transactionStatus": "Completed",
            "transactionType": "10002294",
            "amount": short_amount(session.told_amount),
            "currency": session.told_currency,
            "transactionReference": session.body["payerReference"],
            "merchantInvoiceNumber": session.reference,
        }
        return self.sns.notification(msgspec.json.encode(message).decode(), event_id, at=time.time())

    def event_request(
        self, body: bytes, event_id: str, event_type: str, *, at: int, attempt: int, secret: str
    ) -> tuple[bytes, dict[str, str]]:
        del event_id, event_type, attempt
        return self.sns.signed(msgspec.json.decode(body), at=at, secret=secret)

    def _told_refund(self, session: Session, made: Mapping[str, Any]) -> GatewayReply:
        answer = {
            "originalTrxID": session.transaction_id,
            "refundTrxID": made["trxID"],
            "transactionStatus": "Completed",
            "amount": made["amount"],
            "currency": session.told_currency,
            "charge": "0.00",
            "completedTime": colon_ms(made["at"]),
        }
        return GatewayReply(body=SUCCESSFUL | answer)

    def _about_transaction(self, call: Call) -> str | None:
        session = self._paid_by(call.named("trxID") or "")
        return session.reference if session else None

    def _paid_by(self, trx_id: str) -> Session | None:
        """The session that this payment or refund belongs to."""
        made = self.sessions.transaction(self.name, trx_id)
        if made is not None:
            return self.sessions.get(self.name, made.session_id)
        refunded = (
            one for one in self.sessions.of(self.name, None) if any(r["trxID"] == trx_id for r in _refunds(one))
        )
        return next(refunded, None)

    def _check_app(self, call: Call) -> None:
        """The headers and the body of grant and refresh. Raises GatewayRefusal."""
        self.reached(call.base)
        for name in ("username", "password"):
            if call.headers.get(name) != self.config.credential(self.name, name):
                raise GatewayRefusal(self.failure(401, "Unauthorized"))
        body = call.document()
        for name in ("app_key", "app_secret"):
            if required(body, name) != self.config.credential(self.name, name):
                raise GatewayRefusal(coded("2001"))


def _refunds(session: Session) -> list[dict[str, Any]]:
    return list(session.notes.get("refunds", ()))
