"""ShurjoPay v2.1, simulated after https://shurjopay.com.bd/developers/shurjopay-restapi and its official plugins.

Documented: get_token with a 12-hour clock and an `execute_url` that clients follow, secret-pay by JSON or form, a GET
back with their sp_order_id under the name `order_id`, an IPN to the panel's address with the same, verification and
payment-status with an array of one object and 4-decimal amounts, an object with sp_code 1011 for an unknown id, the
codes, 2005 while a bank holds the money for review.

Invented: 401 for a wrong key (1003) or token (1064), 1062 for every wrong field, 30 minutes, 2007 after them, 2002
after a full refund, `bank_trx_id` "0" where nothing was paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar

from msgspec import Raw

from schemas.wire import Number
from worker.playground.sandbox import request_fields
from worker.playground.sandbox.announcing import webhook_url
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayRefusal, GatewayReply
from worker.playground.sandbox.granted_tokens import grant_token, is_granted
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Change, Deed, Happening, Shows, SimulatedGateway, about_session
from worker.playground.sandbox.times import naive_seconds, twelve_hours

LIFETIME = 30 * 60
STORE_ID = 1
WORDS: Mapping[str, tuple[str, str, str | None, str | None]] = MappingProxyType(
    {
        "open": ("1068", "Initiated", None, None),
        "paid": ("1000", "Success", "Completed", "Completed"),
        "refunded": ("2002", "Refunded", "Completed", "Refunded"),
        "failed": ("1001", "Failed", "Failed", "Failed"),
        "cancelled": ("1002", "Canceled", "Cancel", "Cancelled"),
        "expired": ("2007", "Request timeout", None, None),
    }
)
MANDATORY = {
    "order_id": 100,
    "customer_name": 150,
    "customer_address": 255,
    "customer_phone": 20,
    "customer_city": 100,
    "client_ip": 45,
}
ECHOED = ("value1", "value2", "value3", "value4")


def _word(code: str, message: str, bank_status: str | None) -> tuple[Change, ...]:
    return (("sp_code",), code), (("sp_message",), message), (("sp_massage",), message), (("bank_status",), bank_status)


class ShurjoPay(SimulatedGateway):
    name = "shurjopay"
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]] = MappingProxyType(
        {
            "unknown_word": _word("1999", "Under review", "Under review"),
            "contradiction": _word("1001", "Failed", "Failed"),
            "still_pending": _word("2005", "Transaction is held by the bank for review", None),
            "wrong_identity": ((("order_id",), "NOTYOURS"), (("customer_order_id",), "not-yours")),
            "wrong_currency": ((("currency",), "USD"),),
            "wrong_amount": ((("amount",), "1.0000"), (("payable_amount",), "1.0000")),
        }
    )
    shows: ClassVar[frozenset[Shows]] = frozenset({"redirect_ids", "second_payment", "full_refund", "json_in_json"})
    panel = True

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        def about(call: Call) -> str | None:
            return about_session(self, str(call.fields().get("order_id") or ""))

        def order(call: Call) -> str | None:
            return str(call.fields().get("order_id") or "") or None

        return (
            GatewayEndpoint(
                method="POST", path="/api/get_token", kind="grant", handler=self.grant, about=lambda _: None
            ),
            GatewayEndpoint(method="POST", path="/api/secret-pay", kind="create", handler=self.create, about=order),
            GatewayEndpoint(method="POST", path="/api/verification", kind="status", handler=self.verify, about=about),
            GatewayEndpoint(method="POST", path="/api/payment-status", kind="status", handler=self.verify, about=about),
        )

    def grant(self, call: Call) -> GatewayReply:
        fields = call.fields()
        if any(fields.get(name) != self.config.credential(self.name, name) for name in ("username", "password")):
            return GatewayReply(status=401, body={"sp_code": "1003", "message": "Invalid credentials"})
        now, seconds = self.state.now(), self.config.token_seconds
        token = grant_token(self.state, self.name, self.draw(""), seconds=seconds)
        answer = {
            "token": token,
            "store_id": STORE_ID,
            "execute_url": f"{call.base}/api/secret-pay",
            "token_type": "Bearer",
            "sp_code": "200",
            "message": "Ok",
            "token_create_time": twelve_hours(now),
            "expires_in": seconds,
        }
        return GatewayReply(body=answer)

    def create(self, call: Call) -> GatewayReply:
        fields = call.fields()
        self._admit(call, str(fields.get("token") or ""))
        if fields.get("currency") not in ("BDT", "USD"):
            return GatewayReply(body={"sp_code": "1010", "message": "Currency mismatch"})
        try:
            session = self.sessions.save(self._opened(fields))
        except request_fields.WrongField as wrong:
            return GatewayReply(body={"sp_code": "1062", "message": wrong.message})
        answer = {
            "checkout_url": self.checkout_url(call.base, session.session_id),
            "amount": Raw(session.amount.encode()),
            "currency": session.currency,
            "sp_order_id": session.session_id,
            "customer_order_id": session.reference,
            **{name: str(fields.get(name) or "") for name in (*MANDATORY, "customer_email") if name != "order_id"},
            "intent": "sale",
            "transactionStatus": "Initiated",
        }
        return GatewayReply(body=answer)

    def verify(self, call: Call) -> GatewayReply:
        self._admit(call)
        session = self.sessions.get(self.name, str(call.fields().get("order_id") or ""))
        if session is None:
            return self.not_found()
        code, message, bank_status, transaction_status = WORDS[session.status]
        amount = f"{session.told_amount}00"
        answer = {
            "id": int(session.notes["id"]),
            "order_id": session.session_id,
            "currency": session.told_currency,
            "amount": amount,
            "payable_amount": amount,
            "discsount_amount": "0.0000",
            "discount_amount": "0.0000",
            "disc_percent": 0,
            "received_amount": amount if session.paid else "0.0000",
            "recived_amount": amount if session.paid else "0.0000",
            "usd_amt": "0.0000",
            "usd_rate": 0,
            "is_verify": 1 if session.paid else 0,
            "card_holder_name": None,
            "card_number": None,
            "phone_no": session.body.get("customer_phone"),
            "bank_trx_id": session.transaction_id if session.paid else "0",
            "invoice_no": session.session_id,
            "bank_status": bank_status,
            "customer_order_id": session.reference,
            "sp_code": code,
            "sp_message": message,
            "sp_massage": message,
            "name": session.body.get("customer_name"),
            "email": session.body.get("customer_email"),
            "address": session.body.get("customer_address"),
            "city": session.body.get("customer_city"),
            **{name: session.body.get(name) for name in ECHOED},
            "transaction_status": transaction_status,
            "method": "bKash" if session.paid else None,
            "date_time": naive_seconds(session.paid_at or session.created_at),
        }
        return GatewayReply(body=[answer])

    def failure(self, status: int, message: str) -> GatewayReply:
        return GatewayReply(
            status=status, body={"sp_code": "1064" if status == 401 else str(status), "message": message}
        )

    def not_found(self) -> GatewayReply:
        return GatewayReply(body={"sp_code": "1011", "message": "Invalid order id"})

    def redirect(self, session: Session, deed: Deed) -> str:
        url = str(session.body["return_url" if deed in ("pay", "fail") else "cancel_url"])
        return f"{url}{'&' if '?' in url else '?'}order_id={session.session_id}"

    def notification(self, session: Session, happening: Happening) -> tuple[str, dict[str, str]] | None:  # noqa: ARG002
        """The IPN is a POST whose query alone says something."""
        url = webhook_url(self)
        return (f"{url}{'&' if '?' in url else '?'}order_id={session.session_id}", {}) if url else None

    def another(self, session: Session, reference: str) -> Session:
        return self._opened({**session.body, "order_id": reference})

    def new_transaction_id(self, draw: Random) -> str:
        return "".join(draw.choices("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=10))

    def _opened(self, fields: Mapping[str, Any]) -> Session:
        for name, most in MANDATORY.items():
            request_fields.field_text(fields, name, most=most)
        prefix = request_fields.field_text(fields, "prefix", most=5)
        for name in ("return_url", "cancel_url"):
            request_fields.link(fields, name)
        value = fields.get("amount")
        plain = str(value) if isinstance(value, Number) else value
        reference, now = str(fields["order_id"]), self.state.now()
        draw = self.draw(reference)
        return Session(
            provider=self.name,
            session_id=prefix + "".join(draw.choices("0123456789abcdef", k=13)),
            merchant="shop",
            reference=reference,
            amount=request_fields.amount(plain, "amount", least="0.01", most="999999999.99"),
            currency=str(fields["currency"]),
            body={name: value for name, value in fields.items() if name != "token"},
            notes={"id": draw.randrange(10**6, 10**7)},
            created_at=now,
            expires_at=self.ends_at(reference, LIFETIME),
        )

    def _admit(self, call: Call, in_body: str = "") -> None:
        """Check the token of the header, or where a client sends none, that of the body."""
        scheme, _, token = call.headers.get("Authorization", f"Bearer {in_body}").partition(" ")
        if scheme != "Bearer" or not is_granted(self.state, self.name, token):
            raise GatewayRefusal(self.failure(401, "Unauthorized"))
