"""The port to a gateway: one frozen class with pure generators, and the effects that they may yield.

    def ask(self, question, expected):
        reply = yield HttpRequest(...)      # an HttpReply comes back, or NoReply is raised here
        return Answer(...)

A generator here must stay pure, without clock, socket or randomness. The worker that runs it provides replies, the
shared token and the deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Protocol, TypeVar

from msgspec import Struct

from consumers.ports.effects import Effect, EffectReply, Exchange, HttpReply, HttpRequest, Token
from consumers.ports.openings import FieldError, Opening, OpeningOutcome
from schemas.answers import Expected, Inconclusive, Question, QuestionOutcome
from schemas.callbacks import Callback, CallbackContent
from schemas.statements import Line, Unread
from schemas.words import AnswerField, Id

T = TypeVar("T")

NOBODYS_PAYMENT = "payproof-doctor"
"""The ids of a payment that does not exist."""


class Misconfigured(ValueError):
    """Raised by a gateway's class, or a table in it, for configured values that cannot work."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field} {error.message}" for error in errors))
        self.errors = tuple(errors)


class Signed(Struct, frozen=True, kw_only=True):
    """The signature is right, and its timestamp is recent.

    `visit`: an address that the gateway's file has checked. A GET of it confirms that we want these webhooks.
    """

    visit: str | None = None


class Unsigned(Struct, frozen=True):
    """The sender is not proven: the gateway does not sign this kind of callback, or the signature is right but old."""


class Forged(Struct, frozen=True):
    """The signature is required, and is missing or wrong. `why` is safe to log."""

    why: str


class CertificateWanted(Struct, frozen=True, kw_only=True):
    """The signature can be checked with the certificate at `url`, an address that the gateway's file has checked.

    `check` takes the certificate as PEM, and returns the result. Until then nothing is proven.
    """

    url: str
    check: Callable[[bytes], Signed | Unsigned | Forged]


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a gateway can do, as its file declares it, so that the rules never depend on a gateway's name.

    - `always`: the fields that every paid answer has; a missing one is a mismatch.
    - `asked_by`: the ids by which it can be asked about a payment; empty where it has no status API.
    - `candidates`: the id of `asked_by` that only a callback brings, so that each such id is a candidate. None where it
      is asked by our own ids.
    - `unknown_expires`: "not found" after the end, said of every candidate, proves that the payment was not paid.
    - `tells_unknown`: how it answers about a payment that it does not know is documented. Elsewhere an unreadable reply
      may be that answer, so it says nothing about the account's health.
    - `secret_headers`: headers of its callbacks that carry a secret, in lower case. `authenticate` reads them, and they
      are neither queued nor archived.
    - `executes`: after a success claim we have to call Execute.
    - `pending_expires`: `pending` after the end proves that the payment was not paid.
    - `pending_expires_after`: where the account configures it, `pending` proves that so many seconds after the end.
    - `shows_refunds`: its answers show refunds, so a completed payment is asked about again.
    - `signs`: it sends signed webhooks to `/webhooks/{account}`.
    - `lists`: it can list its payments; see `ListsPayments`.
    - `wordless`: its redirects name no outcome, so only the path of our own URL tells how the buyer came back.
    """

    always: frozenset[AnswerField]
    asked_by: frozenset[Id]
    shows_refunds: bool
    executes: bool = False
    pending_expires: bool = False
    signs: bool = False
    lists: bool = False
    wordless: bool = False
    candidates: Id | None = None
    unknown_expires: bool = True
    tells_unknown: bool = True
    secret_headers: frozenset[str] = frozenset()
    pending_expires_after: float | None = None


class Provider(Protocol):
    """A gateway, configured for one account. Every implementation is a frozen msgspec Struct."""

    name: ClassVar[str]

    @property
    def base_url(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def lifetime(self, expires_in: int | None) -> timedelta:
        """How long a checkout lives. The shop's wish, `expires_in` in seconds, may have no effect."""
        ...

    def check(self, opening: Opening) -> list[FieldError]:
        """Check an opening against every documented limit. Returns the errors, none where all is well."""
        ...

    def open(self, opening: Opening) -> Exchange[OpeningOutcome]: ...

    def ask(self, question: Question, expected: Expected) -> Exchange[QuestionOutcome]: ...

    def authenticate(self, callback: Callback) -> Signed | Unsigned | Forged | CertificateWanted: ...

    def read_claim(self, callback: Callback) -> CallbackContent:
        """The ids and the claimed outcome in a callback. Raises schemas.wire.Unreadable."""
        ...


class GrantsTokens(Protocol):
    """A gateway whose calls need a shared, expiring token."""

    def grant(self) -> Generator[HttpRequest, HttpReply, Token | Inconclusive]: ...


class Proof(Struct, frozen=True, kw_only=True):
    """Whether an account's keys and passwords work. `unknown`: no call of this gateway tells; `words` say why."""

    verdict: Literal["works", "refused", "unknown"]
    words: str


class ProvesCredentials(Protocol):
    """A gateway with a way of its own to prove its credentials. For others see `consumers/prove_credentials.py`."""

    def prove(self) -> Exchange[Proof | Inconclusive]:
        """Prove them by the cheapest call. Nothing is opened. Inconclusive where the gateway is in trouble."""
        ...


class Remarks(Protocol):
    """A gateway with something to say of how its account is configured, where nothing is wrong."""

    @property
    def remarks(self) -> tuple[str, ...]: ...


class ListedLines(Struct, frozen=True, kw_only=True):
    """Yielded to hand over lines of a list. Nothing is sent back."""

    lines: tuple[Line | Unread, ...]


ListExchange = Generator[Effect | ListedLines, EffectReply | None, T]
"""An Exchange that also yields lines."""


class ListsPayments(Protocol):
    """A gateway whose payments can be listed."""

    def list_payments(self, since: datetime, until: datetime) -> ListExchange[Inconclusive | None]:
        """Yield the lines of every payment from `since` to `until`, each payment once.

        A request may be sent again after trouble. Lines of other times may be among them. Every line's `row` is 0.
        Returns the Inconclusive that ended it early, else None.
        """
        ...
