"""The sentences about a run that the page and the terminal share, so that two reports of one run agree."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from schemas.report import Next, Report, ReportHeader
from schemas.statements import LineOutcome
from worker.reconciliation.report.amounts import taka
from worker.reconciliation.report.outcome_words import what_next


def headline(report: Report) -> str:
    """Whether all is explained, in one sentence."""
    money = report.money
    if report.explained:
        return f"Everything is explained: {report.rows:,} rows, {taka(money.there)} BDT paid there."
    return (
        f"{taka(money.unexplained)} BDT in {money.unexplained_rows:,} of {report.rows:,} rows "
        f"{'is' if money.unexplained_rows == 1 else 'are'} not yet explained."
    )


def period(about: ReportHeader) -> str:
    """`1 to 30 Nov 2026`, by days of the account's zone. The last day is covered by the statement."""
    if about.since is None or about.until is None:
        return "a period that the statement does not tell"
    zone = ZoneInfo(about.zone)
    first = about.since.astimezone(zone)
    last = max(first, about.until.astimezone(zone) - timedelta(microseconds=1))
    if first.date() == last.date():
        return f"{first:%-d %b %Y}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {last:%-d %b %Y}"
    return f"{first:%-d %b %Y} to {last:%-d %b %Y}"


def too_young(report: Report) -> str | None:
    """The payments that stand in no sum, in one sentence; None without any."""
    young = report.young
    if not young.rows:
        return None
    count = "1 payment" if young.rows == 1 else f"{young.rows:,} payments"
    return (
        f"Beside them, {count} with {taka(young.here)} BDT completed here within {_hours(report.about.grace)} of the "
        f"statement's end: too young to be missed, and in none of these sums."
    )


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return "1 hour" if hours == 1 else f"{hours:,.3g} hours"


def difference(amount: Decimal) -> str:
    if not amount:
        return "both sides agree"
    return "more there than here" if amount > 0 else "more here than there"


def steps(report: Report, outcome: LineOutcome) -> list[str]:
    """The next steps of an outcome's rows, a sentence each, with the number of rows where the steps differ."""
    found = {step: report.nexts[outcome, step] for step in Next if report.nexts.get((outcome, step))}
    told = {step: what_next(step, dry_run=report.about.dry_run) for step in found}
    if len(found) < 2:
        return list(told.values())
    return [f"{count:,} of them: {told[step]}" for step, count in found.items()]


def remarks(about: ReportHeader) -> list[tuple[str, str]]:
    """Notes about the run as a whole, each a head and its sentence."""
    found = []
    if about.dry_run:
        found.append(("A dry run.", "Nothing was changed, and nobody was asked."))
    if about.stopped is not None:
        found.append(("Nothing was followed up:", f"{about.stopped}."))
    if about.seen_before:
        found.append(("Nothing new.", "Everything that follows from this statement was set going by an earlier run."))
    if not about.finished and not about.dry_run:
        found.append(("Not finished.", "Its process ended early; run the same statement again, nothing is done twice."))
    return found
