"""Gateways reduced to their capabilities, which are all that the stages between HTTP and the tables use."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.ports.effects import Effect, EffectReply
from consumers.ports.gateway import Capabilities, Forged, Signed, Unsigned
from consumers.ports.openings import FieldError, Opening, OpeningOutcome
from schemas.answers import Expected, Question, QuestionOutcome
from schemas.callbacks import Callback, CallbackContent
from schemas.words import Id, MoneyField

MERCHANT = "shop"
LIFETIME = timedelta(minutes=30)


class FakeProvider(Struct, frozen=True, kw_only=True):
    """A gateway with capabilities and without requests; the test supplies its replies."""

    name: ClassVar[str] = "fake"
    can: Capabilities
    base_url: str = "http://127.0.0.1:1"

    @property
    def capabilities(self) -> Capabilities:
        return self.can

    def lifetime(self, expires_in: int | None) -> timedelta:
        return LIFETIME if expires_in is None else timedelta(seconds=expires_in)

    def check(self, opening: Opening) -> list[FieldError]:
        return []

    def open(self, opening: Opening) -> Generator[Effect, EffectReply, OpeningOutcome]:
        raise NotImplementedError

    def ask(self, question: Question, expected: Expected) -> Generator[Effect, EffectReply, QuestionOutcome]:
        raise NotImplementedError

    def authenticate(self, callback: Callback) -> Signed | Unsigned | Forged:
        raise NotImplementedError

    def read_claim(self, callback: Callback) -> CallbackContent:
        raise NotImplementedError


def account(name: str, can: Capabilities) -> Account:
    # The port declares `base_url: str`; a frozen struct only lets it be read, as the real gateways do.
    return Account(id=name, merchant=MERCHANT, provider=FakeProvider(can=can))  # type: ignore[arg-type]


OURS = frozenset({Id.SESSION, Id.REFERENCE})

PLAIN = account(
    "plain",
    Capabilities(always=OURS | {MoneyField.AMOUNT, MoneyField.CURRENCY}, asked_by=OURS, shows_refunds=True, signs=True),
)
"""Asked by our own ids, shows refunds, and its `pending` proves nothing (as at ShadhinPay)."""

PROVING = account("proving", Capabilities(always=OURS, asked_by=OURS, shows_refunds=False, pending_expires=True))
"""Its `pending` after the end proves that the payment was not paid; no amount in its answers (iPay)."""

SILENT = account("silent", Capabilities(always=frozenset(), asked_by=frozenset(), shows_refunds=False))
"""Its gateway cannot be asked at all (PayParse without a status API)."""

EXECUTING = account(
    "executing",
    Capabilities(
        always=OURS | {Id.TRANSACTION, MoneyField.AMOUNT, MoneyField.CURRENCY},
        asked_by=frozenset({Id.SESSION}),
        shows_refunds=False,
        executes=True,
        pending_expires=True,
    ),
)
"""A success claim is followed by our Execute, which takes the money (OnePayBD)."""

CANDIDATES = account(
    "candidates",
    Capabilities(
        always=frozenset({Id.REFERENCE, Id.TRANSACTION, MoneyField.AMOUNT, MoneyField.CURRENCY}),
        asked_by=frozenset({Id.TRANSACTION}),
        candidates=Id.TRANSACTION,
        shows_refunds=True,
        signs=True,
    ),
)
"""Asked only by transaction ids that callbacks bring (Moneybag)."""

WORDLESS = account("wordless", replace(PLAIN.provider.capabilities, wordless=True))
"""As PLAIN, and its redirects name nothing."""

SESSIONLESS = account(
    "sessionless",
    Capabilities(
        always=frozenset({Id.REFERENCE, Id.TRANSACTION, MoneyField.AMOUNT, MoneyField.CURRENCY}),
        asked_by=frozenset({Id.REFERENCE}),
        shows_refunds=False,
    ),
)
"""Its openings give no session id, and it is asked by our reference (aamarPay)."""

INVOICES = account(
    "invoices",
    Capabilities(
        always=frozenset({Id.SESSION, Id.REFERENCE, MoneyField.AMOUNT}),
        asked_by=frozenset({Id.SESSION}),
        shows_refunds=False,
        candidates=Id.SESSION,
        unknown_expires=False,
    ),
)
"""Asked only by session ids that callbacks bring, and its "not found" proves nothing (UddoktaPay)."""

ACCOUNTS = (PLAIN, PROVING, SILENT, EXECUTING, CANDIDATES, WORDLESS, SESSIONLESS, INVOICES)
