"""What a shop's database also bears: a snapshot that a nightly dump holds, and a standby that every commit waits for.

The one thing to get wrong: taking the second for the real thing. There is no second server: `commit_delay` makes who
writes the WAL out wait first, as PostgreSQL's manual has it, and with `commit_siblings` of nought always. A commit that
comes during that wait is written out with it and waits only for the rest, where a standby's word would take each of
them the whole time; and two waits are never at once, where those for a standby overlap. So whoever commits once at a
time feels it in full, and crowds of commits a little less in time and a little more in rate than of a real one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

STANDBY_SECONDS = 0.01
"""Of a round trip to another data centre of the same region, and the write there."""


@asynccontextmanager
async def old_snapshot(url: str) -> AsyncIterator[None]:
    """While the block runs, what it could have seen of the database at its beginning is kept, dead rows and all.

    The database has payproof's tables.
    """
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetch("SELECT FROM payments LIMIT 1")  # the snapshot is taken by the first look
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def standby_away(url: str, seconds: float = STANDBY_SECONDS) -> AsyncIterator[None]:
    """While the block runs, those who connect to the database wait so long before they write their commits out."""
    connection = await asyncpg.connect(url)
    try:
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(f"ALTER DATABASE {name} SET commit_siblings = 0")
        await connection.execute(f"ALTER DATABASE {name} SET commit_delay = {round(seconds * 1e6)}")  # microseconds
        try:
            yield
        finally:
            await connection.execute(f"ALTER DATABASE {name} RESET commit_delay")
            await connection.execute(f"ALTER DATABASE {name} RESET commit_siblings")
    finally:
        await connection.close()
