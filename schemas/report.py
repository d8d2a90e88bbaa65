"""What a report is made of: the run it tells of, its rows, and what they come to.

The one thing to get wrong: whose amount it is. `there` is always the statement's, `here` always ours; a payment that
has no line has no `there`, and money nobody knew of has no `here`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct, field

from schemas.statements import LineOutcome

ZERO = Decimal("0.00")


class Next(StrEnum):
    """What happened to a row after it was judged.

    - `none`: nothing is to be done.
    - `asked`: the gateway is asked about the payment.
    - `recorded`: the gateway cannot be asked, so the statement's own word was recorded.
    - `held`: the money was recorded as a payment of its own, held as unexpected.
    - `reported`: it is left to a person.
    """

    NONE = "none"
    ASKED = "asked"
    RECORDED = "recorded"
    HELD = "held"
    REPORTED = "reported"


class OutcomeSum(Struct, frozen=True, kw_only=True):
    """So many rows, their money and their fees; of a payment that has no line, the money known here."""

    rows: int
    amount: Decimal
    fee: Decimal


class Run(Struct, frozen=True, kw_only=True):
    """One run. `finished_at` None: at work still, or its process died; the same statement run again does the rest.

    `since` and `until` are what it covers, None where no row has a time; then nothing can be missing there. `stopped`:
    why nothing was set going. `seen_before`: a run of the same file was finished before.
    """

    id: str
    account: str
    source: str
    sha256: str | None
    since: datetime | None
    until: datetime | None
    newest_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    dry_run: bool
    seen_before: bool
    stopped: str | None
    sums: dict[LineOutcome, OutcomeSum]

    @property
    def counts(self) -> dict[LineOutcome, int]:
        return {outcome: one.rows for outcome, one in self.sums.items()}


class Row(Struct, frozen=True, kw_only=True):
    """A line of the statement with what became of it, or a payment of ours that has none: then `row` is None."""

    outcome: LineOutcome
    row: int | None = None
    kind: str | None = None
    at: datetime | None = None
    there: Decimal | None = None
    here: Decimal | None = None
    status_there: str | None = None
    status_here: str | None = None
    fee: Decimal | None = None
    fee_expected: Decimal | None = None
    transaction_id: str | None = None
    session_id: str | None = None
    reference: str | None = None
    payment_id: str | None = None
    why: str | None = None
    next: Next = Next.NONE


class ReportHeader(Struct, frozen=True, kw_only=True):
    """The run: whose statement, what of, when it was read and by which version. `zone` is that of its days.

    `stopped` says why nothing was followed up; `finished` is false while a run's claims are still being published, and
    stays so when its process died.
    """

    run: str
    account: str
    merchant: str
    provider: str
    source: str
    sha256: str | None
    since: datetime | None
    until: datetime | None
    at: datetime
    version: str
    zone: str = "Asia/Dhaka"
    dry_run: bool = False
    seen_before: bool = False
    stopped: str | None = None
    finished: bool = True


class Matched(Struct, frozen=True, kw_only=True):
    """Many matched rows of one day; `day` None: of no time. Its sums are those of `Money`, for these rows alone."""

    day: date | None
    next: Next
    rows: int
    money: Decimal
    there: Decimal
    here: Decimal
    refunds: Decimal
    fees: Decimal
    fees_expected: Decimal | None


class Sum(Struct, kw_only=True):
    """So many rows, and their money: the statement's, or ours where a row has none of it."""

    rows: int = 0
    money: Decimal = ZERO

    def add(self, money: Decimal | None, rows: int = 1) -> None:
        self.rows += rows
        self.money += money or ZERO


class Money(Struct, kw_only=True):
    """Payments there and here, refunds apart; fees where the account has a rule for them.

    `fees_expected` is what the rule says of the lines that name a fee; `fees` is what they name.
    """

    there: Decimal = ZERO
    here: Decimal = ZERO
    refunds: Decimal = ZERO
    fees: Decimal = ZERO
    fees_expected: Decimal | None = None
    unexplained: Decimal = ZERO
    unexplained_rows: int = 0

    @property
    def difference(self) -> Decimal:
        return self.there - self.here


class Report(Struct, kw_only=True):
    """A run as it is shown. `shown` holds the first rows of each outcome that is not `matched`."""

    about: ReportHeader
    money: Money = field(default_factory=Money)
    sums: dict[LineOutcome, Sum] = field(default_factory=dict)
    nexts: dict[tuple[LineOutcome, Next], int] = field(default_factory=dict)
    days: dict[date, dict[LineOutcome, Sum]] = field(default_factory=dict)
    shown: Mapping[LineOutcome, list[Row]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.sums.values())

    @property
    def explained(self) -> bool:
        """Whether no money is left that nothing explains."""
        return not self.money.unexplained_rows
