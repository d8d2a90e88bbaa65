"""The parts of a reconciliation report: the run, its rows and their sums.

`there` is always an amount of the statement, `here` always ours. A payment without a line has no `there`, and money
that was unknown here has no `here`.
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
    """The step that followed from a row.

    - `none`: nothing.
    - `asked`: the gateway is asked about the payment.
    - `recorded`: the gateway cannot be asked, so the row itself was recorded as a Fact.
    - `held`: the money was recorded as a payment of its own, held as unexpected.
    - `reported`: it is left to a person.
    """

    NONE = "none"
    ASKED = "asked"
    RECORDED = "recorded"
    HELD = "held"
    REPORTED = "reported"


class OutcomeSum(Struct, frozen=True, kw_only=True):
    """The number of rows of one outcome, with the sums of their money and fees. Without a line, the money is ours."""

    rows: int
    amount: Decimal
    fee: Decimal


class Run(Struct, frozen=True, kw_only=True):
    """One reconciliation run, as it is stored.

    `finished_at` is None while it runs, or if its process died; a new run of the same statement does the rest. `since`
    and `until`: the time that the statement covers. They are None where no row has a time, and then no payment can be
    missing in it. `stopped`: why nothing was followed up. `seen_before`: a run of the same file was finished before.
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
    """A line of the statement with its outcome, or a payment of ours without a line, for which `row` is None."""

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
    """The run as the report names it. `zone`: the time zone of its days. `grace`: in seconds, as in `Terms`.

    `at` and `version`: when and by which release the statement was read. `stopped`: why nothing was followed up.
    `finished` is false while the run's claims are being published, and stays false if its process died.
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
    grace: float = 86_400.0
    dry_run: bool = False
    seen_before: bool = False
    stopped: str | None = None
    finished: bool = True


class Matched(Struct, frozen=True, kw_only=True):
    """The matched rows of one day together; of rows without a time, `day` is None. Its sums are as in `Money`."""

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
    """A number of rows and the sum of their money: the statement's, or ours for a row without it.

    `there` and `here` are what the rows add to the sums of the same names in `Money`.
    """

    rows: int = 0
    money: Decimal = ZERO
    there: Decimal = ZERO
    here: Decimal = ZERO

    def add(self, money: Decimal | None, rows: int = 1, *, there: Decimal = ZERO, here: Decimal = ZERO) -> None:
        self.rows += rows
        self.money += money or ZERO
        self.there += there
        self.here += here

    @property
    def difference(self) -> Decimal:
        return self.there - self.here


class Money(Struct, kw_only=True):
    """The sums of a report: payments there and here, refunds by themselves, and fees.

    `fees`: the sum of the fees that lines name. `fees_expected`: the sum by the account's rule for the same lines; None
    without a rule. `unexplained`: the money of the rows that are not explained yet.
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
    """A run as it is shown. `shown`: the first rows of each outcome but `matched`.

    `young`: payments that were completed here within the grace at the statement's end and stand in no row. They are
    in none of the sums.
    """

    about: ReportHeader
    money: Money = field(default_factory=Money)
    sums: dict[LineOutcome, Sum] = field(default_factory=dict)
    nexts: dict[tuple[LineOutcome, Next], int] = field(default_factory=dict)
    days: dict[date, dict[LineOutcome, Sum]] = field(default_factory=dict)
    shown: Mapping[LineOutcome, list[Row]] = field(default_factory=dict)
    young: Sum = field(default_factory=Sum)

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.sums.values())

    @property
    def explained(self) -> bool:
        """Whether all money is explained."""
        return not self.money.unexplained_rows
