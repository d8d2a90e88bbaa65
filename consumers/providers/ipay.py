"""iPay Bangladesh, Payment Gateway API v1.2.1. Source: S4, www.ipay.com.bd/developers.

The one thing to get wrong: HTTP 200 says that iPay answered, not that anybody paid. Only `statusCode` 200 in the body
says that; the numbers of its other five states are UNKNOWN, which is why they come from the account's `status_codes`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import ClassVar

from msgspec import Struct, field

from consumers.ports.gateway import (
    Capabilities,
    Effect,
    EffectReply,
    FieldError,
    Forged,
    Opened,
    Opening,
    OpeningOutcome,
    ReferenceUsed,
    Signed,
    Unsigned,
)
from consumers.providers.kit import callback_fields as callbacks
from consumers.providers.kit import field_limits
from consumers.providers.kit.outgoing import endpoint, get, number, post, segment
from consumers.providers.kit.replies import (
    exchange,
    fetch,
    fetch_answer,
    figures,
    optional_text,
    refusal,
    same,
    text,
    web_address,
)
from consumers.providers.kit.said import said
from consumers.providers.kit.timestamps import ipay, known
from schemas.answers import Answer, Expected, Inconclusive, Question, QuestionOutcome
from schemas.callbacks import Callback, CallbackContent
from schemas.secret import Secret
from schemas.wire import Told, Unreadable, aside, whole
from schemas.words import Id, Source, Status

# "The six states of an order" (S4). Only the number of the second is known; the others are the account's to fill in.
#   Created by merchant. No member action yet, still payable.         UNKNOWN   pending
#   Paid by an iPay member. Not payable anymore.                      200       completed
#   Member tapped Cancel at the gateway.                              UNKNOWN   cancelled
#   Member tried to pay and failed.                                   UNKNOWN   failed
#   No action within 15 minutes of creation.                          UNKNOWN   expired
#   Internal technical issue at the gateway. Contact iPay.            UNKNOWN   pending
STATUSES: Mapping[str, Status] = {"200": Status.COMPLETED}

# The fields of POST /order (S4).
_SENT = ("amount", "referenceId", "description", "successCallbackUrl", "failureCallbackUrl", "cancelCallbackUrl")


class IPay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One iPay account. `status_codes` maps further codes, such as `"300"`, to our statuses; 200 is always completed.

    A code in neither is `pending`: it never holds a payment, and 15 minutes after opening it proves that nobody paid.
    """

    name: ClassVar[str] = "ipay"

    base_url: str
    api_key: Secret
    status_codes: dict[str, Status] = field(default_factory=dict)

    @property
    def capabilities(self) -> Capabilities:
        """`orderAmount` was seen by third parties only, so an amount is compared where there is one.

        Its redirects are the URLs that it was given, "exact" (S4); the word of success is in our own path.
        """
        return Capabilities(
            always=frozenset({Id.SESSION, Id.REFERENCE}),
            asked_by=frozenset({Id.SESSION, Id.REFERENCE}),
            shows_refunds=False,
            pending_expires=True,
            wordless=True,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:  # noqa: ARG002
        """S4: an order without action expires 15 minutes after creation, and nothing in the request changes that."""
        return timedelta(minutes=15)

    def check(self, opening: Opening) -> list[FieldError]:
        """Lengths as S4 gives them. It names no smallest and no greatest amount."""
        return [
            *field_limits.amount_between(opening, "0.01", None),
            *field_limits.length("reference", opening.reference, least=1, most=50),
            *field_limits.path_reference(opening),
            *field_limits.length("description", opening.description, least=1, most=255),
            *field_limits.callback_urls(opening, 512),
            *field_limits.options_apart(opening, _SENT),
        ]

    @exchange
    def open(self, opening: Opening) -> Generator[Effect, EffectReply, OpeningOutcome]:
        """POST /order (S4). 409 says that the reference was used, which iPay never takes back."""
        body = {
            "amount": number(opening.amount),
            "referenceId": opening.reference,
            "description": opening.description,
            "successCallbackUrl": opening.urls.success,
            "failureCallbackUrl": opening.urls.failure,
            "cancelCallbackUrl": opening.urls.cancel,
            **opening.options,
        }
        received = yield from fetch(post(endpoint(self.base_url, "/order"), self._key(), body))
        if isinstance(received, Inconclusive):
            return received
        if received.status == 409:
            return ReferenceUsed()
        if not received.ok:
            # S4 shows `message`; a third-party client of the live API reads `errorMessage`.
            return refusal(received, *(aside(received.body, name) for name in ("message", "errorMessage")))
        return self._opened(opening, received.body)

    @exchange
    def ask(self, question: Question, expected: Expected) -> Generator[Effect, EffectReply, QuestionOutcome]:  # noqa: ARG002
        """GET /order/{orderId}/status, or by our reference where no order id is known (S4)."""
        if expected.session_id is not None:
            path = f"/order/{segment(expected.session_id)}/status"
        else:
            path = f"/order/referenceId/{segment(expected.reference)}/status"
        # The body for an unknown id is UNKNOWN, so nothing is read as "not found": a 404 may be anybody's.
        body = yield from fetch_answer(get(endpoint(self.base_url, path), self._key()))
        return body if isinstance(body, Inconclusive) else self._answer(body)

    def authenticate(self, callback: Callback) -> Signed | Unsigned | Forged:
        return Forged("iPay does not sign") if callback.source is Source.WEBHOOK else Unsigned()

    def read_claim(self, callback: Callback) -> CallbackContent:
        """No parameter of its redirects is documented (S4); the names are those of its replies."""
        found = callbacks.fields(callback, "orderid", "referenceid")
        return CallbackContent(
            said=said(callback),
            session_id=callbacks.text_or_none(found, "orderid"),
            reference=callbacks.text_or_none(found, "referenceid"),
        )

    def _key(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.api_key.reveal()}")]

    def _opened(self, opening: Opening, body: Told) -> Opened:
        same("referenceId", opening.reference, optional_text(body, "referenceId"))
        address = body.get("paymentUrl")
        if isinstance(address, str) and "://" not in address:
            # S4's sample has no scheme: "app.ipay.com.bd/pay/IPAY-12345678".
            address = ("http://" if self.base_url.startswith("http://") else "https://") + address
        return Opened(session_id=text(body, "orderId"), checkout_url=web_address(address))

    def _answer(self, body: Told) -> Answer:
        """The currency is BDT by definition and never in the reply. `transactionId` is null unless paid (S4)."""
        code = str(whole(body.get("statusCode")))  # a number in S4, a string in some of its users' code
        status = STATUSES.get(code) or self.status_codes.get(code)
        order, reference = optional_text(body, "orderId"), optional_text(body, "referenceId")
        if status is None and order is None and reference is None:
            raise Unreadable("an unlisted statusCode without any id is an error, not the state of an order")
        return Answer(
            status=status or Status.PENDING,
            word=code,
            session_id=order,
            reference=reference,
            transaction_id=optional_text(body, "transactionId"),
            paid_at=known(ipay, aside(body, "transactionTime")),
            **figures(amount=body.get("orderAmount")),
        )
