"""What a gateway is to the rest: one frozen class with pure generators, and the effects they may yield.

    def ask(self, question, expected):
        reply = yield HttpRequest(...)      # an HttpReply comes back, or NoReply is raised here
        return Answer(...)

The one thing to get wrong: a generator here must stay pure. No clock, no socket, no randomness; whoever runs it brings
the reply, the shared token and the deadline.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Protocol, TypeVar

from msgspec import Struct, field

from consumers.timing import TIMING
from schemas.answers import Expected, Inconclusive, Question, QuestionOutcome
from schemas.callbacks import Callback, CallbackContent
from schemas.statements import Line, Unread
from schemas.words import AnswerField, Id

T = TypeVar("T")


class HttpRequest(Struct, frozen=True, kw_only=True):
    """Ask the runner to send this. `url` is absolute; `body` is sent as it is. `seconds` is the whole deadline.

    `takes_money`: it is begun within 5 s of when its question was asked, or not at all, and it is sent again only where
    the first is known not to have run.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    seconds: float = TIMING.request_deadline.total_seconds()
    takes_money: bool = False

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.url})"


class HttpReply(Struct, frozen=True, kw_only=True):
    """A complete reply of any status. Header names are lower case; the body is at most 1 MiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"HttpReply({self.status}, {len(self.body)} bytes)"


class NoReply(Exception):
    """Raised at the `yield` when the request was refused, cut, too long or silent until its deadline."""


class TokenWanted(Struct, frozen=True, kw_only=True):
    """Ask the runner for the account's shared token; `stale` names one that the gateway just refused.

    The reply is the token's text. The runner keeps one token per account for all processes and runs `grant()` for a
    new one, one at a time, when there is none, it ends within a minute, or it is the stale one.
    """

    stale: str | None = None


class Token(Struct, frozen=True, kw_only=True):
    """What `grant()` returns. `seconds` is how long the gateway says it is good for."""

    text: str
    seconds: int


Effect = HttpRequest | TokenWanted
EffectReply = HttpReply | str
Exchange = Generator[Effect, EffectReply, T]
"""What a gateway's method runs: it yields effects, is sent their replies, and ends with what the exchange came to."""


class Customer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The buyer, as the shop tells it. Personal data: in the database and in the gateway's request, nowhere else."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    address: str | None = None
    city: str | None = None
    postcode: str | None = None
    country: str | None = None

    def __repr__(self) -> str:
        return "Customer(***)"


class CallbackUrls(Struct, frozen=True, kw_only=True):
    """Where the gateway is told to send the buyer and its notifications; the payment stands in the path of each."""

    back: str
    success: str
    failure: str
    cancel: str
    ipn: str


class Opening(Struct, frozen=True, kw_only=True):
    """A checkout to open. `expires_in` in seconds; `options` go into the gateway's request as they are."""

    payment_id: str
    reference: str
    amount: Decimal
    currency: str
    description: str
    urls: CallbackUrls
    expires_in: int | None = None
    method: str | None = None
    customer: Customer = field(default_factory=Customer)
    options: Mapping[str, object] = field(default_factory=dict)


class FieldError(Struct, frozen=True, kw_only=True):
    """One thing wrong with a request, before the gateway is called. `field` is a path such as `customer.email`."""

    field: str
    message: str


class Misconfigured(ValueError):
    """Raised by a gateway's class, or a table in it, for fields that cannot work; each `field` is one of its own."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field} {error.message}" for error in errors))
        self.errors = tuple(errors)


class Opened(Struct, frozen=True, kw_only=True):
    """The checkout exists. `expires_at` where the gateway tells one."""

    session_id: str
    checkout_url: str
    expires_at: datetime | None = None


class OpeningRefused(Struct, frozen=True, kw_only=True):
    """The gateway will not open this checkout and says why, in its words (at most 200 characters)."""

    message: str


class ReferenceUsed(Struct, frozen=True):
    """The gateway says that the reference is used already."""


OpeningOutcome = Opened | OpeningRefused | ReferenceUsed | Inconclusive


class Signed(Struct, frozen=True):
    """The signature is right and fresh."""


class Unsigned(Struct, frozen=True):
    """Nothing proves who sent it: the gateway does not sign this kind, or a right signature is too old to count."""


class Forged(Struct, frozen=True):
    """It should be signed rightly and is not. `why` is safe to log."""

    why: str


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a gateway declares, so that the core needs no `if provider ==`.

    `always`: the fields that every paid answer carries; one that is missing there is a mismatch. `asked_by`: the ids
    that it can be asked by; empty when there is no status API. Only a callback brings a transaction to ask by.
    `executes`: a success claim has to be followed by Execute, by us. `pending_expires`: `pending` after the end proves
    that nobody paid; `pending_expires_after`: where an account says so, it proves that so many seconds after the end.
    `shows_refunds`: asked again after completion. `signs`: it sends signed webhooks to `/webhooks/{account}`. `lists`:
    it shows its payments of a time; see `ListsPayments`. `wordless`: its redirects name nothing, so a hit on the
    payment's own path is all that a buyer who comes back can say.
    """

    always: frozenset[AnswerField]
    asked_by: frozenset[Id]
    shows_refunds: bool
    executes: bool = False
    pending_expires: bool = False
    signs: bool = False
    lists: bool = False
    wordless: bool = False
    pending_expires_after: float | None = None


class Provider(Protocol):
    """One gateway, configured for one account. Every implementation is a frozen msgspec Struct."""

    name: ClassVar[str]

    @property
    def base_url(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def lifetime(self, expires_in: int | None) -> timedelta:
        """How long a checkout of this gateway lives, wanted or not."""
        ...

    def check(self, opening: Opening) -> list[FieldError]:
        """Every documented limit, before the gateway is called; empty when all is well."""
        ...

    def open(self, opening: Opening) -> Exchange[OpeningOutcome]: ...

    def ask(self, question: Question, expected: Expected) -> Exchange[QuestionOutcome]: ...

    def authenticate(self, callback: Callback) -> Signed | Unsigned | Forged: ...

    def read_claim(self, callback: Callback) -> CallbackContent:
        """The ids and the word a callback carries. Raises schemas.wire.Unreadable."""
        ...


class GrantsTokens(Protocol):
    """A gateway whose calls need a shared, expiring token."""

    def grant(self) -> Generator[HttpRequest, HttpReply, Token | Inconclusive]: ...


class ListedLines(Struct, frozen=True, kw_only=True):
    """Hand these lines of a list to the runner, who sends nothing back."""

    lines: tuple[Line | Unread, ...]


ListExchange = Generator[Effect | ListedLines, EffectReply | None, T]
"""As an Exchange, and it hands over lines on its way."""


class ListsPayments(Protocol):
    """A gateway whose payments can be listed."""

    def list_payments(self, since: datetime, until: datetime) -> ListExchange[Inconclusive | None]:
        """Yield the lines of every payment of this time, each payment once; a request may be asked again after trouble.

        Lines of other times may be among them, and their rows are not numbered yet. Returns what ended it early.
        """
        ...
