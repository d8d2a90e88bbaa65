"""Acts that an operator confirms by signing in at the identity provider again: asked for, confirmed, used once."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Database

ANSWER_WITHIN = timedelta(minutes=10)
"""So long a person may take at the provider."""
USE_WITHIN = timedelta(minutes=5)

_ASK = """
    WITH over AS (DELETE FROM console_confirmations WHERE asked_at < clock_timestamp() - $4::interval)
    INSERT INTO console_confirmations (id_hash, session_hash, path) VALUES ($1, $2, $3)
"""
_ASKED = """
    SELECT session_hash, asked_at FROM console_confirmations
    WHERE id_hash = $1 AND confirmed_at IS NULL AND asked_at > clock_timestamp() - $2::interval
"""
_CONFIRM = """
    UPDATE console_confirmations SET confirmed_at = clock_timestamp() WHERE id_hash = $1 AND confirmed_at IS NULL
"""
_USE = """
    DELETE FROM console_confirmations WHERE id_hash = $1 AND session_hash = $2 AND path = $3
        AND confirmed_at > clock_timestamp() - $4::interval
"""


class Asked(Struct, frozen=True, kw_only=True):
    """A confirmation that the provider has not answered yet."""

    session_hash: bytes
    asked_at: datetime


async def ask_confirmation(database: Database, id_hash: bytes, session_hash: bytes, path: str) -> None:
    """Store that this session wants to confirm the act at this path, and delete what is over."""
    await database.execute(_ASK, id_hash, session_hash, path, ANSWER_WITHIN + USE_WITHIN)


async def asked_confirmation(database: Database, id_hash: bytes) -> Asked | None:
    """What was asked for and is not confirmed yet; None where there is no such thing, or where it is over."""
    rows = await database.fetch(_ASKED, id_hash, ANSWER_WITHIN)
    return Asked(**rows[0]) if rows else None


async def confirm(database: Database, id_hash: bytes) -> bool:
    """Note that it is confirmed. False if it was already, or is gone."""
    return rows_changed(await database.execute(_CONFIRM, id_hash)) == 1


async def use_confirmation(database: Database, id_hash: bytes, session_hash: bytes, path: str) -> bool:
    """Use it up. False where this session has not confirmed the act at this path, or used that already."""
    return rows_changed(await database.execute(_USE, id_hash, session_hash, path, USE_WITHIN)) == 1
