"""Reading a payment's timeline: all of it in pages, or the entries that a person needs on a screen.

A flood of callbacks leaves tens of thousands of entries about one payment. So all reads are in bounded pieces, and
entries that are left out for a person are counted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

import asyncpg

from consumers.explain.snapshot import EntryCount, LeftOut
from schemas.changes import Entry
from schemas.words import EntryKind
from worker.postgres.database import Connection, Reads

PAGE = 500
AT_EACH_END = 200
BETWEEN = 200

_ENTRIES = "SELECT seq, at, kind, data FROM entries WHERE"
_SINCE = f"(payment_id, seq) > ($1, {{after}}) AND (payment_id, seq) < ($1, {2**63 - 1})"
_ALL = _SINCE.format(after=-1)
_LEFT = "payment_id = $1 AND seq > $2 AND seq < $3"
"""A planner that knows the payment for a frequent one reads the entries of all payments in the order of `seq`, up to a
LIMIT. It cannot where the order is that of the index by payment (`_SINCE`), or of no index (`seq + 0`).
"""

_PAGE = f"{_ENTRIES} {_SINCE.format(after='$2::bigint')} ORDER BY payment_id, seq LIMIT $3"
_ENDS = f"""
    SELECT
        (SELECT max(seq) FROM (
            SELECT seq FROM entries WHERE {_ALL} ORDER BY payment_id, seq LIMIT $2) AS first) AS until,
        (SELECT min(seq) FROM (
            SELECT seq FROM entries WHERE {_ALL} ORDER BY payment_id DESC, seq DESC LIMIT $2) AS last) AS since
"""  # noqa: S608 - our own words
_AT_ENDS = f"""
    {_ENTRIES} payment_id = $1 AND seq <= $2
    UNION ALL {_ENTRIES} payment_id = $1 AND seq >= greatest($2 + 1, $3) ORDER BY seq
"""
_MATTERS = f"""
    ({_ENTRIES} {_LEFT} AND (
        kind IN ('decision', 'event', 'delivery', 'resolution')
        OR kind = 'answer' AND data ? 'status' AND data ->> 'status' <> 'pending')
    ORDER BY seq + 0 DESC LIMIT $4)
    UNION ALL
    ({_ENTRIES} {_LEFT} AND kind = 'claim' AND data ->> 'said' = 'success' ORDER BY seq + 0 DESC LIMIT 1)
    ORDER BY seq
"""
_COUNTED = f"""
    SELECT kind, data ->> 'source' AS source, sum(coalesce((data ->> 'times')::int, 1)) AS count,
        min(at) AS first_at, max(at) AS last_at
    FROM entries WHERE {_LEFT} AND seq <> ALL($4) GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608 - our own words


async def timeline_pages(database: Reads, payment_id: str) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Yield all entries as the API shows them, in order of recording: at least one page. The last may be empty."""
    after = 0
    while True:
        rows = await database.fetch(_PAGE, payment_id, after, PAGE)
        heads = [({"at": row["at"], "kind": row["kind"]}, row["data"]) for row in rows]
        yield [head | data | head for head, data in heads]
        if len(rows) < PAGE:
            return
        after = rows[-1]["seq"]


async def told_on_a_screen(
    connection: Connection[asyncpg.Record], payment_id: str
) -> tuple[tuple[Entry, ...], LeftOut | None]:
    """The first and the last AT_EACH_END entries, and between them BETWEEN entries at most that moved the payment.

    The other entries are counted in LeftOut, which is None if no entry is left out.
    """
    ends = await connection.fetchrow(_ENDS, payment_id, AT_EACH_END)
    assert ends is not None, "a query without FROM has one row"
    until, since = ends["until"] or 0, ends["since"] or 0
    rows = await connection.fetch(_AT_ENDS, payment_id, until, since)
    between = await connection.fetch(_MATTERS, payment_id, until, since, BETWEEN)
    known = [row["seq"] for row in between]
    counted = await connection.fetch(_COUNTED, payment_id, until, since, known)
    entries = tuple(_entry(row) for row in sorted([*rows, *between], key=lambda row: row["seq"]))
    if not counted:
        return entries, None
    return entries, LeftOut(
        place=sum(row["seq"] <= until for row in rows), counted=tuple(EntryCount(**dict(row)) for row in counted)
    )


def _entry(row: asyncpg.Record) -> Entry:
    at: datetime = row["at"]
    return Entry(kind=EntryKind(row["kind"]), at=at, data=row["data"])
