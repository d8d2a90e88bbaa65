"""Statements that a person uploaded: kept until a process of the role `reconcile` has reconciled them.

The console only writes what a person wants. So it needs no right to change a payment, and a large file is read in a
process that answers nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.audit import AuditRecord
from schemas.report import Run
from schemas.statements import StatementMap
from worker.postgres.audit_rows import add_record
from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Database, Reads
from worker.runtime.encryption import ArchiveCipher
from worker.runtime.ids import new_payment_id

Wanted = Literal["dry_run", "run"]

ABANDONED_SECONDS = 60
"""A process at work says so every few seconds. After so long without a word another process begins again."""

_SHOWN = (
    "id, merchant, account, name, sha256, size, columns, uploaded_by, uploaded_at, wanted, however_many, wanted_by, "
    "wanted_at, tries, done_at, run, failed, body IS NOT NULL AS kept"
)
_WANT = f"""
    UPDATE statement_uploads SET wanted = $3, wanted_by = $4, wanted_at = clock_timestamp(), columns = $5,
        however_many = $6, beaten_at = NULL, tries = 0, done_at = NULL, run = NULL, failed = NULL
    WHERE id = $1 AND merchant = ANY($2) AND body IS NOT NULL AND (wanted IS NULL OR done_at IS NOT NULL)
    RETURNING {_SHOWN}
"""  # noqa: S608 - our own names
_TAKE = f"""
    UPDATE statement_uploads SET beaten_at = clock_timestamp(), tries = tries + 1
    WHERE id = (
        SELECT id FROM statement_uploads
        WHERE wanted IS NOT NULL AND done_at IS NULL
            AND (beaten_at IS NULL OR beaten_at < clock_timestamp() - $1 * interval '1 s')
        ORDER BY wanted_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING {_SHOWN}
"""  # noqa: S608 - our own names
_MINE = "id = $1 AND wanted_at = $2 AND tries = $3 AND done_at IS NULL"
"""The upload as this process took it."""

_FORGET = """
    DELETE FROM statement_uploads WHERE id = ANY(ARRAY(
        SELECT id FROM statement_uploads WHERE uploaded_at < now() - $1::interval ORDER BY uploaded_at LIMIT $2))
"""


class Upload(Struct, frozen=True, kw_only=True):
    """An uploaded statement and what became of it; `size` in bytes. `kept`: the file itself is still there.

    `columns` is the map by which it was tried, as a person confirmed it; None before the first try.
    """

    id: str
    merchant: str
    account: str
    name: str
    sha256: str
    size: int
    columns: StatementMap | None
    uploaded_by: str
    uploaded_at: datetime
    wanted: Wanted | None
    however_many: bool
    wanted_by: str | None
    wanted_at: datetime | None
    tries: int
    done_at: datetime | None
    run: str | None
    failed: str | None
    kept: bool

    @property
    def at_work(self) -> bool:
        return self.wanted is not None and self.done_at is None


class Note(Struct, frozen=True, kw_only=True):
    """How a person explains a difference. `line`: the row's number, or the id of a payment that has no row."""

    line: str
    at: datetime
    actor: str
    words: str


async def keep_upload(
    database: Database,
    cipher: ArchiveCipher,
    record: AuditRecord,
    *,
    merchant: str,
    account: str,
    name: str,
    body: bytes,
) -> str:
    """Keep the file, encrypted where the archive has a key. Returns its id, which the `record` then names."""
    upload = "upl_" + new_payment_id().removeprefix("pay_")
    key_id, stored = cipher.encrypt(upload, body)
    digest = hashlib.sha256(body).hexdigest()
    async with database.connection() as connection, connection.transaction():
        await connection.execute(
            """INSERT INTO statement_uploads (id, merchant, account, name, sha256, size, key_id, body, uploaded_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
            *(upload, merchant, account, name.replace("\0", ""), digest, len(body), key_id, stored),
            record.origin.actor,
        )
        await add_record(connection, replace(record, subject=upload))
    return upload


async def read_upload(database: Reads, merchants: Collection[str], upload: str) -> Upload | None:
    rows = await database.fetch(
        f"SELECT {_SHOWN} FROM statement_uploads WHERE id = $1 AND merchant = ANY($2)",  # noqa: S608 - our own names
        upload,
        list(merchants),
    )
    return _upload(rows[0]) if rows else None


async def read_uploads(database: Reads, merchants: Collection[str], *, most: int = 20) -> list[Upload]:
    """The newest uploads whose file is still kept, newest first."""
    rows = await database.fetch(
        f"""SELECT {_SHOWN} FROM statement_uploads WHERE merchant = ANY($1) AND body IS NOT NULL
            ORDER BY uploaded_at DESC LIMIT $2""",  # noqa: S608 - our own names
        list(merchants),
        most,
    )
    return [_upload(row) for row in rows]


async def read_body(database: Reads, cipher: ArchiveCipher, upload: str) -> bytes | None:
    """The file as it was uploaded; None where it is no longer kept. Raises NotDecrypted."""
    rows = await database.fetch("SELECT key_id, body FROM statement_uploads WHERE id = $1 AND body IS NOT NULL", upload)
    return cipher.decrypt(upload, rows[0]["key_id"], rows[0]["body"]) if rows else None


async def request_work(
    database: Database,
    merchants: Collection[str],
    upload: str,
    wanted: Wanted,
    record: AuditRecord,
    *,
    columns: StatementMap,
    however_many: bool = False,
) -> Upload | None:
    """Ask the role `reconcile` for a run over the file, read by `columns`. None during a run or without the file.

    `record` of who asks is written with it, and not without.
    """
    confirmed = msgspec.to_builtins(columns, builtin_types=())
    values = (upload, list(merchants), wanted, record.origin.actor, confirmed, however_many)
    async with database.connection() as connection, connection.transaction():
        row = await connection.fetchrow(_WANT, *values)
        if row is None:
            return None
        await add_record(connection, record)
    return _upload(row)


async def take_upload(database: Database) -> Upload | None:
    """Begin the upload that has waited longest, unless another process is at work on it."""
    rows = await database.fetch(_TAKE, ABANDONED_SECONDS)
    return _upload(rows[0]) if rows else None


async def beat(database: Database, upload: Upload) -> None:
    """Say that this process is still at work on the upload."""
    sql = f"UPDATE statement_uploads SET beaten_at = clock_timestamp() WHERE {_MINE}"  # noqa: S608 - our own words
    await database.execute(sql, upload.id, upload.wanted_at, upload.tries)


async def give_back(database: Database, upload: Upload) -> None:
    """Take the try back, as a server was away. Another is made when this one is taken for abandoned."""
    sql = f"UPDATE statement_uploads SET tries = tries - 1 WHERE {_MINE}"  # noqa: S608 - our own words
    await database.execute(sql, upload.id, upload.wanted_at, upload.tries)


async def end_upload(database: Database, upload: Upload, *, run: Run | None = None, failed: str | None = None) -> None:
    """Store how it ended, unless another process has begun it again. The file of a reconciled statement is deleted.

    A run that was stopped has reconciled nothing, so its file stays.
    """
    gone = run is not None and run.stopped is None and upload.wanted == "run"
    sql = f"""
        UPDATE statement_uploads SET done_at = clock_timestamp(), run = $4, failed = $5,
            body = CASE WHEN $6 THEN NULL ELSE body END WHERE {_MINE}
    """  # noqa: S608 - our own words
    await database.execute(sql, upload.id, upload.wanted_at, upload.tries, run and run.id, failed, gone)


async def forget_uploads(retention: timedelta, database: Database, most: int) -> int:
    """Delete up to `most` uploads that are older than `retention`. Returns how many."""
    return rows_changed(await database.execute(_FORGET, retention, most))


async def add_note(database: Database, run: str, line: str, words: str, record: AuditRecord) -> None:
    """Add a note of the person whose act `record` is."""
    sql = "INSERT INTO statement_notes (statement, line, actor, words) VALUES ($1, $2, $3, $4)"
    async with database.connection() as connection, connection.transaction():
        await connection.execute(sql, run, line, record.origin.actor, words)
        await add_record(connection, record)


async def read_notes(database: Reads, run: str) -> list[Note]:
    """All notes of a run, oldest first."""
    rows = await database.fetch(
        "SELECT line, at, actor, words FROM statement_notes WHERE statement = $1 ORDER BY at", run
    )
    return [Note(**dict(row)) for row in rows]


def _upload(row: Any) -> Upload:
    known = dict(row)
    columns = known["columns"]
    return Upload(
        **(known | {"columns": None if columns is None else msgspec.convert(columns, StatementMap, strict=False)})
    )
