"""EPS (Easy Payment System), simulated after its official samples, its IPN page and what others saw of it.

Documented or seen: the hash of every call, the fields and the answer of the opening, a merchantTransactionId of at
least 10 characters that is used once, a refusal as an `ErrorMessage` without an address, the flat status answer with
its capital letters and texts for amounts (numbers were seen too: the script `status_numbers`), the three return
addresses with their query, glued by a second `?` where the address has a query, 404 for an unknown payment, and the
IPN's envelope. Invented: PENDING for an open payment, EXPIRED for one that nobody paid, 401 for a wrong hash, key or
token, `EPSTransactionId` in every return, and all that the IPN says inside: it repeats the status answer, enciphered
by a key of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlencode

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec import Raw
from msgspec.structs import replace

from worker.playground.sandbox import request_fields
from worker.playground.sandbox.eps_shapes import opening_refused, told
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayRefusal, GatewayReply
from worker.playground.sandbox.granted_tokens import grant_token, is_granted
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Change, Deed, Happening, Shows, SimulatedGateway
from worker.playground.sandbox.times import iso_ms_z

LIFETIME = 30 * 60
RETURNS: Mapping[Deed, tuple[str, str]] = MappingProxyType(
    {"pay": ("successUrl", "Success"), "fail": ("failUrl", "Failed"), "cancel": ("cancelUrl", "Cancelled")}
)
REQUIRED = (
    "CustomerOrderId",
    "customerName",
    "customerEmail",
    "customerAddress",
    "customerCity",
    "customerState",
    "customerPostcode",
    "customerCountry",
    "customerPhone",
    "productName",
)


def _as_number(text: str) -> Raw:
    return Raw(text.encode())


class Eps(SimulatedGateway):
    name = "eps"
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]] = MappingProxyType(
        {
            "unknown_word": ((("Status",), "UNDER_REVIEW"),),
            "contradiction": ((("Status",), "FAILED"),),
            "still_pending": ((("Status",), "PENDING"),),
            "wrong_identity": ((("MerchantTransactionId",), "not-your-order"),),
            "wrong_amount": ((("TotalAmount",), "1.00"),),
            "numbers": ((("TotalAmount",), _as_number), (("StoreAmount",), _as_number)),
        }
    )
    shows: ClassVar[frozenset[Shows]] = frozenset({"redirect_ids"})

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        return (
            GatewayEndpoint(
                method="POST", path="/v1/Auth/GetToken", kind="grant", handler=self.grant, about=lambda _: None
            ),
            GatewayEndpoint(
                method="POST",
                path="/v1/EPSEngine/InitializeEPS",
                kind="create",
                handler=self.create,
                about=lambda call: call.named("merchantTransactionId"),
            ),
            GatewayEndpoint(
                method="GET",
                path="/v1/EPSEngine/CheckMerchantTransactionStatus",
                kind="status",
                handler=self.status,
                about=lambda call: call.query.get("merchantTransactionId"),
            ),
        )

    def grant(self, call: Call) -> GatewayReply:
        body = call.document()
        named = [str(body.get(name) or "") for name in ("userName", "password")]
        self._check_hash(call, named[0])
        if named != [self.config.credential(self.name, name) for name in ("username", "password")]:
            raise GatewayRefusal(self.failure(401, "Invalid user name or password"))
        seconds = self.config.token_seconds
        answer = {
            "token": grant_token(self.state, self.name, self.draw(""), seconds=seconds),
            "expireDate": iso_ms_z(self.state.now() + seconds),
            "errorMessage": None,
            "errorCode": None,
        }
        return GatewayReply(body=answer)

    def create(self, call: Call) -> GatewayReply:
        body = call.document()
        reference = str(body.get("merchantTransactionId") or "")
        self._admit(call, reference)
        try:
            session = self._opened(body)
        except request_fields.WrongField as wrong:
            return opening_refused(wrong.message)
        if self.sessions.latest(self.name, reference):
            return opening_refused("merchantTransactionId must be unique")
        self.sessions.save(session)
        answer = {
            "TransactionId": session.session_id,
            "RedirectURL": self.checkout_url(call.base, session.session_id),
            "ErrorMessage": "",
            "ErrorCode": None,
            "FinancialEntityList": None,
        }
        return GatewayReply(body=answer)

    def status(self, call: Call) -> GatewayReply:
        """The payment of a merchantTransactionId. Where the query has an EPSTransactionId too, both must fit."""
        reference = call.query.get("merchantTransactionId", "")
        self._admit(call, reference)
        session = self.sessions.latest(self.name, reference)
        if session is None:
            return self.not_found()
        if call.query.get("EPSTransactionId", session.transaction_id) != session.transaction_id:
            return self.not_found()
        return GatewayReply(body=told(session))

    def failure(self, status: int, message: str) -> GatewayReply:
        return GatewayReply(status=status, body={"message": message, "errorCode": str(status)})

    def redirect(self, session: Session, deed: Deed) -> str:
        name, word = RETURNS.get(deed, RETURNS["cancel"])
        query = {
            "Status": word,
            "MerchantTransactionId": session.reference,
            "EPSTransactionId": session.transaction_id or session.notes["first_transaction_id"],
        }
        return f"{session.body[name]}?{urlencode(query)}"

    def another(self, session: Session, reference: str) -> Session:
        return self._opened({**session.body, "merchantTransactionId": reference})

    def collect(self, session: Session, *, transaction_id: str | None) -> Session:
        """Book the money, under the id that the first return names where it is the first money."""
        first = None if session.paid else session.notes["first_transaction_id"]
        return super().collect(session, transaction_id=transaction_id or first)

    def new_transaction_id(self, draw: Random) -> str:
        return f"EPS{draw.randrange(10**15):015d}"

    def secret(self) -> str:
        return self.config.credential(self.name, "ipn_key")

    def event_type(self, happening: Happening) -> str | None:
        return "IPN" if happening in ("paid", "failed", "cancelled") else None

    def event_body(self, session: Session, happening: Happening, event_id: str) -> dict[str, Any]:
        del event_id
        if happening == "paid" and not session.paid:  # an IPN that lies
            session = replace(session, status="paid", transaction_id=session.notes["first_transaction_id"])
        return told(session)

    def event_request(
        self, body: bytes, event_id: str, event_type: str, *, at: int, attempt: int, secret: str
    ) -> tuple[bytes, dict[str, str]]:
        """`{"Data": "<IV>:<cipher>"}`, AES-256-CBC, both in base64."""
        del event_id, event_type, at, attempt
        iv, padder = secrets.token_bytes(16), padding.PKCS7(128).padder()
        key = secret.encode()[:32].ljust(32, b"0")
        cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        sealed = cipher.update(padder.update(body) + padder.finalize()) + cipher.finalize()
        data = f"{base64.b64encode(iv).decode()}:{base64.b64encode(sealed).decode()}"
        return GatewayReply(body={"Data": data}).written(), {"Content-Type": "application/json"}

    def _opened(self, body: dict[str, Any]) -> Session:
        for name in ("merchantId", "storeId"):
            wanted = self.config.credential(self.name, "merchant_id" if name == "merchantId" else "store_id")
            if request_fields.field_text(body, name) != wanted:
                raise request_fields.WrongField(name, f"Invalid {name}")
        reference = request_fields.field_text(body, "merchantTransactionId", least=10)
        for name in REQUIRED:
            request_fields.field_text(body, name)
        if str(body.get("transactionTypeId") or 1) not in ("1", "2", "3"):
            raise request_fields.WrongField("transactionTypeId", "transactionTypeId must be 1, 2 or 3")
        for name in ("successUrl", "failUrl", "cancelUrl"):
            request_fields.link(body, name)
        now, draw = self.state.now(), self.draw(reference)
        return Session(
            provider=self.name,
            session_id=str(uuid.UUID(int=draw.getrandbits(128), version=4)),
            merchant="shop",
            reference=reference,
            amount=request_fields.amount(body.get("totalAmount"), "totalAmount", least="0.01", most="999999999.99"),
            currency="BDT",
            body=body,
            notes={"first_transaction_id": self.new_transaction_id(draw)},
            created_at=now,
            expires_at=self.ends_at(reference, LIFETIME),
        )

    def _admit(self, call: Call, hashed: str) -> None:
        self._check_hash(call, hashed)
        scheme, _, token = call.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not is_granted(self.state, self.name, token):
            raise GatewayRefusal(self.failure(401, "Unauthorized"))

    def _check_hash(self, call: Call, hashed: str) -> None:
        """The header `x-hash` over the user's name or the merchantTransactionId. Raises GatewayRefusal."""
        key = self.config.credential(self.name, "hash_key").encode()
        expected = base64.b64encode(hmac.digest(key, hashed.encode(), hashlib.sha512)).decode()
        if call.headers.get("x-hash") != expected:
            raise GatewayRefusal(self.failure(401, "Invalid hash"))
