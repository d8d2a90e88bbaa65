"""Whether the connections to the engines are encrypted, and to whom: what the URL asks for, and what the connection is.

Loopback and sockets need neither, as nobody stands between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

from asyncpg.connect_utils import SSLMode
from msgspec import Struct

from worker.config import Settings
from worker.config.url_parts import is_loopback
from worker.ops.doctor.findings import Finding
from worker.postgres.driver_errors import DRIVER_ERRORS
from worker.postgres.server.connection_parameters import connection_parameters
from worker.runtime.broker_nodes import nodes_of

LOOK_SECONDS = 10.0
_VERIFY = "end the URL in ?sslmode=verify-full&sslrootcert=PATH, with the file of the server's CA"
_AMQPS = "begin the URL with amqps:// and end it in /?cafile=PATH, with the file of the broker's CA"


class Transport(Struct, frozen=True, kw_only=True):
    """A connection: the host or the directory of a socket; whether its client verifies; its protocol, None if plain."""

    host: str
    verified: bool
    protocol: str | None

    @property
    def remote(self) -> bool:
        return not self.host.startswith("/") and not is_loopback(self.host)


async def transport_findings(settings: Settings) -> AsyncIterator[Finding]:
    """A finding for each engine that is elsewhere. A database that cannot be reached is for others to tell."""
    urls = {
        "PAYPROOF_DATABASE_URL": settings.database_url,
        "PAYPROOF_DATABASE_DIRECT_URL": settings.database_direct_url,
    }
    for name, url in urls.items():
        found = None if url is None else await database_transport(url.reveal())
        if found is not None and found.remote:
            yield judged(name, found, _VERIFY)
    for node in [] if settings.amqp_url is None else nodes_of(settings.amqp_url):
        if (broker := broker_transport(node.reveal())).remote:
            yield judged("PAYPROOF_AMQP_URL", broker, _AMQPS)


def judged(subject: str, found: Transport, to_do: str) -> Finding:
    """The finding about a connection to another machine."""
    if found.protocol is None:
        words = f"the connection to {found.host} is plain: all who stand between read the password and buyers' data"
        return Finding("!!", subject, words, to_do)
    if not found.verified:
        words = f"the connection to {found.host} is encrypted, and not verified: another may answer in its place"
        return Finding("!!", subject, words, to_do)
    return Finding("ok", subject, f"{found.protocol} to {found.host}, whose certificate and name are verified")


async def database_transport(dsn: str) -> Transport | None:
    """How a connection with this URL is; see ConnectionParameters. None where there is none."""
    try:
        found = await connection_parameters(dsn, LOOK_SECONDS)
    except (*DRIVER_ERRORS, ValueError):
        return None
    host = found.address if isinstance(found.address, str) else found.address[0]
    return Transport(host=host, verified=found.sslmode is SSLMode.verify_full, protocol=found.protocol)


def broker_transport(url: str) -> Transport:
    """How a connection to the broker is by its URL: a client of amqps never falls back to a plain connection."""
    parts = urlsplit(url)
    verified = parse_qs(parts.query).get("no_verify_ssl", ["0"])[-1] == "0"
    return Transport(host=parts.hostname or "", verified=verified, protocol="TLS" if parts.scheme == "amqps" else None)
