"""What timelines gain: entries in the order of recording, and what a silent gateway says again counted in one.

The one thing to get wrong: counting away what somebody did. Only our own schedule's questions, and the equal answers
they brought one after the other, become one entry; the first keeps its words and gets `times` and `last_at`. A question
that nobody answered stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from schemas.payments import Change, Entry
from schemas.words import EntryKind
from worker.postgres.database import Connection

_COUNT = """
    WITH again AS (
        SELECT n.payment_id, n.at, before.seq
        FROM jsonb_to_recordset($1) AS n (payment_id text, at text, kind text, data jsonb, asked int)
        CROSS JOIN LATERAL (
            SELECT e.seq, e.data FROM entries e WHERE e.payment_id = n.payment_id AND e.kind = n.kind
            ORDER BY e.seq DESC LIMIT 1) before
        WHERE before.data - '{seconds,times,last_at}'::text[] = n.data - 'seconds' AND NOT EXISTS (
            SELECT FROM entries e WHERE e.payment_id = n.payment_id AND e.seq > before.seq AND NOT (
                e.kind = 'claim' AND e.data ->> 'source' = 'sweep'
                OR e.kind = 'question' AND e.data ->> 'trigger' = 'schedule'))
        AND 1 = n.asked + (SELECT count(*) FROM entries e
            WHERE e.payment_id = n.payment_id AND e.seq > before.seq AND e.kind = 'question')),
    gone AS (DELETE FROM entries e USING again WHERE e.payment_id = again.payment_id AND e.seq > again.seq)
    UPDATE entries e SET data = e.data
        || jsonb_build_object('times', coalesce((e.data ->> 'times')::int, 1) + 1, 'last_at', again.at)
    FROM again WHERE e.seq = again.seq RETURNING e.payment_id
"""


async def entries_to_write(connection: Connection[asyncpg.Record], changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Count what only repeats, and tell what is left to be written, as rows."""
    repeated = [_answer(change) for change in changes if change.repeats]
    counted = {row["payment_id"] for row in await connection.fetch(_COUNT, repeated)} if repeated else set()
    return _rows([change for change in changes if change.payment.id not in counted])


def _answer(change: Change) -> dict[str, Any]:
    """The answer, with how many questions come with it."""
    asked = sum(entry.kind is EntryKind.QUESTION for entry in change.entries)
    return _row(change, change.entries[-1]) | {"asked": asked}


def _rows(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [_row(change, entry) for change in changes for entry in change.entries]


def _row(change: Change, entry: Entry) -> dict[str, Any]:
    return {"payment_id": change.payment.id, "at": entry.at, "kind": entry.kind, "data": entry.data}
