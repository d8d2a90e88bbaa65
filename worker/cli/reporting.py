"""A run's rows read once, into its summary, its CSV and its page.

Both files are written beside their place and moved there when they are whole, so that no half file is left.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console

from schemas.report import Report, ReportHeader, Row, Run
from schemas.statements import LineOutcome
from worker.cli.command_errors import WrongUsage
from worker.config import Config
from worker.postgres.database import Database
from worker.postgres.statements.matched import read_matched
from worker.postgres.statements.runs import read_rows
from worker.reconciliation.report.gathering import gather
from worker.reconciliation.report.page import report_page
from worker.reconciliation.report.table import table
from worker.reconciliation.report.terminal import print_report

ZONE = "Asia/Dhaka"

Tell = Callable[[Row], None]


async def show_run(
    config: Config,
    database: Database,
    run: Run,
    csv: Path | None,
    html: Path | None,
    *,
    told: Tell | None = None,
    before: Callable[[], None] | None = None,
) -> Report:
    """Write the files and print the summary. Returns the report. Raises WrongUsage where a file cannot be written.

    `told` is called with every row that is read for a CSV. `before` is called once, before the summary is printed.
    """
    about = about_of(config, run)
    with ExitStack() as files:
        if csv is None:
            matched = await read_matched(database, run.id, about.zone)
            report = await gather(about, _differing(database, run), matched=matched)
        else:
            write = files.enter_context(table(files.enter_context(_replacing(csv, "--csv"))))

            def hear(row: Row) -> None:
                write(row)
                if told is not None:
                    told(row)

            report = await gather(about, read_rows(database, run.id), each=hear)
        if html is not None:
            files.enter_context(_replacing(html, "--html")).write_text(report_page(report), encoding="utf-8")
    if before is not None:
        before()
    print_report(Console(highlight=False), report)
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
        dry_run=run.dry_run,
        seen_before=run.seen_before,
        stopped=run.stopped,
        finished=run.finished_at is not None,
    )


async def _differing(database: Database, run: Run) -> AsyncIterator[Row]:
    """All rows but the matched ones."""
    for outcome in run.sums:
        if outcome is not LineOutcome.MATCHED:
            async for row in read_rows(database, run.id, outcome):
                yield row


@contextmanager
def _replacing(path: Path, option: str) -> Iterator[Path]:
    """A file beside this path, which takes its place when the block ends well. Raises WrongUsage."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.open("x").close()
    except OSError as error:
        raise WrongUsage(f"{option}: {path}: {error.strerror}") from None
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _version() -> str:
    try:
        return version("payproof")
    except PackageNotFoundError:
        return "from a checkout"
