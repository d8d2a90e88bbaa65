"""PayParse: a checkout link paid by mobile banking. Source: S0, gateway.payparse.site/docs, one page.

It documents no status API, no webhook and no signature, so nothing that it sends proves a payment. Only an account with
a configured `status_check` can be asked. No status word is known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from msgspec import Struct

from consumers.providers import kit
from consumers.providers.payparse_status_check import StatusCheck

# "pending" in the create reply is the only word S0 shows, and a create reply is no answer. The words of an account's
# status API are in its `status_check`.
STATUSES: Mapping[str, kit.Status] = {}

# The fields of the create request (S0). Which of them are mandatory is UNKNOWN; all are sent.
_SENT = ("amount", "order_ref", "expires_in", "success_url", "cancel_url")

_DEFAULT_LIFETIME = 900  # S0: "default 15m"


class PayParse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One PayParse account. Without `status_check`, a success claim is held as `unverifiable`."""

    name: ClassVar[str] = "payparse"

    base_url: str
    api_key: kit.Secret
    status_check: StatusCheck | None = None

    @property
    def capabilities(self) -> kit.Capabilities:
        """S0 documents no parameters of its redirects, so the outcome is read from our own path."""
        check = self.status_check
        if check is None:
            return kit.Capabilities(always=frozenset(), asked_by=frozenset(), shows_refunds=False, wordless=True)
        return kit.Capabilities(
            always=check.always,
            # Our reference is always known. So a path with both placeholders needs only the session.
            asked_by=frozenset({kit.Id.SESSION if "{session_id}" in check.path else kit.Id.REFERENCE}),
            shows_refunds=bool(check.refunded),
            wordless=True,
            tells_unknown=check.not_found is not None,
        )

    def lifetime(self, expires_in: int | None) -> timedelta:
        return timedelta(seconds=expires_in or _DEFAULT_LIFETIME)

    def check(self, opening: kit.Opening) -> list[kit.FieldError]:
        """The limits of S0 for amount and lifetime. The reference must fit a path if the account is asked by it."""
        return [
            *kit.field_limits.amount_between(opening, "10.00", "500000.00"),
            *kit.field_limits.seconds(opening, 300, 86_400),
            *(kit.field_limits.path_reference(opening) if kit.Id.REFERENCE in self.capabilities.asked_by else ()),
            *kit.field_limits.options_apart(opening, _SENT),
        ]

    @kit.exchange
    def open(self, opening: kit.Opening) -> kit.Exchange[kit.OpeningOutcome]:
        """POST /api/v1/order/create (S0). It documents no error; a 4xx in JSON is taken as a refusal."""
        body = {
            "amount": kit.number(opening.amount),
            "order_ref": opening.reference,
            "expires_in": opening.expires_in or _DEFAULT_LIFETIME,
            "success_url": opening.urls.success,
            # A buyer who opens an expired link is sent here too, so a hit may also mean expired.
            "cancel_url": opening.urls.cancel,
            **opening.options,
        }
        received = yield from kit.fetch(kit.post(self._url("/api/v1/order/create"), self._key(), body))
        if not received.ok:
            return kit.refusal_in(received, "message", "error")
        return _opened(opening, received.body)

    @kit.exchange
    def ask(self, question: kit.Question, expected: kit.Expected) -> kit.Exchange[kit.QuestionOutcome]:  # noqa: ARG002
        """Ask the account's `status_check`. Without one the gateway cannot be asked, and the pipeline does not ask."""
        check = self.status_check
        if check is None:
            return kit.unreadable("PayParse has no status API, and no status_check is configured")
        if expected.session_id is None and "{session_id}" in check.path:
            return kit.not_found("no checkout of this payment exists that could be asked for")
        path = check.path.replace("{reference}", kit.segment(expected.reference))
        path = path.replace("{session_id}", kit.segment(expected.session_id or ""))
        url = self._url(path)
        request = kit.post(url, self._key(), {}) if check.method == "POST" else kit.get(url, self._key())
        return check.read((yield from kit.fetch_answer(request, check.is_unknown)))

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged:
        return kit.never_signed(callback, "PayParse")

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        """S0 documents no parameters of its redirects, so the names of its create request and reply are tried."""
        found = kit.fields(callback, "payment_id", "order_ref")
        return kit.CallbackContent(
            said=kit.said_of(callback),
            session_id=kit.text_or_none(found, "payment_id"),
            reference=kit.text_or_none(found, "order_ref"),
        )

    def _url(self, path: str) -> str:
        return kit.endpoint(self.base_url, path)

    def _key(self) -> list[tuple[str, str]]:
        return [("x-api-key", self.api_key.reveal())]


# -- what is read ------------------------------------------------------------------------------------------------------


def _opened(opening: kit.Opening, body: kit.Told) -> kit.Opened:
    """The 201 of S0. It does not echo `order_ref`."""
    kit.check_echo("amount", opening.amount, kit.money_or_none(body, "amount"))
    kit.check_echo("currency", opening.currency, kit.optional_text(body, "currency"))
    return kit.Opened(
        session_id=kit.required_text(body, "payment_id"),
        checkout_url=kit.web_address(body.get("checkout_url")),
        expires_at=kit.time_or_none(kit.timestamps.iso, kit.aside(body, "expires_at")),
    )
