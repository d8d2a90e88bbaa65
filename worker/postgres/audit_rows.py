"""The audit trail in Postgres. A record is written in the transaction of the act, so neither is without the other.

Where that cannot be, since the act is outside of this database or only shows something, the record is written before:
it says that a person asked for it. That is so for a question to a gateway, a test event, a letter at the broker, a
replay, and what is shown.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import asyncpg
import msgspec

from schemas.audit import AuditRecord, RecordedAct
from schemas.proposals import Origin
from worker.postgres.database import Connection, Database, Reads

MOST_SHOWN = 100

_ADD = """
    INSERT INTO audit (actor, via, address, key, action, merchant, payment_id, subject, why, detail)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_RECORD = "a.id, a.at, a.actor, a.via, a.address, a.key, a.action, a.merchant, a.payment_id, a.subject, a.why, a.detail"
_OF_ALL = f"SELECT {_RECORD} FROM audit a WHERE a.id < $1 ORDER BY a.id DESC LIMIT $2"  # noqa: S608 - our own words
_OF_PAYMENT = f"""
    SELECT {_RECORD} FROM audit a WHERE a.payment_id = $3 AND a.id < $1 AND ($4::text[] IS NULL OR a.merchant = ANY($4))
    ORDER BY a.id + 0 DESC LIMIT $2
"""  # noqa: S608
_OF_MERCHANTS = f"""
    SELECT {_RECORD} FROM unnest($3::text[]) AS m (id) CROSS JOIN LATERAL (
        SELECT * FROM audit a WHERE (a.merchant, a.id) < (m.id, $1) AND (a.merchant, a.id) > (m.id, -1)
            AND a.merchant IS NOT NULL
        ORDER BY a.merchant DESC, a.id DESC LIMIT $2) AS a
    ORDER BY a.id DESC LIMIT $2
"""  # noqa: S608
"""The newest of each merchant, merged: a merchant whose records are all old would else be looked for among all others'.

Only the index with the merchant serves these conditions, and none serves `id + 0`: few records are about one payment.
"""
NEWEST = 2**63 - 1


async def add_record(connection: Connection[asyncpg.Record], record: AuditRecord) -> None:
    """Add a record within the transaction of the act."""
    by = record.origin
    await connection.execute(
        _ADD,
        *(by.actor, by.via, by.address, by.key, record.action, record.merchant, record.payment_id, record.subject),
        *(record.why, record.detail),
    )


async def note_act(database: Database, record: AuditRecord) -> None:
    """Add a record in a transaction of its own, before an act that cannot be in one with it."""
    async with database.connection() as connection:
        await add_record(connection, record)


async def read_audit(
    database: Reads,
    merchants: Collection[str] | None,
    *,
    payment_id: str | None = None,
    before: int | None = None,
    limit: int = MOST_SHOWN,
) -> list[RecordedAct]:
    """The newest records about these merchants, or of all with None, the newest first and behind the record `before`.

    Records about no merchant, such as sign-ins, are shown only to who sees all merchants.
    """
    ids, before = None if merchants is None else sorted(set(merchants)), NEWEST if before is None else before
    if payment_id is not None:
        rows = await database.fetch(_OF_PAYMENT, before, limit, payment_id, ids)
    elif ids is not None:
        rows = await database.fetch(_OF_MERCHANTS, before, limit, ids)
    else:
        rows = await database.fetch(_OF_ALL, before, limit)
    return [_recorded(dict(row)) for row in rows]


def _recorded(row: dict[str, Any]) -> RecordedAct:
    origin = {name: row.pop(name) for name in ("actor", "via", "address", "key")}
    return msgspec.convert({**row, "origin": msgspec.convert(origin, Origin)}, RecordedAct)
