"""Adding a run's rows up in one pass: totals, days, and the first rows of each outcome that is not matched.

A statement may have a million rows. The memory for them is bounded, and the CSV is written as they pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterable, Callable, Iterable
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from schemas.report import ZERO, Matched, Money, Next, Report, ReportHeader, Row, Sum
from schemas.statements import LineOutcome

SHOWN = 200
"""At most so many rows of each outcome are shown on the page."""

EXPLAINED = frozenset({LineOutcome.MATCHED, LineOutcome.DUPLICATE})
_PAID = ("completed", "refunded")


async def gather(
    about: ReportHeader,
    rows: AsyncIterable[Row],
    *,
    matched: Iterable[Matched] = (),
    each: Callable[[Row], None] | None = None,
) -> Report:
    """The report of these rows and of `matched`, which are added up already. Calls `each` with every row of `rows`."""
    adding = Adding(about)
    for many in matched:
        adding.add_matched(many)
    async for row in rows:
        adding.add(row)
        if each is not None:
            each(row)
    return adding.report()


class Adding:
    """A report in the making."""

    def __init__(self, about: ReportHeader) -> None:
        self._about, self._zone = about, ZoneInfo(about.zone)
        self._money = Money()
        self._sums = defaultdict[LineOutcome, Sum](Sum)
        self._nexts = defaultdict[tuple[LineOutcome, Next], int](int)
        self._days: dict[date, dict[LineOutcome, Sum]] = {}
        self._shown = defaultdict[LineOutcome, list[Row]](list)

    def add(self, row: Row) -> None:
        money = row.there if row.there is not None else row.here
        there, here = _paid(row)
        self._sums[row.outcome].add(money, there=there, here=here)
        self._money.there += there
        self._money.here += here
        self._nexts[row.outcome, row.next] += 1
        if row.at is not None:
            day = self._days.setdefault(row.at.astimezone(self._zone).date(), defaultdict(Sum))
            day[row.outcome].add(money)
        if row.outcome is not LineOutcome.MATCHED and len(self._shown[row.outcome]) < SHOWN:
            self._shown[row.outcome].append(row)
        self._add_money(row)

    def add_matched(self, many: Matched) -> None:
        money = self._money
        self._sums[LineOutcome.MATCHED].add(many.money, many.rows, there=many.there, here=many.here)
        self._nexts[LineOutcome.MATCHED, many.next] += many.rows
        if many.day is not None:
            self._days.setdefault(many.day, defaultdict(Sum))[LineOutcome.MATCHED].add(many.money, many.rows)
        money.there += many.there
        money.here += many.here
        money.refunds += many.refunds
        money.fees += many.fees
        if many.fees_expected is not None:
            money.fees_expected = (money.fees_expected or ZERO) + many.fees_expected

    def report(self) -> Report:
        return Report(
            about=self._about,
            money=self._money,
            sums={outcome: self._sums[outcome] for outcome in LineOutcome if outcome in self._sums},
            nexts=dict(self._nexts),
            days={day: dict(self._days[day]) for day in sorted(self._days)},
            shown=dict(self._shown),
        )

    def _add_money(self, row: Row) -> None:
        money = self._money
        if row.outcome is LineOutcome.DUPLICATE:
            return
        if not explained(row):
            money.unexplained += in_question(row)
            money.unexplained_rows += 1
        if row.kind == "refund":
            money.refunds += row.there or ZERO
            return
        if row.fee is not None:
            money.fees += row.fee
        if row.fee is not None and row.fee_expected is not None:
            money.fees_expected = (money.fees_expected or ZERO) + row.fee_expected


def _paid(row: Row) -> tuple[Decimal, Decimal]:
    """What a row adds to the money that was paid there, and to the money that was completed here."""
    if row.outcome is LineOutcome.DUPLICATE or row.kind == "refund":
        return ZERO, ZERO
    paid_there = row.status_there in _PAID
    counts_here = row.status_here in _PAID and _counts_here(row, paid_there=paid_there)
    return (row.there if paid_there else None) or ZERO, (row.here if counts_here else None) or ZERO


def _counts_here(row: Row, *, paid_there: bool) -> bool:
    """Whether a payment's money is counted at this row, so that each payment is counted once.

    A second transaction of a paid payment, and an attempt that was not paid, stand beside the row of the paid one.
    """
    if row.outcome is LineOutcome.MISSING_HERE:
        return False
    return paid_there or row.outcome in (LineOutcome.MISSING_THERE, LineOutcome.STATUS_DIFFERS)


def explained(row: Row) -> bool:
    """Whether no person has to look for this row's money.

    It matches or is a duplicate, or the payment is missing here and the gateway is asked or the row was recorded.
    """
    if row.outcome is LineOutcome.MISSING_HERE:
        return row.next in (Next.ASKED, Next.RECORDED)
    return row.outcome in EXPLAINED


def in_question(row: Row) -> Decimal:
    """How much of a row's money is in question: the difference between the two sides, else all of it."""
    match row.outcome:
        case LineOutcome.AMOUNT_DIFFERS if row.there is not None and row.here is not None:
            return abs(row.there - row.here)
        case LineOutcome.FEE_DIFFERS:
            return abs((row.fee or ZERO) - (row.fee_expected or ZERO))
        case _:
            return row.there if row.there is not None else row.here or ZERO
