"""bKash's tokenized checkout (URL mode 0011), simulated: what bKash and OnePayBD, which passes it through, share.

The buyer's approval moves no money; Execute does, once. Documented: create with its fields and answer, one signature
for all three callback URLs. From bKash's own and others' code: the answers of grant, execute and query, the status
codes, the error envelopes, `merchantInvoice` in the query alone, amounts written differently by each call, and both
names of the buyer's verification, since clients read either. Invented: 2029 for an invoice that is already paid, 2056
for executing what failed or expired, Failed, Cancelled and Expired being told by the query at once. Agreements (modes
0000 and 0001) and authorizations are refused.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import quote

from msgspec.structs import replace

from schemas.numbers import money
from schemas.wire import Number, Unreadable
from worker.playground.sandbox import request_fields
from worker.playground.sandbox.gateway_call import Call, GatewayRefusal, GatewayReply
from worker.playground.sandbox.granted_tokens import LETTERS, Use, grant_token, is_granted
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Change, Deed, Impossible, Shows, SimulatedGateway, about_session
from worker.playground.sandbox.times import colon_ms, drawn_moment
from worker.playground.sandbox.tokenized_shapes import BUYER, coded, session_body, short_amount, verification

LIFETIME = 24 * 3600
REFRESH_LIFETIME = 28 * 24 * 3600

_FIELD_CODES = {
    "mode": "2063",
    "amount": "2006",
    "currency": "2007",
    "intent": "2008",
    "merchantInvoiceNumber": "2031",
    "payerReference": "2048",
    "callbackURL": "2049",
}


class TokenizedCheckout(SimulatedGateway):
    """The base of both. `amounts_as_numbers`: a JSON number is taken for an amount, as bKash takes it."""

    amounts_as_numbers: ClassVar[bool]
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]] = MappingProxyType(
        {
            "unknown_word": ((("transactionStatus",), "Under Review"),),
            "contradiction": ((("transactionStatus",), "Failed"),),
            "still_pending": ((("transactionStatus",), "Initiated"),),
            "wrong_identity": (
                (("paymentID",), "TR0011notyours0000000000000"),
                (("merchantInvoiceNumber",), "not-yours"),
                (("merchantInvoice",), "not-yours"),
            ),
            "wrong_currency": ((("currency",), "USD"),),
            "wrong_amount": ((("amount",), "1"),),
        }
    )

    shows: ClassVar[frozenset[Shows]] = frozenset({"redirect_ids"})

    @abstractmethod
    def admit(self, call: Call) -> None:
        """Check the key and the token of a call. Raises GatewayRefusal."""

    def about_payment(self, call: Call) -> str | None:
        """The reference of the payment that a call names, for `GatewayEndpoint.about`."""
        return about_session(self, call.named("paymentID"))

    def granted(self) -> GatewayReply:
        """A new token, and another that renews it."""
        draw = self.draw("")
        seconds = self.config.token_seconds
        answer = {
            "statusCode": "0000",
            "statusMessage": "Successful",
            "id_token": grant_token(self.state, self.name, draw, seconds=seconds),
            "token_type": "Bearer",
            "expires_in": seconds,
            "refresh_token": grant_token(self.state, self.name, draw, seconds=REFRESH_LIFETIME, use="refresh"),
        }
        return GatewayReply(body=answer)

    def check_token(self, token: str, *, use: Use = "access") -> None:
        """The token was granted here, has not ended and was not revoked. Raises GatewayRefusal."""
        if not is_granted(self.state, self.name, token, use=use):
            raise GatewayRefusal(self.failure(401, "Unauthorized"))

    def create(self, call: Call) -> GatewayReply:
        self.admit(call)
        body = call.document()
        try:
            self._check(body)
        except request_fields.WrongField as wrong:
            return coded("2065" if wrong.missing else _FIELD_CODES[wrong.field])
        reference = str(body["merchantInvoiceNumber"])
        if any(earlier.paid for earlier in self.sessions.of(self.name, reference)):
            return coded("2029")
        session = self.sessions.save(self._opened(body, reference))
        answer = {
            "paymentID": session.session_id,
            "bkashURL": self._page(call, session),
            "callbackURL": body["callbackURL"],
            "successCallbackURL": self.redirect(session, "pay"),
            "failureCallbackURL": self.redirect(session, "fail"),
            "cancelledCallbackURL": self.redirect(session, "cancel"),
            "amount": str(body["amount"]),
            "intent": body["intent"],
            "currency": body["currency"],
            "paymentCreateTime": colon_ms(session.created_at),
            "transactionStatus": "Initiated",
            "merchantInvoiceNumber": reference,
            "statusCode": "0000",
            "statusMessage": "Successful",
        }
        return GatewayReply(body=answer)

    def execute(self, call: Call) -> GatewayReply:
        """Take the money of an approved payment; only once."""
        session = self.session_of(call)
        match session.status:
            case "approved":
                session = self.collect(session, transaction_id=session.notes.get("transaction_id"))
            case "paid" | "refunded":
                return coded("2062")
            case "cancelled":
                return coded("2069")
            case _:
                return coded("2056")
        answer = session_body(session) | {
            "customerMsisdn": BUYER,
            "paymentExecuteTime": colon_ms(session.paid_at or 0),
            "merchantInvoiceNumber": session.reference,
            "amount": short_amount(session.told_amount),
        }
        return GatewayReply(body=answer)

    def query(self, call: Call) -> GatewayReply:
        session = self.session_of(call)
        answer = (
            session_body(session)
            | verification(session)
            | {
                "mode": "0011",
                "paymentCreateTime": colon_ms(session.created_at),
                "merchantInvoice": session.reference,
                "amount": session.told_amount,
            }
        )
        if session.paid_at is not None:
            answer["paymentExecuteTime"] = colon_ms(session.paid_at)
        return GatewayReply(body=answer)

    def failure(self, status: int, message: str) -> GatewayReply:
        """An error in the envelope of the proxy in front of the service."""
        words = {401: "Unauthorized", 403: "Forbidden", 503: "Service Unavailable"}
        return GatewayReply(status=status, body={"message": words.get(status, message)})

    def not_found(self) -> GatewayReply:
        return coded("2002")

    def unreadable(self, why: str) -> GatewayReply:
        del why
        return coded("2025")

    def redirect(self, session: Session, deed: Deed) -> str:
        said = {"pay": "success", "fail": "failure"}.get(deed, "cancel")
        url = str(session.body["callbackURL"])
        joint = "&" if "?" in url else "?"
        return f"{url}{joint}paymentID={session.session_id}&status={said}&signature={session.notes['signature']}"

    def pay(self, session: Session, *, transaction_id: str | None) -> Session:
        """The buyer approves; a late approval keeps the session open for its Execute. Raises Impossible."""
        if session.paid:
            raise Impossible("a paymentID is good for one execution")
        notes = {**session.notes, "transaction_id": transaction_id}
        until = max(session.expires_at, self.state.now() + 600)
        return self.sessions.save(replace(session, status="approved", notes=notes, expires_at=until))

    def another(self, session: Session, reference: str) -> Session:
        return self._opened({**session.body, "merchantInvoiceNumber": reference}, reference)

    def new_transaction_id(self, draw: Random) -> str:
        return "".join(draw.choices("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=10))

    def _opened(self, body: dict[str, Any], reference: str) -> Session:
        now, draw = self.state.now(), self.draw(reference)
        notes = {
            "signature": "".join(draw.choices(LETTERS, k=10)),
            "hash": "".join(draw.choices(LETTERS + "!.)(_", k=60)),
        }
        return Session(
            provider=self.name,
            session_id=f"TR0011{''.join(draw.choices(LETTERS, k=7))}{int(drawn_moment(draw) * 1000)}",
            merchant="shop",
            reference=reference,
            amount=str(money(body["amount"])),
            currency=body["currency"],
            body=body,
            notes=notes,
            created_at=now,
            expires_at=self.ends_at(reference, LIFETIME),
        )

    def _page(self, call: Call, session: Session) -> str:
        """The address of the checkout page. It says `paymentId` where callbacks say `paymentID`, as documented."""
        query = f"paymentId={session.session_id}&hash={quote(session.notes['hash'], safe='!.)(_')}&mode=0011"
        return f"{self.checkout_url(call.base, session.session_id)}?{query}&apiVersion=v1.2.0-beta/"

    def _check(self, body: dict[str, Any]) -> None:
        for name in _FIELD_CODES:
            if name != "amount" or not (self.amounts_as_numbers and isinstance(body.get(name), Number)):
                request_fields.field_text(body, name)
        for name, only in (("mode", "0011"), ("currency", "BDT"), ("intent", "sale")):
            if body[name] != only:
                raise request_fields.WrongField(name, f"{name} must be {only}")
        try:
            if money(body["amount"]) <= 0:
                raise request_fields.WrongField("amount", "amount must be positive")
        except Unreadable:
            raise request_fields.WrongField("amount", "amount must be a decimal") from None
        request_fields.link(body, "callbackURL")

    def session_of(self, call: Call) -> Session:
        self.admit(call)
        session = self.sessions.get(self.name, required(call.document(), "paymentID"))
        if session is None:
            raise GatewayRefusal(coded("2002"))
        return session


def required(body: dict[str, Any], name: str) -> str:
    try:
        return request_fields.field_text(body, name)
    except request_fields.WrongField:
        raise GatewayRefusal(coded("2065")) from None
