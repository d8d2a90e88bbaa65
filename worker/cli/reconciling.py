"""Running one statement from the command line: a file by its account's map, or the gateway's own list.

`--from` and `--to` are days of the account's time zone, the last day included. A statement from Dhaka that was cut at
midnight UTC would miss six hours of money.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec import Struct

from consumers.account import Account
from consumers.reconciliation.verdicts import Terms
from schemas.statements import Line, Unread
from worker.cli.bar import Bar, bar
from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.cli.commanded import commanded
from worker.cli.configured import configuration
from worker.cli.reporting import show_run
from worker.config import Config, rules_of
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.server.opened import opened_as_it_is
from worker.postgres.tokens import PostgresTokens
from worker.reconciliation.gateway_list import ListFailed, list_lines
from worker.reconciliation.run import AnotherRun, Lines, StatementScope
from worker.reconciliation.run import reconcile_lines as judge
from worker.reconciliation.statements import StatementError, open_statement, read_lines
from worker.runtime.zone import ZONE
from worker.verify.gateways import Gateways, gateways

ONE_DAY = timedelta(days=1)
BLOCK = 1024 * 1024

Outputs = tuple[Path | None, Path | None]


class Wanted(Struct, frozen=True, kw_only=True):
    """The options of the command line; `since` and `until` as they were typed."""

    account: str
    since: str | None
    until: str | None
    dry_run: bool
    however_many: bool


class Sized(Struct, frozen=True, kw_only=True):
    """A file's digest, and how many lines of text it has. In a text file that is about the number of rows."""

    sha256: str
    lines: int


async def reconcile_statement(wanted: Wanted, path: Path, outputs: Outputs) -> int:
    """Reconcile a file. Returns the exit code. Raises WrongUsage for a file or a map that cannot be used."""
    config, account = _configured(wanted)
    if account.statement is None:
        raise WrongUsage(
            f"{account.id} has no [merchants.accounts.statement] in the configuration; "
            f"payproof reconcile --guess --statement {path} proposes one"
        )
    since, until = _span(wanted, account)
    try:
        opened = open_statement(path)
        lines = read_lines(opened, account.statement)
        sized = _sized(path)
        about = StatementScope(source=path.name, sha256=sized.sha256, since=since, until=until)
        with bar() as shown:
            shown.reading(path.name, sized.lines if opened.form == "CSV" else None)
            return await _run(config, account, wanted, _told(lines, shown), about, outputs, shown)
    except StatementError as error:
        raise WrongUsage(f"{path}: {error}; nothing was changed") from None
    except OSError as error:
        if error.filename != str(path):
            raise
        raise WrongUsage(f"{path}: {error.strerror}") from None


async def reconcile_list(wanted: Wanted, outputs: Outputs) -> int:
    """Reconcile the gateway's own list. Returns the exit code.

    Raises WrongUsage, or CommandFailed where the list ends early.
    """
    config, account = _configured(wanted)
    since, until = _span(wanted, account)
    if not account.provider.capabilities.lists:
        raise WrongUsage(f"{account.id}: {account.provider.name} has no list of payments; give --statement")
    assert since is not None, "both were asked for"
    assert until is not None, "both were asked for"
    source = f"{account.provider.name}'s list of {wanted.since} to {wanted.until}"
    with bar() as shown:
        shown.reading(source, None)
        try:
            async with _opened(config) as database, gateways(PostgresTokens(database)) as asking:
                end = min(until, database.clock.now())
                lines = _listed(database, asking, account, since, end, shown)
                about = StatementScope(source=source, since=since, until=end, listed=True)
                return await _judged(config, database, account, wanted, lines, about, outputs, shown)
        except ListFailed as error:
            raise CommandFailed(f"{error}; nothing was changed") from None


async def _listed(
    database: Database, asking: Gateways, account: Account, since: datetime, until: datetime, shown: Bar
) -> AsyncIterator[Line | Unread]:
    async for line in list_lines(asking, PostgresLedger(database), account, since, until):
        yield line
    shown.comparing()


async def _run(
    config: Config, account: Account, wanted: Wanted, lines: Lines, about: StatementScope, outputs: Outputs, shown: Bar
) -> int:
    async with _opened(config) as database:
        return await _judged(config, database, account, wanted, lines, about, outputs, shown)


async def _judged(
    config: Config,
    database: Database,
    account: Account,
    wanted: Wanted,
    lines: Lines,
    about: StatementScope,
    outputs: Outputs,
    shown: Bar,
) -> int:
    action = "statement.tried" if wanted.dry_run else "statement.reconciled"
    try:
        run = await judge(
            database,
            rules_of(config),
            PostgresBus(database),
            account,
            lines,
            about,
            commanded(action, merchant=account.merchant),
            terms=Terms.of(account.statement) if account.statement else Terms(),
            dry_run=wanted.dry_run,
            however_many=wanted.however_many,
            progress=shown.rows,
        )
    except AnotherRun as error:
        raise CommandFailed(f"{error}; nothing was changed") from None
    shown.adding_up(sum(run.counts.values()))
    report = await show_run(config, database, run, *outputs, told=lambda _: shown.row(), before=shown.stop)
    return 0 if report.explained else 1


@asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[Database]:
    async with opened_as_it_is(config) as database:
        await database.set_clock()
        yield database


def _configured(wanted: Wanted) -> tuple[Config, Account]:
    config = configuration()
    account = config.account(wanted.account)
    if account is None:
        ids = ", ".join(one.id for one in config.accounts)
        raise WrongUsage(f"--account: {wanted.account} is none of {ids}")
    return config, account


def _span(wanted: Wanted, account: Account) -> tuple[datetime | None, datetime | None]:
    zone = ZoneInfo(account.statement.time_zone if account.statement else ZONE)
    since = None if wanted.since is None else _moment("--from", wanted.since, zone, last=False)
    until = None if wanted.until is None else _moment("--to", wanted.until, zone, last=True)
    if since is not None and until is not None and since >= until:
        raise WrongUsage("--to: is before --from")
    return since, until


def _moment(option: str, typed: str, zone: ZoneInfo, *, last: bool) -> datetime:
    """A day, or a time in ISO 8601. The end of a last day is the beginning of the next day. Raises WrongUsage."""
    try:
        if len(typed) == len("2026-11-01"):
            day = date.fromisoformat(typed) + (ONE_DAY if last else timedelta())
            return datetime(day.year, day.month, day.day, tzinfo=zone)
        at = datetime.fromisoformat(typed)
    except (ValueError, OverflowError):
        raise WrongUsage(f"{option}: {typed} is no day such as 2026-11-01 and no time in ISO 8601") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


def _told(lines: Iterable[Line | Unread], shown: Bar) -> Iterator[Line | Unread]:
    yield from lines
    shown.comparing()


def _sized(path: Path) -> Sized:
    digest, lines = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            lines += block.count(b"\n")
    return Sized(sha256=digest.hexdigest(), lines=lines)
