"""A shop's webhook endpoint: its name, its address and its TLS certificate; and, if wanted, a signed test event.

Without the test event a connection is opened and nothing is sent over it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from worker.config import Config
from worker.config.webhook_endpoints import Endpoint, endpoints_of
from worker.deliver.sender import sender
from worker.deliver.trying import trial_event
from worker.ops.doctor.findings import Finding
from worker.runtime.public_addresses import NotPublic, Resolver, anywhere, is_public

CONNECT_SECONDS = 10.0
SOON = timedelta(days=14)
_PORTS = {"http": 80, "https": 443}


async def endpoint_findings(config: Config, *, send: bool) -> AsyncIterator[Finding]:
    """A finding for each endpoint; with `send` a second one, of the test event that it was sent."""
    endpoints, private = endpoints_of(config), config.allow_private_webhooks
    for found in await asyncio.gather(*(examine_endpoint(one, private=private) for one in endpoints)):
        yield found
    if send:
        for found in await _try_all(endpoints, private=private):
            yield found


async def examine_endpoint(endpoint: Endpoint, *, private: bool) -> Finding:
    """Look up the endpoint's name, connect to it, and judge its certificate by this machine's authorities."""
    subject, parts = f"webhook {endpoint.label}", urlsplit(endpoint.url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port, resolver = parts.port or _PORTS[parts.scheme], Resolver(anywhere if private else is_public)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            addresses = [found["host"] for found in await resolver.resolve(endpoint.host, port)]
            writer = await _connected(addresses, port, tls, endpoint.host)
    except NotPublic:
        words = f"{endpoint.host} leads to an address that is not public, so nothing is sent there"
        return Finding("no", subject, words, "give it a public address; allow_private_webhooks is for development")
    except ssl.SSLError:
        words = f"the TLS certificate of {endpoint.host} is not accepted, so nothing is delivered"
        return Finding("no", subject, words, "renew it, with its chain, for this name")
    except TimeoutError:
        return Finding("!!", subject, f"{endpoint.host} takes no connection within {CONNECT_SECONDS:g} s", _WAITS)
    except (OSError, UnicodeError) as error:
        why = "its name is not known here" if _unknown(error) else "it takes no connection"
        return Finding("!!", subject, f"{endpoint.host}: {why}", _WAITS)
    finally:
        await resolver.close()
    ends = _ends(writer)
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            await writer.wait_closed()
    if ends is not None and ends - datetime.now(UTC) < SOON:
        return Finding("!!", subject, f"the TLS certificate of {endpoint.host} ends on {ends:%Y-%m-%d}", "renew it")
    until = f", with a TLS certificate until {ends:%Y-%m-%d}" if ends is not None else ", without TLS"
    return Finding("ok", subject, f"{endpoint.host} takes a connection{until}")


async def _connected(
    addresses: Sequence[str], port: int, tls: ssl.SSLContext | None, host: str
) -> asyncio.StreamWriter:
    """A connection to the first address that takes one, as the role deliver tries them. Raises as the last one does."""
    *others, last = addresses
    for address in others:
        with suppress(OSError):  # ssl.SSLError is one: another address may have another certificate
            async with asyncio.timeout(CONNECT_SECONDS / len(addresses)):
                return (await _connect(address, port, tls, host))[1]
    return (await _connect(last, port, tls, host))[1]


async def _connect(
    address: str, port: int, tls: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(address, port, ssl=tls, server_hostname=host if tls else None)


_WAITS = "events for it wait and are sent again; payproof doctor --webhooks sends it a test event"


def _unknown(error: OSError | UnicodeError) -> bool:
    return isinstance(error, UnicodeError) or type(error).__name__ == "gaierror"


def _ends(writer: asyncio.StreamWriter) -> datetime | None:
    """When the certificate of the connection ends; None without TLS."""
    certificate = writer.get_extra_info("peercert")
    if not certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


async def _try_all(endpoints: Sequence[Endpoint], *, private: bool) -> list[Finding]:
    def now() -> datetime:
        return datetime.now(UTC)

    async def attempt(endpoint: Endpoint) -> Finding:
        event_id, body = trial_event(endpoint.merchant, now())
        sent = (await sending.send(endpoint, event_id, body)).response
        good = sent.status is not None and 200 <= sent.status < 300
        words = f"{sent.words} to a signed test event"
        to_do = "" if good else "a receiver answers 2xx once it has stored the event; redirects are not followed"
        return Finding("ok" if good else "no", f"webhook {endpoint.label}", words, to_do)

    async with sender(now, private=private) as sending:
        return list(await asyncio.gather(*(attempt(one) for one in endpoints)))
