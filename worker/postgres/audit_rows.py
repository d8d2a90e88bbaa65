"""The audit trail in Postgres. A record is written in the transaction of the act, so neither is without the other."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import asyncpg
import msgspec

from schemas.audit import AuditRecord, RecordedAct
from schemas.proposals import Origin
from worker.postgres.database import Connection, Reads

MOST_SHOWN = 100

_ADD = """
    INSERT INTO audit (actor, via, address, key, action, merchant, payment_id, subject, why, detail)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_READ = """
    SELECT id, at, actor, via, address, key, action, merchant, payment_id, subject, why, detail FROM audit
    WHERE ($1::text[] IS NULL OR merchant = ANY($1) OR merchant IS NULL AND $5::bool)
        AND ($2::text IS NULL OR payment_id = $2) AND ($3::bigint IS NULL OR id < $3)
    ORDER BY id DESC LIMIT $4
"""


async def add_record(connection: Connection[asyncpg.Record], record: AuditRecord) -> None:
    """Add a record within the transaction of the act."""
    by = record.origin
    await connection.execute(
        _ADD,
        *(by.actor, by.via, by.address, by.key, record.action, record.merchant, record.payment_id, record.subject),
        *(record.why, record.detail),
    )


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
    ids = None if merchants is None else sorted(merchants)
    rows = await database.fetch(_READ, ids, payment_id, before, limit, merchants is None)
    return [_recorded(dict(row)) for row in rows]


def _recorded(row: dict[str, Any]) -> RecordedAct:
    origin = {name: row.pop(name) for name in ("actor", "via", "address", "key")}
    return msgspec.convert({**row, "origin": msgspec.convert(origin, Origin)}, RecordedAct)
