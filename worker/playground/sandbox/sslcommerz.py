"""SSLCOMMERZ v4, simulated after its tables (https://developer.sslcommerz.com/doc/v4/) and what its sandbox answered.

Documented: the fields of create with their limits, FAILED with HTTP 200, forms for returns and IPN with an md5
`verify_sign`, validation by val_id, the query by tran_id with one element for each attempt, by sessionkey with one flat
object, refunds by GET on the same path with `refund_trans_id`. Seen at its sandbox: PROCESSING for a session that
nobody paid, "0 found" with one element INVALID for an unknown tran_id.

Invented: 30 minutes, EXPIRED and CANCELLED in queries, VALIDATED once any call told VALID, newest attempt first,
refunds that are done at once and that no query of the transaction shows, one retry schedule for all notifications.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar

from msgspec.structs import replace

from worker.playground.sandbox import request_fields
from worker.playground.sandbox.announcing import FORGER, webhook_url
from worker.playground.sandbox.gateway_call import Call, GatewayEndpoint, GatewayReply
from worker.playground.sandbox.sessions import Session, Transaction
from worker.playground.sandbox.simulated_gateway import Change, Deed, Happening, Shows, SimulatedGateway, about_session
from worker.playground.sandbox.sslcommerz_opening import URLS, read_opening
from worker.playground.sandbox.sslcommerz_refunds import ask_refund, refund
from worker.playground.sandbox.sslcommerz_shapes import WORDS, element, posted_form, signed_form, val_id
from worker.playground.sandbox.times import compact_seconds, drawn_moment

LIFETIME = 30 * 60
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
POSTS: Mapping[Happening, str] = MappingProxyType(
    {"paid": "VALID", "failed": "FAILED", "cancelled": "CANCELLED", "expired": "EXPIRED"}
)
METHODS = ("GET", "POST")  # the vendor's library for Node.js posts, with everything in the query
CREDENTIALS_WRONG = "Store Credential Error Or Store is De-active"


def _everywhere(name: str, value: str) -> tuple[Change, ...]:
    """A change of the list's elements, and of the flat objects of the other questions."""
    return (("element", name), value), ((name,), value)


class SSLCommerz(SimulatedGateway):
    name = "sslcommerz"
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]] = MappingProxyType(
        {
            "unknown_word": _everywhere("status", "UNDER_REVIEW"),
            "contradiction": _everywhere("status", "FAILED"),
            "still_pending": _everywhere("status", "PROCESSING"),
            "wrong_identity": _everywhere("tran_id", "not-yours"),
            "wrong_currency": _everywhere("currency_type", "USD"),
            "wrong_amount": (*_everywhere("currency_amount", "1.00"), *_everywhere("amount", "1.00")),
        }
    )
    shows: ClassVar[frozenset[Shows]] = frozenset({"redirect_ids", "second_payment", "risk"})
    panel = True

    def endpoints(self) -> tuple[GatewayEndpoint, ...]:
        validator = "/validator/api"
        return (
            GatewayEndpoint(
                method="POST",
                path="/gwprocess/v4/api.php",
                kind="create",
                handler=self.create,
                about=lambda call: call.form().get("tran_id"),
            ),
            *(
                GatewayEndpoint(
                    method=method,
                    path=f"{validator}/validationserverAPI.php",
                    kind="status",
                    handler=self.validate,
                    about=lambda call: self._reference_of(val_id(call.query.get("val_id", ""))),
                )
                for method in METHODS
            ),
            *(
                GatewayEndpoint(
                    method=method,
                    path=f"{validator}/merchantTransIDvalidationAPI.php",
                    kind="status",
                    handler=self.query,
                    about=self._asked_about,
                    refunds=lambda call: bool(call.query.keys() & {"refund_amount", "refund_ref_id"}),
                )
                for method in METHODS
            ),
        )

    def create(self, call: Call) -> GatewayReply:
        form = call.form()
        if not self._admits(form):
            return _failed(CREDENTIALS_WRONG)
        try:
            session = self.sessions.save(self._opened(form))
        except request_fields.WrongField as wrong:
            return _failed(wrong.message)
        page = self.checkout_url(call.base, session.session_id)
        answer = {
            "status": "SUCCESS",
            "failedreason": "",
            "sessionkey": session.session_id,
            "gw": {"mobilebanking": "bkash,nagad,rocket,upay", "visa": "visacard", "master": "mastercard"},
            "redirectGatewayURL": f"{page}/",
            "redirectGatewayURLFailed": "",
            "GatewayPageURL": page,
            "storeBanner": "",
            "storeLogo": "",
            "desc": [{"name": "BKash", "type": "mobilebanking", "logo": "", "gw": "bkash", "redirectGatewayURL": page}],
        }
        return GatewayReply(body=answer)

    def validate(self, call: Call) -> GatewayReply:
        """The answer speaks of a val_id alone: an unknown one says nothing about the payment."""
        if not self._admits(call.query):
            return GatewayReply(body={"APIConnect": "FAILED", "status": "INVALID_TRANSACTION"})
        made = self.sessions.transaction(self.name, val_id(call.query.get("val_id", "")))
        session = None if made is None else self.sessions.get(self.name, made.session_id)
        if made is None or session is None or made.status != "paid":
            return GatewayReply(body={"APIConnect": "DONE", "status": "INVALID_TRANSACTION"})
        told = element(session, made) | {"APIConnect": "DONE", "gw_version": "", "offer_avail": 0}
        self._validated(session, [made])
        return GatewayReply(body=told)

    def query(self, call: Call) -> GatewayReply:
        if not self._admits(call.query):
            return GatewayReply(body={"APIConnect": "FAILED"})
        if "refund_ref_id" in call.query:
            return ask_refund(self, call.query["refund_ref_id"])
        if "refund_amount" in call.query:
            return refund(self, call.query)
        if "sessionkey" in call.query:
            return self._by_session(call.query["sessionkey"])
        if "tran_id" not in call.query:
            return GatewayReply(body={"APIConnect": "INVALID_REQUEST"})
        found = self.sessions.of(self.name, call.query["tran_id"])
        elements = [told for session in found for told in self._attempts(session)]
        if not elements:
            return self.unknown(call.query)
        return GatewayReply(body={"APIConnect": "DONE", "no_of_trans_found": len(elements), "element": elements})

    def failure(self, status: int, message: str) -> GatewayReply:
        return GatewayReply(status=status, body={"APIConnect": "FAILED", "failedreason": message})

    def unknown(self, query: Mapping[str, str]) -> GatewayReply:
        invalid = {"tran_id": query.get("tran_id", ""), "status": "INVALID"}
        return GatewayReply(body={"APIConnect": "DONE", "no_of_trans_found": 0, "element": [invalid]})

    def redirect(self, session: Session, deed: Deed) -> str:
        return str(session.body[URLS[deed]])

    def posted(self, session: Session, deed: Deed) -> dict[str, str]:
        status = {"pay": "VALID", "fail": "FAILED"}.get(deed, "CANCELLED")
        return self._form(session, status)

    def forged(self, form: Mapping[str, str]) -> dict[str, str]:
        return signed_form(form, FORGER)

    def notification(self, session: Session, happening: Happening) -> tuple[str, dict[str, str]] | None:
        """The IPN, to the request's address or the panel's; a refund has none."""
        url = session.body.get("ipn_url") or webhook_url(self)
        return (str(url), self._form(session, POSTS[happening])) if url and happening in POSTS else None

    def end(self, session: Session, status: Any) -> Session:
        """A failed attempt has a bank's id and stays among the answer's elements; a cancelled one has none."""
        if status == "failed":
            session = replace(session, transaction_id=self.new_transaction_id(self.draw(session.reference)))
            self.book(session, status)
        return super().end(session, status)

    def another(self, session: Session, reference: str) -> Session:
        return self._opened({**session.body, "tran_id": reference})

    def new_transaction_id(self, draw: Random) -> str:
        return compact_seconds(drawn_moment(draw)) + "".join(draw.choices(LETTERS, k=16))

    def _form(self, session: Session, status: str) -> dict[str, str]:
        made = self.sessions.transactions(session)
        fits = [one for one in made if WORDS[one.status] == status]
        last = fits[-1] if fits else None
        if last is None and status == "VALID":  # nothing was paid: it comes from somebody who makes it up
            last = Transaction(
                provider=self.name,
                transaction_id=self.new_transaction_id(self.draw(session.reference)),
                session_id=session.session_id,
                status="paid",
                amount=session.amount,
                currency=session.currency,
                made_at=self.state.now(),
            )
        password = self.config.credential(self.name, "store_password")
        return posted_form(element(session, last), status, self.config.credential(self.name, "store_id"), password)

    def _attempts(self, session: Session) -> list[dict[str, Any]]:
        """Each attempt of the session as a query tells it, newest first, and then as told."""
        made = self.sessions.transactions(session)
        told = [element(session, one) for one in reversed(made)]
        if session.status not in ("paid", "refunded", "failed"):
            told.insert(0, element(session, None))
        self._validated(session, [one for one in made if one.status == "paid"])
        return told

    def _by_session(self, sessionkey: str) -> GatewayReply:
        session = self.sessions.get(self.name, sessionkey)
        if session is None:
            return GatewayReply(body={"APIConnect": "DONE", "sessionkey": sessionkey, "status": "INVALID"})
        told = self._attempts(session)
        best = next((one for one in told if one["status"].startswith("VALID")), told[0])
        return GatewayReply(body={**best, "sessionkey": sessionkey, "APIConnect": "DONE"})

    def _validated(self, session: Session, told: list[Transaction]) -> None:
        known = session.notes.get("validated", [])
        new = [one.transaction_id for one in told if one.transaction_id not in known]
        if new:
            self.sessions.save(replace(session, notes={**session.notes, "validated": [*known, *new]}))

    def _opened(self, form: Mapping[str, str]) -> Session:
        amount, currency = read_opening(form)
        reference, now = form["tran_id"], self.state.now()
        return Session(
            provider=self.name,
            session_id="".join(self.draw(reference).choices("0123456789ABCDEF", k=32)),
            merchant="shop",
            reference=reference,
            amount=amount,
            currency=currency,
            body={name: value for name, value in form.items() if name != "store_passwd"},
            created_at=now,
            expires_at=self.ends_at(reference, LIFETIME),
        )

    def _admits(self, fields: Mapping[str, str]) -> bool:
        given = fields.get("store_id"), fields.get("store_passwd")
        return given == tuple(self.config.credential(self.name, key) for key in ("store_id", "store_password"))

    def _reference_of(self, transaction_id: str) -> str | None:
        made = self.sessions.transaction(self.name, transaction_id)
        return None if made is None else about_session(self, made.session_id)

    def _asked_about(self, call: Call) -> str | None:
        return (
            call.query.get("tran_id")
            or about_session(self, call.query.get("sessionkey"))
            or self._reference_of(call.query.get("bank_tran_id", ""))
        )


def _failed(reason: str) -> GatewayReply:
    return GatewayReply(body={"status": "FAILED", "failedreason": reason, "sessionkey": "", "GatewayPageURL": ""})
