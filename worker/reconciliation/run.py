"""One run over one statement, from its lines to their follow-up.

Two runs of an account at a time would find the same differences. So a second run is refused until the first has ended
or its process has died.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from itertools import islice

from msgspec import Struct

from consumers.account import Account
from consumers.ports.bus import Bus
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.reconciliation.verdicts import Terms
from consumers.rules import Rules
from schemas.audit import AuditRecord
from schemas.report import Run
from schemas.statements import Line, Unread
from worker.postgres.database import Database
from worker.postgres.driver_errors import translated
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.statements.judge import Judging, Staging
from worker.postgres.statements.runs import read_run
from worker.postgres.statements.unfollowed import finish
from worker.reconciliation.follow_up import follow_up_lines
from worker.runtime.ids import new_payment_id

BATCH = 5_000

Lines = AsyncIterable[Line | Unread] | Iterable[Line | Unread]


class AnotherRun(Exception):
    """Another run over a statement of this account is at work. The message says so."""


class StatementScope(Struct, frozen=True, kw_only=True):
    """The statement: `source` is the file's name without folders, or the span asked of the gateway's own list.

    `since` and `until` are the time that it covers. Where they are None, its rows tell.
    """

    source: str
    sha256: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    listed: bool = False


async def reconcile_lines(
    database: Database,
    rules: Rules,
    bus: Bus,
    account: Account,
    lines: Lines,
    about: StatementScope,
    record: AuditRecord | None,
    *,
    terms: Terms | None = None,
    dry_run: bool = False,
    however_many: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Run:
    """Judge every line and follow up. Returns the run. `progress` is called with the number of rows read so far.

    `record` of who runs it is written as it is judged; None where the record of who asked for it is written already.

    An error before the last line is judged, of `lines` or another, leaves nothing behind. A later one leaves an
    unfinished run; reconciling the same statement again does the rest. A dry run is not followed up, and is kept until
    the next run of the account, or while an uploaded statement or a note needs it. Where most of the lines differ
    nothing is followed up either, and `Run.stopped` says
    so, unless `however_many`. Raises AnotherRun.
    """
    run = Judging(
        id="rec_" + new_payment_id().removeprefix("pay_"),
        account=account.id,
        source=about.source,
        sha256=about.sha256,
        since=about.since,
        until=about.until,
        started_at=database.clock.now(),
        dry_run=dry_run,
        however_many=however_many,
        terms=terms or Terms(),
        asked_by=account.provider.capabilities.asked_by,
    )
    async with _staging(database, account) as staging:
        rows = 0
        async with aclosing(_batches(lines)) as batches:
            async for batch in batches:
                with translated():
                    await staging.add(batch)
                rows += len(batch)
                if progress is not None:
                    progress(rows)
        with translated():
            await staging.judge(run, record)
        judged = await read_run(database, run.id)
        assert judged is not None, "it was just written"
        if not dry_run and judged.stopped is None:
            await follow_up_lines(database, PostgresLedger(database), rules, bus, account, judged, listed=about.listed)
        await finish(database, run.id)
    return await read_run(database, run.id) or judged


@asynccontextmanager
async def _staging(database: Database, account: Account) -> AsyncIterator[Staging]:
    async with database.long_connection() as connection:
        staging = Staging(connection)
        with translated():
            opened = await staging.open(account.id)
        if not opened:
            raise AnotherRun(
                f"another statement of {account.id} is being reconciled; run this again when that has ended"
            )
        try:
            yield staging
        finally:
            # A session that broke has taken its table and its lock along.
            with suppress(DatabaseUnavailable), translated():
                await staging.close(account.id)


async def _batches(lines: Lines) -> AsyncGenerator[list[Line | Unread], None]:
    """Yield lines in lists of BATCH. The next list of a file is read in a thread while the last one is copied."""
    if isinstance(lines, AsyncIterable):
        batch = []
        async for line in lines:
            batch.append(line)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch
        return
    source = iter(lines)
    reading = asyncio.ensure_future(asyncio.to_thread(_next, source))
    try:
        while found := await asyncio.shield(reading):
            reading = asyncio.ensure_future(asyncio.to_thread(_next, source))
            yield found
    finally:
        await asyncio.wait({reading})  # the caller closes the file, and no thread may be reading it then
        if not reading.cancelled():
            reading.exception()


def _next(source: Iterator[Line | Unread]) -> list[Line | Unread]:
    return list(islice(source, BATCH))
