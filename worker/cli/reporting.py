"""A run's rows read once, into its summary, its CSV and its page.

Both files are written beside their place and moved there when they are whole, so that no half file is left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from schemas.report import Report, Row, Run
from worker.cli.command_errors import WrongUsage
from worker.config import Config
from worker.postgres.database import Database
from worker.postgres.statements.runs import read_rows
from worker.postgres.statements.young import read_young
from worker.reconciliation.report.gathering import gather
from worker.reconciliation.report.page import report_page
from worker.reconciliation.report.table import table
from worker.reconciliation.report.terminal import print_report
from worker.reconciliation.report_of_run import about_of, report_of

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
            report = await report_of(about, database, run)
        else:
            write = files.enter_context(table(files.enter_context(_replacing(csv, "--csv"))))

            def hear(row: Row) -> None:
                write(row)
                if told is not None:
                    told(row)

            report = await gather(about, read_rows(database, run.id), each=hear)
            report.young = await read_young(database, run, about.grace)
        if html is not None:
            files.enter_context(_replacing(html, "--html")).write_text(report_page(report), encoding="utf-8")
    if before is not None:
        before()
    print_report(Console(highlight=False), report)
    return report


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
