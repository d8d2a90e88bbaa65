"""All that is known of one payment at one moment, for a person to read; nothing here moves anything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

from consumers.account import Account
from consumers.checks.repeated_failure import Failing
from consumers.explain.reached import Receiver
from consumers.ports.call_limits import AccountLimits
from schemas.checks import Checks
from schemas.payments import Case, Entry, Payment
from schemas.words import EntryKind, Source


class Others(Struct, frozen=True, kw_only=True):
    """Which other payments have what this one was answered with: ids of payments by transaction, session, order."""

    transactions: Mapping[str, str] = field(default_factory=dict)
    sessions: Mapping[str, str] = field(default_factory=dict)
    order_paid_by: str | None = None


class EntryCount(Struct, frozen=True, kw_only=True):
    """Entries of a kind that were only counted; `source` is whose claims they were."""

    kind: EntryKind
    source: Source | None
    count: int
    first_at: datetime
    last_at: datetime


class LeftOut(Struct, frozen=True, kw_only=True):
    """What a timeline that is too long for a screen holds besides; `place` entries come before all of it."""

    place: int
    counted: tuple[EntryCount, ...]


class PaymentSnapshot(Struct, frozen=True, kw_only=True):
    """`account` is None where the configuration has it no longer; `limits` where its gateway was never counted.

    `receivers` are the endpoints that want its events; `failing` counts what fails of it by itself.
    """

    case: Case
    entries: tuple[Entry, ...]
    left_out: LeftOut | None = None
    others: Others = Others()
    now: datetime
    checks: Checks
    account: Account | None = None
    limits: AccountLimits | None = None
    receivers: tuple[Receiver, ...] = ()
    failing: Failing | None = None

    @property
    def payment(self) -> Payment:
        return self.case.payment
