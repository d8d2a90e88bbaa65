"""The pools of connections: their sizes, deadlines and settings, and what is done on each new connection."""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from worker.postgres.primary import Primary

CONNECTIONS = 10
READ_CONNECTIONS = 4
READ_SECONDS = 3  # after which the server ends a statement of a small pool
COMMAND_SECONDS = 30.0
ACQUIRE_SECONDS = 10.0
LOCK_SECONDS = 5
IDLE_SECONDS = 60  # longer than a transaction of ours pauses; frees the locks of a process that vanished in one

_SETTINGS = {
    "application_name": "payproof",
    "default_transaction_isolation": "read committed",  # a statement after a wait for a lock sees all before it
    "jit": "off",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
}

_THROUGH_POOLER: dict[str, Any] = {
    "statement_cache_size": 0,
    "server_settings": {"application_name": _SETTINGS["application_name"]},
}
"""A statement may run in another session than the one before it. So none is prepared in advance, and asyncpg then sends
the whole statement each time. The pooler refuses our settings; its own configuration makes them
(`session_check.py`)."""


def main_pool(dsn: str, primary: Primary, *, size: int, through_pooler: bool) -> asyncpg.Pool[asyncpg.Record]:
    """A pool for reads and writes. `through_pooler`: the URL leads to a pooler that lends sessions."""

    async def prepare(connection: asyncpg.Connection[asyncpg.Record], /) -> None:
        await primary.meet(connection)
        await _set_types(connection)

    session = _THROUGH_POOLER if through_pooler else {"server_settings": _SETTINGS}
    return _pool(dsn, min_size=1, max_size=size, init=prepare, **session)


def small_pool(dsn: str, primary: Primary, *, read_only: bool) -> asyncpg.Pool[asyncpg.Record]:
    """A pool of READ_CONNECTIONS. The server ends their statements after READ_SECONDS."""

    async def prepare(connection: asyncpg.Connection[asyncpg.Record], /) -> None:
        await primary.meet(connection)  # it writes, where a server took over
        if read_only:
            await connection.execute("SET default_transaction_read_only = on")
        await _set_types(connection)

    settings = _SETTINGS | {"statement_timeout": f"{READ_SECONDS}s"}
    return _pool(dsn, min_size=0, max_size=READ_CONNECTIONS, init=prepare, server_settings=settings)


def _pool(dsn: str, **more: Any) -> asyncpg.Pool[asyncpg.Record]:
    return asyncpg.create_pool(dsn, reset=_leave, command_timeout=COMMAND_SECONDS, timeout=ACQUIRE_SECONDS, **more)


async def _set_types(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )


async def _leave(_: asyncpg.Connection[asyncpg.Record], /) -> None:
    """Reset nothing when a connection returns to the pool: our settings end with a transaction. It saves a query."""
