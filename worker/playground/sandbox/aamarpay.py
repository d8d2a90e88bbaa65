"""aamarPay, simulated after https://aamarpay.readme.io/reference/: create by JSON, a search by our tran_id, forms back.

Documented: the fields of create, `result` as text, a `payment_url` and no session id, forms to success_url and
fail_url, an IPN to the address that support set, the search's fields, `Successful` with status_code 2 for paid.

Invented, because nothing is published: 30 minutes, every other word and code (Pending 0, Failed 7, Cancelled 5,
Expired 6), `[]` for an unknown tran_id, refusing a tran_id that is paid. cancel_url is visited with nothing at all. A
refund is shown nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar

from schemas.wire import Number
from worker.playground.sandbox import request_fields
from worker.playground.sandbox.announcing import webhook_url
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayReply
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Change, Deed, Happening, Shows, SimulatedGateway
from worker.playground.sandbox.times import naive_seconds

LIFETIME = 30 * 60
WORDS = {
    "open": ("Pending", "0", "Pending"),
    "paid": ("Successful", "2", "Successful Transaction"),
    "refunded": ("Successful", "2", "Successful Transaction"),
    "failed": ("Failed", "7", "Failed Transaction"),
    "cancelled": ("Cancelled", "5", "Cancelled Transaction"),
    "expired": ("Expired", "6", "Expired Transaction"),
}
MANDATORY = {
    "tran_id": 32,
    "desc": 255,
    "cus_name": 100,
    "cus_email": 100,
    "cus_phone": 20,
    "cus_add1": 255,
    "cus_city": 100,
    "cus_country": 100,
}
OPTIONAL = ("opt_a", "opt_b", "opt_c", "opt_d")
URLS = {"pay": "success_url", "fail": "fail_url", "cancel": "cancel_url", "walk_away": "cancel_url"}
STORE_KEEPS = Decimal("0.975")


def _word(word: str, code: str) -> tuple[Change, ...]:
    return (("pay_status",), word), (("status_code",), code), (("status_title",), f"{word} transaction")


class AamarPay(SimulatedGateway):
    name = "aamarpay"
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]] = MappingProxyType(
        {
            "unknown_word": _word("Under review", "9"),
            "contradiction": _word("Failed", "7"),
            "still_pending": _word("Pending", "0"),
            "wrong_identity": ((("mer_txnid",), "not-yours"),),
            "wrong_currency": ((("currency",), "USD"),),
            "wrong_amount": ((("amount",), "1.00"), (("amount_bdt",), "1.00")),
        }
    )
    shows: ClassVar[frozenset[Shows]] = frozenset({"redirect_ids", "second_payment", "risk"})
    panel = True

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        return (
            GatewayEndpoint(
                method="POST",
                path="/jsonpost.php",
                kind="create",
                handler=self.create,
                about=lambda call: call.named("tran_id"),
            ),
            *(
                GatewayEndpoint(
                    method=method,
                    path="/api/v1/trxcheck/request.php",
                    kind="status",
                    handler=self.search,
                    about=lambda call: _asked(call).get("request_id"),
                )
                for method in ("GET", "POST")
            ),
        )

    def create(self, call: Call) -> GatewayReply:
        body = call.document()
        if not self._admits(body):
            return self.failure(200, "Invalid Store ID")
        try:
            session = self._opened(body)
        except request_fields.WrongField as wrong:
            return self.failure(200, wrong.message)
        if any(earlier.paid for earlier in self.sessions.of(self.name, session.reference)):
            return self.failure(200, "This tran_id is already paid")
        self.sessions.save(session)
        return GatewayReply(body={"result": "true", "payment_url": self.checkout_url(call.base, session.session_id)})

    def search(self, call: Call) -> GatewayReply:
        fields = _asked(call)
        if not self._admits(fields):
            return self.failure(200, "Invalid Store ID")
        session = self.sessions.latest(self.name, fields.get("request_id", ""))
        if session is None:
            return self.not_found()
        word, code, title = WORDS[session.status]
        risk = session.notes.get("risk", "0")
        paid = {
            "approval_code": session.transaction_id,
            "payment_processor": "bKash",
            "bank_trxid": f"BK{(session.transaction_id or '')[-8:]}",
            "payment_type": "bKash-bKash",
            "date_processed": naive_seconds(session.paid_at or session.created_at),
        }
        answer = {
            "pg_txnid": session.transaction_id or session.session_id,
            "mer_txnid": session.reference,
            "risk_title": "Risky" if risk == "1" else "Safe",
            "risk_level": risk,
            "merchant_id": self.config.credential(self.name, "store_id"),
            "store_id": self.config.credential(self.name, "store_id"),
            "amount": session.told_amount,
            "amount_bdt": session.told_amount,
            "amount_currency": session.told_amount,
            "rec_amount": str((Decimal(session.told_amount) * STORE_KEEPS).quantize(Decimal("0.01"))),
            "currency": session.told_currency,
            "pay_status": word,
            "status_code": code,
            "status_title": title,
            "cardnumber": "",
            **(paid if session.paid else dict.fromkeys(paid, "")),
            "error_code": "0000" if session.paid else "",
            "error_title": "",
            "date": naive_seconds(session.created_at),
            **self._echoed(session),
        }
        return GatewayReply(body=answer)

    def failure(self, status: int, message: str) -> GatewayReply:
        return GatewayReply(status=status, body={"result": message})

    def not_found(self) -> GatewayReply:
        return GatewayReply(body=[])

    def redirect(self, session: Session, deed: Deed) -> str:
        return str(session.body[URLS[deed]])

    def posted(self, session: Session, deed: Deed) -> dict[str, str] | None:
        """The form of a success or a failure. After a cancel the browser only visits cancel_url."""
        if deed == "pay":
            return self._form(session, "paid")
        return self._form(session, "failed") if deed == "fail" else None

    def notification(self, session: Session, happening: Happening) -> tuple[str, dict[str, str]] | None:
        url = webhook_url(self)
        return (url, self._form(session, happening)) if url and happening in ("paid", "failed") else None

    def another(self, session: Session, reference: str) -> Session:
        return self._opened({**session.body, "tran_id": reference})

    def new_transaction_id(self, draw: Random) -> str:
        return "AAM" + "".join(draw.choices("0123456789", k=16))

    def _form(self, session: Session, status: str) -> dict[str, str]:
        word, code, _ = WORDS[status]
        pg_txnid = session.transaction_id or session.session_id
        return {
            "pg_txnid": pg_txnid,
            "epw_txnid": pg_txnid,
            "mer_txnid": session.reference,
            "store_id": self.config.credential(self.name, "store_id"),
            "merchant_id": self.config.credential(self.name, "store_id"),
            "amount": session.told_amount,
            "store_amount": str((Decimal(session.told_amount) * STORE_KEEPS).quantize(Decimal("0.01"))),
            "currency": session.told_currency,
            "currency_merchant": session.currency,
            "convertion_rate": "",
            "amount_currency": session.told_amount,
            "other_currency": session.told_amount,
            "pay_status": word,
            "status_code": code,
            "pay_time": naive_seconds(self.state.now()),
            "bank_txn": pg_txnid[-8:],
            "card_type": "bKash-bKash",
            "card_number": "",
            "card_holder": "",
            "pg_service_charge_bdt": "0.00",
            "pg_card_risklevel": session.notes.get("risk", "0"),
            "reason": "" if status == "paid" else "Declined by the bank",
            "pg_error_code_details": "",
            "ip_address": "127.0.0.1",
            **self._echoed(session),
        }

    def _echoed(self, session: Session) -> dict[str, str]:
        return {name: str(session.body.get(name) or "") for name in (*OPTIONAL, "cus_name", "cus_email", "cus_phone")}

    def _opened(self, body: Mapping[str, Any]) -> Session:
        for name, most in MANDATORY.items():
            request_fields.field_text(body, name, most=most)
        for name in set(URLS.values()):
            request_fields.link(body, name)
        for name in OPTIONAL:
            request_fields.optional_field_text(body, name, most=255)
        if body.get("type") != "json":
            raise request_fields.WrongField("type", "type must be json")
        if body.get("currency") not in ("BDT", "USD"):
            raise request_fields.WrongField("currency", "currency must be BDT or USD")
        value = body.get("amount")
        plain = str(value) if isinstance(value, Number) else value
        reference, now = str(body["tran_id"]), self.state.now()
        return Session(
            provider=self.name,
            session_id=f"AAM{self.draw(reference).randrange(10**12):012d}",
            merchant="shop",
            reference=reference,
            amount=request_fields.amount(plain, "amount", least="0.01", most="999999999.99"),
            currency=str(body["currency"]),
            body={name: value for name, value in body.items() if name != "signature_key"},
            created_at=now,
            expires_at=self.ends_at(reference, LIFETIME),
        )

    def _admits(self, fields: Mapping[str, Any]) -> bool:
        given = fields.get("store_id"), fields.get("signature_key")
        return given == tuple(self.config.credential(self.name, key) for key in ("store_id", "signature_key"))


def _asked(call: Call) -> Mapping[str, str]:
    """The fields of a search, which some clients post."""
    return call.form() if call.body else call.query
