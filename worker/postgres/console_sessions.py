"""Sessions of the console, and the one-time codes that were used. Of a token and a code, only these rows are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from msgspec import Struct

from worker.postgres.command_tag import rows_changed
from worker.postgres.database import Database

LONGEST = timedelta(hours=12)
IDLE = timedelta(minutes=30)
TOUCH = timedelta(minutes=1)
"""A request moves `seen_at` only where it is older than this, so that most requests write nothing."""

_LIVE = """
    revoked_at IS NULL AND created_at > clock_timestamp() - $1::interval AND seen_at > clock_timestamp() - $2::interval
"""
_BEGIN = """
    WITH ended AS (DELETE FROM console_sessions WHERE created_at < clock_timestamp() - $5::interval)
    INSERT INTO console_sessions (token_hash, operator, credentials, address) VALUES ($1, $2, $3, $4)
"""
_FIND = f"""
    SELECT operator, credentials, address, created_at, seen_at, clock_timestamp() - seen_at AS quiet
    FROM console_sessions WHERE token_hash = $3 AND {_LIVE}
"""  # noqa: S608
_TOUCH = "UPDATE console_sessions SET seen_at = clock_timestamp() WHERE token_hash = $1 AND revoked_at IS NULL"
_OF = f"""
    SELECT operator, credentials, address, created_at, seen_at
    FROM console_sessions WHERE operator = $3 AND {_LIVE} ORDER BY seen_at DESC LIMIT 100
"""  # noqa: S608
_END = "UPDATE console_sessions SET revoked_at = clock_timestamp() WHERE token_hash = $1 AND revoked_at IS NULL"
_END_ALL = "UPDATE console_sessions SET revoked_at = clock_timestamp() WHERE operator = $1 AND revoked_at IS NULL"
_END_OTHERS = (
    "UPDATE console_sessions SET revoked_at = clock_timestamp() WHERE operator <> ALL($1) AND revoked_at IS NULL"
)
_USE_CODE = """
    INSERT INTO console_codes AS c (operator, step) VALUES ($1, $2)
    ON CONFLICT (operator) DO UPDATE SET step = excluded.step WHERE c.step < excluded.step
"""


class ConsoleSession(Struct, frozen=True, kw_only=True):
    """A session that has not ended. `credentials` is a digest of the operator's secrets at its beginning."""

    operator: str
    credentials: str
    address: str
    created_at: datetime
    seen_at: datetime


async def begin_session(database: Database, token_hash: bytes, operator: str, credentials: str, address: str) -> None:
    """Store a session, and delete those that are over."""
    await database.execute(_BEGIN, token_hash, operator, credentials, address, 2 * LONGEST)


async def find_session(
    database: Database, token_hash: bytes, *, fits: Callable[[ConsoleSession], bool], active: bool
) -> ConsoleSession | None:
    """The session of this token, unless it has ended. One that does not fit ends for good, and is not found.

    `active`: the operator did something, so it goes on.
    """
    rows = await database.fetch(_FIND, LONGEST, IDLE, token_hash)
    if not rows:
        return None
    row = dict(rows[0])
    quiet = row.pop("quiet")
    found = ConsoleSession(**row)
    if not fits(found):
        await end_session(database, token_hash)
        return None
    if quiet > TOUCH and active:
        await database.execute(_TOUCH, token_hash)
    return found


async def sessions_of(database: Database, operator: str) -> list[ConsoleSession]:
    """The operator's sessions that have not ended, the last used first."""
    return [ConsoleSession(**row) for row in await database.fetch(_OF, LONGEST, IDLE, operator)]


async def end_session(database: Database, token_hash: bytes) -> None:
    await database.execute(_END, token_hash)


async def end_sessions(database: Database, operator: str) -> int:
    """End all sessions of the operator. Returns how many."""
    return rows_changed(await database.execute(_END_ALL, operator))


async def end_sessions_of_others(database: Database, operators: Collection[str]) -> int:
    """End all sessions but those of these operators. Returns how many."""
    return rows_changed(await database.execute(_END_OTHERS, list(operators)))


async def use_code(database: Database, operator: str, step: int) -> bool:
    """Note the time step of a right code. False if the operator has used this code or a later one before."""
    return rows_changed(await database.execute(_USE_CODE, operator, step)) == 1
