"""All that is known of one payment at one moment, read only, for explanations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

from consumers.account import Account
from consumers.checks.repeated_failure import Failing
from consumers.explain.reached import Receiver
from consumers.ports.call_limits import AccountLimits
from schemas.changes import Entry
from schemas.checks import Checks
from schemas.payments import Case, Payment
from schemas.words import EntryKind, Source


class Others(Struct, frozen=True, kw_only=True):
    """The ids of other payments that have keys of this payment: by transaction, by session, and who paid its order."""

    transactions: Mapping[str, str] = field(default_factory=dict)
    sessions: Mapping[str, str] = field(default_factory=dict)
    order_paid_by: str | None = None


class EntryCount(Struct, frozen=True, kw_only=True):
    """Timeline entries of one kind that were only counted. `source`: of claims, who sent them."""

    kind: EntryKind
    source: Source | None
    count: int
    first_at: datetime
    last_at: datetime


class LeftOut(Struct, frozen=True, kw_only=True):
    """The entries that are left out of a timeline that is too long. They stand after the first `place` entries."""

    place: int
    counted: tuple[EntryCount, ...]


class PaymentSnapshot(Struct, frozen=True, kw_only=True):
    """A payment with its timeline, account and endpoints, at `now`.

    `account` is None where it is no longer configured, `limits` where the account was never asked. `others`: see
    Others. `receivers`: the endpoints that get its events. `failing`: set where the payment fails by itself.
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
