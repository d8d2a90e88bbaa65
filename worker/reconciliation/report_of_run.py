"""A run as a report: its header from the configuration, and its rows added up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, version

from consumers.reconciliation.verdicts import Terms
from schemas.report import Report, ReportHeader, Row, Run
from schemas.statements import LineOutcome
from worker.config import Config
from worker.postgres.database import Database
from worker.postgres.statements.matched import read_matched
from worker.postgres.statements.runs import read_rows
from worker.postgres.statements.young import read_young
from worker.reconciliation.report.gathering import gather
from worker.runtime.zone import ZONE


async def report_of(about: ReportHeader, database: Database, run: Run) -> Report:
    """The report of a run. Its matched rows are added up by the database."""
    matched = await read_matched(database, run.id, about.zone)
    report = await gather(about, differing(database, run), matched=matched)
    report.young = await read_young(database, run, about.grace)
    return report


def about_of(config: Config, run: Run) -> ReportHeader:
    """The header of the run's report. Its account may have left the configuration since."""
    account = config.account(run.account)
    return ReportHeader(
        run=run.id,
        account=run.account,
        merchant=account.merchant if account else "unknown",
        provider=account.provider.name if account else "no longer configured",
        source=run.source,
        sha256=run.sha256,
        since=run.since,
        until=run.until,
        at=run.started_at,
        version=_version(),
        zone=account.statement.time_zone if account and account.statement else ZONE,
        grace=(Terms.of(account.statement) if account and account.statement else Terms()).grace,
        dry_run=run.dry_run,
        seen_before=run.seen_before,
        stopped=run.stopped,
        finished=run.finished_at is not None,
    )


async def differing(database: Database, run: Run) -> AsyncIterator[Row]:
    """All rows but the matched ones."""
    for outcome in run.sums:
        if outcome is not LineOutcome.MATCHED:
            async for row in read_rows(database, run.id, outcome):
                yield row


def _version() -> str:
    try:
        return version("payproof")
    except PackageNotFoundError:
        return "from a checkout"
