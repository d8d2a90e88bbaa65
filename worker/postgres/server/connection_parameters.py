"""Where a connection with a URL leads, and how: asyncpg's own reading of the URL and of libpq's variables."""

from __future__ import annotations

import asyncpg
from asyncpg.connect_utils import SSLMode
from asyncpg.connection import LoggedQuery
from msgspec import Struct

_OF_SESSION = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


class ConnectionParameters(Struct, frozen=True, kw_only=True):
    """`address`: host and port, or the path of a socket. `protocol`: that of TLS as the server sees it; None if plain.

    Behind a pooler the server tells of the pooler's own connection to it.
    """

    address: tuple[str, int] | str
    user: str
    password: str | None
    database: str
    sslmode: SSLMode | None
    protocol: str | None


async def connection_parameters(dsn: str, seconds: float) -> ConnectionParameters:
    """Connect, and return with what. Each step takes `seconds` at most. Raises DRIVER_ERRORS and ValueError."""
    seen: list[LoggedQuery] = []
    connection = await asyncpg.connect(dsn, timeout=seconds, command_timeout=seconds, statement_cache_size=0)
    try:
        connection.add_query_logger(seen.append)
        protocol: str | None = await connection.fetchval(_OF_SESSION)
    finally:
        await connection.close(timeout=seconds)
    given = seen[0].conn_params
    return ConnectionParameters(
        address=seen[0].conn_addr,
        user=given.user,
        password=given.password if isinstance(given.password, str) else None,
        database=given.database,
        sslmode=given.sslmode,
        protocol=protocol,
    )
