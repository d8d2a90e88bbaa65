"""`payproof reconcile`: a gateway's statement compared with our payments, and the reports for an accountant.

Exit codes: 0 everything matched or is explained, 1 money is left that nothing explains, 2 a file or a configuration
that cannot be used; then nothing was changed.

Errors that can be found early, such as a file that cannot be written, are found before the first row is read, because
the follow-up of a statement is not taken back.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.cli.list_output import LISTED, ListOptions, print_list

reconcile = App(name="reconcile", help="Compare a gateway's statement with our payments; list and show such runs.")

Csv = Annotated[Path | None, Parameter(name="--csv", help="Write every row with its outcome there.")]
Html = Annotated[Path | None, Parameter(name="--html", help="Write the report there, as one page to open or print.")]


@reconcile.default
def run(
    *,
    account: Annotated[str | None, Parameter(help="The account whose statement it is.")] = None,
    statement: Annotated[Path | None, Parameter(help="The portal's export: CSV, TSV or XLSX.")] = None,
    from_: Annotated[
        str | None, Parameter(name="--from", help="First day or time covered; without --statement, of the list.")
    ] = None,
    to: Annotated[str | None, Parameter(name="--to", help="Last day covered, or the time that ends it.")] = None,
    dry_run: Annotated[bool, Parameter(help="Judge every row and change nothing.", negative="")] = False,
    guess: Annotated[bool, Parameter(help="Propose how to read the file, and stop.", negative="")] = False,
    write: Annotated[
        bool, Parameter(help="With --guess: put the map into the configuration, below --account.", negative="")
    ] = False,
    however_many: Annotated[bool, Parameter(help="Follow up even where most of the rows differ.", negative="")] = False,
    csv: Csv = None,
    html: Html = None,
) -> int:
    """Compare a statement with our payments, and follow it up: gateways are asked, unknown money is held."""
    if guess:
        from worker.cli.guess import print_guess

        if statement is None:
            raise WrongUsage("--guess needs --statement")
        if write and account is None:
            raise WrongUsage("--write: needs --account")
        return print_guess(statement, account if write else None)
    if write:
        raise WrongUsage("--write: is for --guess")
    if account is None:
        raise WrongUsage("--account: is needed")

    from worker.cli.reconciling import Wanted, reconcile_list, reconcile_statement

    wanted = Wanted(account=account, since=from_, until=to, dry_run=dry_run, however_many=however_many)
    outputs = _outputs(csv, html)
    if statement is not None:
        return asyncio.run(reconcile_statement(wanted, statement, outputs))
    if from_ is None or to is None:
        raise WrongUsage("give --statement, or --from and --to where the gateway has a list")
    return asyncio.run(reconcile_list(wanted, outputs))


@reconcile.command(name="list")
def list_runs(
    *,
    account: Annotated[str | None, Parameter(help="Those of one account alone.")] = None,
    limit: Annotated[int, Parameter(help="At most so many.", validator=Number(gte=1))] = 20,
    listed: ListOptions = LISTED,
) -> int:
    """List runs, newest first."""
    from schemas.report import Run
    from worker.cli.configured import configuration
    from worker.cli.run_table import RUN_COLUMNS, print_runs, run_record
    from worker.postgres.server.opened import opened_as_it_is
    from worker.postgres.statements.runs import read_runs

    async def read() -> list[Run]:
        async with opened_as_it_is(configuration()) as database:
            return await read_runs(database, None if account is None else [account], most=limit)

    runs = asyncio.run(read())
    print_list(listed, RUN_COLUMNS, [run_record(run) for run in runs], lambda: print_runs(runs, listed))
    return 0


@reconcile.command(name="show")
def show_run_command(run_id: Annotated[str, Parameter(name="RUN")], /, *, csv: Csv = None, html: Html = None) -> int:
    """Show a run again as it was judged, and write its CSV and its page."""
    from worker.cli.configured import configuration
    from worker.cli.reporting import show_run
    from worker.postgres.server.opened import opened_as_it_is
    from worker.postgres.statements.runs import read_run

    outputs = _outputs(csv, html)

    async def read() -> None:
        config = configuration()
        async with opened_as_it_is(config) as database:
            found = await read_run(database, run_id)
            if found is None:
                raise CommandFailed(f"there is no run {run_id}; payproof reconcile list shows them")
            await show_run(config, database, found, *outputs)

    asyncio.run(read())
    return 0


def _outputs(csv: Path | None, html: Path | None) -> tuple[Path | None, Path | None]:
    """The files to write. Raises WrongUsage where a file cannot be written, before any work."""
    for name, path in (("--csv", csv), ("--html", html)):
        if path is None:
            continue
        if path.is_dir():
            raise WrongUsage(f"{name}: {path} is a directory")
        if not path.parent.is_dir():
            raise WrongUsage(f"{name}: there is no directory {path.parent}")
        if not os.access(path.parent, os.W_OK):
            raise WrongUsage(f"{name}: nothing can be written to {path.parent}")
    if csv is not None and csv == html:
        raise WrongUsage("--html: is the same file as --csv")
    return csv, html
