"""A chart of money per day: one strip of bars for each outcome, drawn in place.

The matched money may be a thousand times the rest, and on its scale nothing else could be seen. So each strip has a
scale of its own, which is written over it. Strips have titles, so that colour alone tells none from another.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from html import escape

from schemas.report import ZERO, Report
from schemas.statements import LineOutcome
from worker.reconciliation.report.amounts import short, taka
from worker.reconciliation.report.outcome_words import WORDS_OF_OUTCOMES, matched_first

HEIGHT = 100
BAR = 10
LONGEST = 400
"""At most so many days are drawn: the newest."""


def strips(report: Report) -> str:
    """The chart as HTML, a figure for each outcome that has money on some day; empty when no outcome has."""
    if not report.days:
        return ""
    last = max(report.days)
    first = max(min(report.days), last - timedelta(days=LONGEST - 1))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    drawn = [_strip(report, outcome, days) for outcome in matched_first() if outcome in report.sums]
    return f'<div class="strips">{"".join(drawn)}</div>'


def _strip(report: Report, outcome: LineOutcome, days: list[date]) -> str:
    words, sum_ = WORDS_OF_OUTCOMES[outcome], report.sums[outcome]
    money = [_of(report, day, outcome) for day in days]
    most = max(money)
    if not most:
        return ""
    bars = "".join(_bar(place, day, amount, most) for place, (day, amount) in enumerate(zip(days, money, strict=True)))
    highest = days[money.index(most)]
    told = (
        f"{words.title}, money per day from {days[0]:%-d %B %Y} to {days[-1]:%-d %B %Y}: {taka(sum_.money)} in all, "
        f"most on {highest:%-d %B} with {taka(most)}."
    )
    return (
        f'<figure><figcaption><b><span class="mark" aria-hidden="true">{words.mark}</span> {words.title}</b>'
        f"<span>{taka(sum_.money)}</span></figcaption>"
        f'<div class="ends"><span>up to {short(most)} a day</span></div>'
        f'<svg class="{words.tone}" viewBox="0 0 {len(days) * BAR} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(told)}">{bars}'
        f'<line x1="0" y1="{HEIGHT}" x2="{len(days) * BAR}" y2="{HEIGHT}" vector-effect="non-scaling-stroke"/></svg>'
        f'<div class="ends"><span>{days[0]:%-d %b}</span><span>{days[-1]:%-d %b}</span></div></figure>'
    )


def _bar(place: int, day: date, amount: Decimal, most: Decimal) -> str:
    if not amount:
        return ""
    height = max(2.0, round(float(amount / most) * (HEIGHT - 2), 1))
    return (
        f'<rect x="{place * BAR + 1}" y="{HEIGHT - height:g}" width="{BAR - 2}" height="{height:g}">'
        f"<title>{day:%-d %b}: {taka(amount)}</title></rect>"
    )


def _of(report: Report, day: date, outcome: LineOutcome) -> Decimal:
    found = report.days.get(day, {}).get(outcome)
    return found.money if found else ZERO
