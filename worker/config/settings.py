"""The settings of a process, which are read from its environment."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from schemas.secret import Secret
from worker.runtime.connection_limits import MOST_CONNECTIONS


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of the environment. Without `database_url` PostgreSQL is embedded, in `data_dir`.

    With `database_direct_url`, the server's own, `database_url` may be of a pooler that lends sessions.
    Without `amqp_url` claims and events stay in Postgres. `public_url` has no slash at its end. `X-Forwarded-For` is
    trusted from `trusted_proxies` alone. `max_connections` is the most that the public listener holds open.
    """

    config_path: Path
    database_url: Secret | None
    database_direct_url: Secret | None = None
    data_dir: Path
    amqp_url: Secret | None
    public_url: str
    listen: tuple[str, int]
    ops_listen: tuple[str, int]
    console_listen: tuple[str, int] = ("127.0.0.1", 8070)
    log: Literal["json", "console"]
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    max_connections: int = MOST_CONNECTIONS

    @property
    def sessions_url(self) -> Secret | None:
        """The database's URL for connections that need a session of their own: the direct one where it is set."""
        return self.database_direct_url or self.database_url

    @property
    def public_path(self) -> str:
        """The path that `public_url` puts before all of ours: `/pay`, or nothing."""
        return urlsplit(self.public_url).path
