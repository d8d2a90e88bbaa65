"""The primary: the database server that is written to now. A standby that takes over is a new primary.

Every connection asks at its start which server it leads to. A server that took over has a higher timeline of the same
system. A process that has met it uses no connection to the server before it any more: its commits are on no other
server, so they are lost as soon as they are made.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy
from msgspec import Struct

from consumers.ports.unavailable import DatabaseUnavailable
from worker.postgres.driver_errors import translated

_MEET = "SELECT name, since, version_floor, took_over FROM meet_server()"

log = structlog.get_logger()


class ServerReplaced(DatabaseUnavailable):
    """The connection leads to a server that another server has replaced."""


class MetServer(Struct, frozen=True):
    """A server as `servers` notes it. `name` is its system and its timeline in hexadecimal: `SYSTEM/TIMELINE`.

    `name` is None on a standby, and empty where our user may not ask for it. `since`: when it took over; None for the
    first server. Versions that are given on it are above `version_floor`.
    """

    name: str | None
    since: datetime | None
    version_floor: int

    def replaced_by(self, other: MetServer) -> bool:
        """Whether `other` has a later timeline of the same system."""
        ours, theirs = (self.name or "").split("/"), (other.name or "").split("/")
        return ours[0] == theirs[0] and len(ours) == len(theirs) == 2 and int(ours[1], 16) < int(theirs[1], 16)


async def meet(connection: asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]) -> None:
    """Note the server of this connection in `servers`, unless a process has noted it already.

    Raises DatabaseUnavailable on a standby.
    """
    if (await _meet(connection)).name is None:
        raise DatabaseUnavailable("this server is a standby")


async def _meet(connection: asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]) -> MetServer:
    row = await connection.fetchrow(_MEET)
    assert row is not None, "the function returns one row"
    if row["took_over"]:
        log.warning("server.taken_over", since=row["since"].isoformat(), version_floor=row["version_floor"])
    return MetServer(row["name"], row["since"], row["version_floor"])


class Primary:
    """The newest server that this process has met, and its connections to all of them."""

    def __init__(self) -> None:
        self.server: MetServer | None = None
        self._names = WeakKeyDictionary[Any, str]()

    @property
    def since(self) -> datetime | None:
        """When the newest server took over; None for the first server."""
        return None if self.server is None else self.server.since

    async def meet(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Meet the server of a new connection.

        If it is another server, ends the connections to all others. Raises ServerReplaced if this one was replaced.
        """
        try:
            with translated():
                server = await _meet(connection)
        except asyncpg.UndefinedFunctionError:  # before its migration
            return
        if server.name is None:
            return
        if self.server is not None and server.replaced_by(self.server):
            log.warning("server.refused", name=server.name, newer=self.server.name)
            raise ServerReplaced(f"{server.name} was replaced by {self.server.name}")
        moved = self.server is not None and server.name != self.server.name
        self.server = server
        self._names[connection] = server.name
        if moved:
            for other, name in list(self._names.items()):
                if name != server.name:
                    other.terminate()
