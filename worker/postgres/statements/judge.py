"""A statement's lines judged against the payments, all at once.

Lines are copied into a temporary table, which ends with its session. After the last line, one transaction writes the
run with all its rows. So a run that is cut off leaves no half statement behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from msgspec import Struct
from msgspec.structs import astuple, replace

from consumers.reconciliation.verdicts import VERDICTS, Terms, too_many, too_many_words
from schemas.audit import AuditRecord
from schemas.statements import Line, Unread
from schemas.words import Id
from worker.postgres.audit_rows import add_record
from worker.postgres.database import Connection
from worker.postgres.statements.verdict_sql import KEEP_ABSENT, KEEP_LINES, KEEP_UNREAD

COPY_SECONDS = 60.0
JUDGE_SECONDS = 1800.0
"""A million lines take half a minute; a busy server may take much longer."""

WORK_MEGABYTES = 96
"""The server's memory for each step. A million payments are hashed in twice that, without use of the disk."""

_STAGED = """
    CREATE TEMPORARY TABLE staged (
        row int NOT NULL, kind text COLLATE "C", status text COLLATE "C", word text, amount numeric,
        transaction_id text COLLATE "C", session_id text COLLATE "C", reference text COLLATE "C", fee numeric,
        at timestamptz, words text)
"""
_ASKED_SINCE = """
    UPDATE statement_rows r SET next = 'reported' FROM followed f, payments p
    WHERE r.statement = $1 AND r.outcome <> 'matched' AND r.next IN ('asked', 'recorded')
        AND f.account = $2 AND f.line = r.line
        AND p.id = r.payment_id AND (r.next = 'recorded' OR p.fact_asked_at > f.at)
"""
"""Rows that were followed up by an earlier run, and whose answer since then changed nothing, are left to a person."""

_TO_FOLLOW = """
    SELECT count(*) FILTER (WHERE next IN ('asked', 'recorded', 'held')) AS to_follow,
        (SELECT count(*) FROM staged WHERE words IS NULL) AS lines
    FROM statement_rows WHERE statement = $1 AND outcome <> 'matched'
"""
_SUMS = """
    UPDATE statements SET sums = (
        SELECT coalesce(jsonb_object_agg(outcome, jsonb_build_object(
            'rows', rows, 'amount', amount::text, 'fee', fee::text)), '{}')
        FROM (SELECT outcome, count(*) AS rows, coalesce(sum(coalesce(amount, amount_here)), 0) AS amount,
                  coalesce(sum(fee), 0) AS fee
              FROM statement_rows WHERE statement = $1 GROUP BY outcome) o)
    WHERE id = $1
"""


class Judging(Struct, frozen=True, kw_only=True):
    """A run before it is judged. Where `since` or `until` is None, the time of the oldest or the newest row is used.

    `however_many`: do not stop if the run has too many rows to follow up. `asked_by`: the ids by which the gateway can
    be asked.
    """

    id: str
    account: str
    source: str
    sha256: str | None
    since: datetime | None
    until: datetime | None
    started_at: datetime
    dry_run: bool
    however_many: bool
    terms: Terms
    asked_by: frozenset[Id]


class Staging:
    """The lines of one statement, on one connection until `close`."""

    def __init__(self, connection: Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def open(self, account: str) -> bool:
        """Lock the account's statements and make the temporary table. False if another session has the lock.

        The lock ends with `close`, or with the connection's session.
        """
        mine = await self._connection.fetchval(
            "SELECT pg_try_advisory_lock(hashtextextended('statement of ' || $1, 0))", account
        )
        if mine:
            await self._connection.execute("DROP TABLE IF EXISTS pg_temp.staged")
            await self._connection.execute(_STAGED)
        return bool(mine)

    async def add(self, lines: Iterable[Line | Unread]) -> None:
        """Copy some lines. A line whose text Postgres refuses becomes an unreadable row."""
        read, unread = [], []
        for line in lines:
            if isinstance(line, Line):
                read.append(line)
            else:
                unread.append((line.row, _kept(f"{line.why}: {line.text}" if line.text else line.why)))
        try:
            await self._copy([astuple(line) for line in read], Line.__struct_fields__)
        except (UnicodeError, asyncpg.DataError):
            good = [astuple(line) for line in read if not _unkeepable(line)]
            unread += [
                (line.row, f"{name} has no text that can be kept") for line in read for name in _unkeepable(line)
            ]
            await self._copy(good, Line.__struct_fields__)
        await self._copy(unread, ("row", "words"))

    async def _copy(self, records: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> None:
        if records:
            await self._connection.copy_records_to_table(
                "staged", records=records, columns=columns, timeout=COPY_SECONDS
            )

    async def judge(self, run: Judging, record: AuditRecord | None) -> None:
        """Write the run and all its rows, in one transaction, with the record of who runs it.

        Deletes dry runs of the account that nobody needs, and an earlier run of the same statement that never ended.
        """
        connection = self._connection
        await connection.execute("ANALYZE staged", timeout=JUDGE_SECONDS)
        span = await connection.fetchrow("SELECT min(at) AS oldest, max(at) AS newest FROM staged")
        assert span is not None, "an aggregate has one row"
        since, until = run.since or span["oldest"], run.until or span["newest"]
        async with connection.transaction():
            await connection.execute(f"SET LOCAL work_mem = '{WORK_MEGABYTES}MB'")
            await self._make_way(run)
            if record is not None:
                await add_record(connection, replace(record, subject=run.id))
            await connection.execute(
                """INSERT INTO statements (id, account, source, sha256, since, until, newest_at, started_at, dry_run,
                       seen_before, sums)
                   SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, EXISTS (
                       SELECT FROM statements WHERE account = $2 AND sha256 = $4 AND finished_at IS NOT NULL
                           AND NOT dry_run AND stopped IS NULL), '{}'""",
                *(run.id, run.account, run.source, run.sha256, since, until),
                *(span["newest"], run.started_at, run.dry_run),
            )
            await self._keep_rows(run, span["newest"])
            if since is not None and until is not None:
                # Without statistics for the rows of this run, the planner would choose a nested loop.
                await connection.execute("SET LOCAL enable_nestloop = off")
                last = until - timedelta(seconds=run.terms.grace)
                await connection.execute(KEEP_ABSENT, run.id, run.account, since, last, timeout=JUDGE_SECONDS)
                await connection.execute("SET LOCAL enable_nestloop = on")
            await connection.execute(_ASKED_SINCE, run.id, run.account, timeout=JUDGE_SECONDS)
            await self._stop_if_too_many(run)
            await connection.execute(_SUMS, run.id, timeout=JUDGE_SECONDS)

    async def _keep_rows(self, run: Judging, newest: datetime | None) -> None:
        terms, asked_by = run.terms, run.asked_by
        await self._connection.execute(
            KEEP_LINES,
            *(run.id, run.account, newest, terms.fee_percent, terms.fee_fixed),
            *(kind in asked_by for kind in (Id.REFERENCE, Id.SESSION, Id.TRANSACTION)),
            [verdict.value for verdict in VERDICTS],
            [meaning.outcome.value for meaning in VERDICTS.values()],
            [meaning.step for meaning in VERDICTS.values()],
            timeout=JUDGE_SECONDS,
        )
        await self._connection.execute(KEEP_UNREAD, run.id, timeout=JUDGE_SECONDS)

    async def _make_way(self, run: Judging) -> None:
        """Delete dry runs of the account, and, for a real run, an earlier run of this statement that never ended.

        A dry run stays while its uploaded statement waits to be reconciled, and where a person wrote notes on it.
        """
        rows = await self._connection.fetch(
            """DELETE FROM statements s
               WHERE account = $1 AND (finished_at IS NULL AND NOT $3
                       AND (sha256 = $2 OR sha256 IS NULL AND $2 IS NULL AND source = $4)
                   OR dry_run
                       AND NOT EXISTS (SELECT FROM statement_uploads u WHERE u.run = s.id AND u.body IS NOT NULL)
                       AND NOT EXISTS (SELECT FROM statement_notes n WHERE n.statement = s.id))
               RETURNING id""",
            run.account,
            run.sha256,
            run.dry_run,
            run.source,
        )
        await self._connection.execute(
            "DELETE FROM statement_rows WHERE statement = ANY ($1)",
            [row["id"] for row in rows],
            timeout=JUDGE_SECONDS,
        )

    async def _stop_if_too_many(self, run: Judging) -> None:
        found = await self._connection.fetchrow(_TO_FOLLOW, run.id)
        assert found is not None, "an aggregate has one row"
        if run.however_many or not too_many(found["to_follow"], found["lines"]):
            return
        words = too_many_words(found["to_follow"], found["lines"])
        await self._connection.execute("UPDATE statements SET stopped = $2 WHERE id = $1", run.id, words)
        await self._connection.execute(
            """UPDATE statement_rows SET next = 'reported'
               WHERE statement = $1 AND outcome <> 'matched' AND next IN ('asked', 'recorded', 'held')""",
            run.id,
            timeout=JUDGE_SECONDS,
        )

    async def close(self, account: str) -> None:
        """Drop the temporary table and free the account's statements."""
        await self._connection.execute("DROP TABLE IF EXISTS pg_temp.staged")
        await self._connection.execute("SELECT pg_advisory_unlock(hashtextextended('statement of ' || $1, 0))", account)


def _unkeepable(line: Line) -> list[str]:
    """The name of the first field that Postgres cannot keep as text; empty if there is none."""
    texts = [(name, getattr(line, name)) for name in ("word", "transaction_id", "session_id", "reference")]
    return [name for name, text in texts if text is not None and text != _kept(text)][:1]


def _kept(text: str) -> str:
    """The text as Postgres can keep it: NUL and half characters are replaced."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
