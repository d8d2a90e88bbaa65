"""iPay Bangladesh, Payment Gateway API v1.2.1. Source: S4, www.ipay.com.bd/developers.

HTTP 200 says that iPay answered, not that the buyer paid. Only `statusCode` 200 in the body says paid. The numbers of
its other five states are UNKNOWN, so they come from the account's `status_codes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from msgspec import Struct, field

from consumers.providers import kit

# "The six states of an order" (S4). Only the number of the second is known; the others are the account's to fill in.
#   Created by merchant. No member action yet, still payable.         UNKNOWN   pending
#   Paid by an iPay member. Not payable anymore.                      200       completed
#   Member tapped Cancel at the gateway.                              UNKNOWN   cancelled
#   Member tried to pay and failed.                                   UNKNOWN   failed
#   No action within 15 minutes of creation.                          UNKNOWN   expired
#   Internal technical issue at the gateway. Contact iPay.            UNKNOWN   pending
STATUSES: Mapping[str, kit.Status] = {"200": kit.Status.COMPLETED}

# The fields of POST /order (S4).
_SENT = ("amount", "referenceId", "description", "successCallbackUrl", "failureCallbackUrl", "cancelCallbackUrl")


class IPay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One iPay account. `status_codes` maps further codes, such as `"300"`, to our statuses; 200 is always completed.

    Any other code reads as `pending`, so it holds no payment. From 15 minutes after the opening, `pending` proves that
    the payment was not paid.
    """

    name: ClassVar[str] = "ipay"

    base_url: str
    api_key: kit.Secret
    status_codes: dict[str, kit.Status] = field(default_factory=dict)

    @property
    def capabilities(self) -> kit.Capabilities:
        """S4 does not document `orderAmount`, so the amount is compared only where the reply has one.

        iPay redirects to the "exact" URLs that it was given (S4), so the outcome is read from our own path.
        """
        return kit.Capabilities(
            always=frozenset({kit.Id.SESSION, kit.Id.REFERENCE}),
            asked_by=frozenset({kit.Id.SESSION, kit.Id.REFERENCE}),
            shows_refunds=False,
            pending_expires=True,
            wordless=True,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:  # noqa: ARG002
        """S4: an order without action expires 15 minutes after creation, and nothing in the request changes that."""
        return timedelta(minutes=15)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """Lengths as S4 gives them. It names no smallest and no greatest amount."""
        return [
            *kit.field_limits.amount_between(opening, "0.01", None),
            *kit.field_limits.length("reference", opening.reference, least=1, most=50),
            *kit.field_limits.path_reference(opening),
            *kit.field_limits.length("description", opening.description, least=1, most=255),
            *kit.field_limits.callback_urls(opening, 512),
            *kit.field_limits.options_apart(opening, _SENT),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """POST /order (S4). 409 says that the reference was used. iPay never releases a reference."""
        body = {
            "amount": kit.number(opening.amount),
            "referenceId": opening.reference,
            "description": opening.description,
            "successCallbackUrl": opening.urls.success,
            "failureCallbackUrl": opening.urls.failure,
            "cancelCallbackUrl": opening.urls.cancel,
            **opening.options,
        }
        received = yield from kit.fetch(kit.post(kit.endpoint(self.base_url, "/order"), self._key(), body))
        if received.status == 409:
            return kit.ReferenceUsed()
        if not received.ok:
            # S4 shows `message`; a third-party client of the live API reads `errorMessage`.
            return kit.refusal_in(received, "message", "errorMessage")
        return self._opened(opening, received.body)

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:  # noqa: ARG002
        """GET /order/{orderId}/status, or by our reference where no order id is known (S4)."""
        if expected.session_id is not None:
            path = f"/order/{kit.segment(expected.session_id)}/status"
        else:
            path = f"/order/referenceId/{kit.segment(expected.reference)}/status"
        # S4 shows no reply about an id that iPay does not know, so nothing is read as "not found": a 404 may come from
        # a proxy.
        body = yield from kit.fetch_answer(kit.get(kit.endpoint(self.base_url, path), self._key()))
        return self._answer(body)

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        return kit.never_signed(callback, "iPay")

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        """S4 documents no parameters of its redirects, so the field names of its replies are tried."""
        found = kit.fields(callback, "orderid", "referenceid")
        return kit.CallbackContent(
            said=kit.said_of(callback),
            session_id=kit.text_or_none(found, "orderid"),
            reference=kit.text_or_none(found, "referenceid"),
        )

    def _key(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.api_key.reveal()}")]

    def _opened(self, opening: kit.Opening, body: kit.Told) -> kit.Opened:
        kit.check_echo("referenceId", opening.reference, kit.optional_text(body, "referenceId"))
        address = body.get("paymentUrl")
        if isinstance(address, str) and "://" not in address:
            # S4's sample has no scheme: "app.ipay.com.bd/pay/IPAY-12345678".
            address = ("http://" if self.base_url.startswith("http://") else "https://") + address
        return kit.Opened(session_id=kit.required_text(body, "orderId"), checkout_url=kit.web_address(address))

    def _answer(self, body: kit.Told) -> kit.Answer:
        """The currency is BDT by definition and never in the reply. `transactionId` is null unless paid (S4)."""
        code = str(kit.whole(body.get("statusCode")))  # a number in S4, a string in some of its users' code
        status = STATUSES.get(code) or self.status_codes.get(code)
        order, reference = kit.optional_text(body, "orderId"), kit.optional_text(body, "referenceId")
        if status is None and order is None and reference is None:
            raise kit.Unreadable("an unlisted statusCode without any id is an error, not the state of an order")
        return kit.Answer(
            status=status or kit.Status.PENDING,
            word=code,
            session_id=order,
            reference=reference,
            transaction_id=kit.optional_text(body, "transactionId"),
            paid_at=kit.time_or_none(kit.timestamps.ipay, kit.aside(body, "transactionTime")),
            **kit.read_amounts(amount=body.get("orderAmount")),
        )
