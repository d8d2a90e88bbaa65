"""Sending one delivery: signed, to an allowed address, without redirects, within a bounded time.

Only the status and the Retry-After of an answer count. The rest may be endless or personal: a little of it is read, to
keep the connection, and KEPT_BYTES of that are kept for a person to look at.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version

import aiohttp
from msgspec import Struct
from standardwebhooks import Webhook
from yarl import URL

from consumers.timing import TIMING
from consumers.webhook_policy import AttemptResponse, retry_after
from schemas.secret import Secret
from worker.config.webhook_endpoints import Endpoint
from worker.runtime.public_addresses import Allowed, NotPublic, Resolver, anywhere, guarded_socket, is_public
from worker.telemetry.tracing import HEADER

REST_SECONDS = 1.0
MOST_READ = 64 * 1024
KEPT_BYTES = 2048
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
OWN_HEADERS = {
    "User-Agent": f"payproof/{version('payproof')}",
    "Content-Type": CONTENT_TYPE,
    "Accept-Encoding": "identity",  # so that a person can read the answer
}


class SentAttempt(Struct, frozen=True):
    """The response to an attempt, and the seconds it took; the headers that were sent, and how the answer began."""

    response: AttemptResponse
    seconds: float
    headers: Mapping[str, str] = {}
    began: bytes = b""


class Sender:
    """Made by `sender`. `now` gives the time of the signature, `seconds` is the deadline of one attempt."""

    def __init__(self, session: aiohttp.ClientSession, now: Callable[[], datetime], seconds: float) -> None:
        self._session, self._now, self._seconds = session, now, seconds

    async def send(self, endpoint: Endpoint, event_id: str, body: bytes, traceparent: str | None = None) -> SentAttempt:
        began = time.monotonic()
        headers, start = {HEADER: traceparent} if traceparent else {}, bytearray()
        response = await self._send(endpoint, event_id, body, headers, start)
        return SentAttempt(response, time.monotonic() - began, {**OWN_HEADERS, **headers}, bytes(start))

    async def _send(
        self, endpoint: Endpoint, event_id: str, body: bytes, headers: dict[str, str], start: bytearray
    ) -> AttemptResponse:
        """Sign and send. `headers` get the signature, and `start` the first bytes of the answer's body."""
        answered = None
        try:
            headers.update(signature_headers(endpoint.secrets, event_id, self._now(), body))
            async with (
                asyncio.timeout(self._seconds),
                self._session.post(
                    URL(endpoint.url, encoded=True),
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                ) as got,
            ):
                wait = retry_after(got.headers.get("Retry-After"), self._now())
                answered = AttemptResponse(status=got.status, retry_after=wait)
                await _drop(got, start)
                return answered
        except TimeoutError:
            return answered or AttemptResponse(trouble=f"no answer within {self._seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return answered or AttemptResponse(trouble=_why(error))


@asynccontextmanager
async def sender(
    now: Callable[[], datetime],
    *,
    private: bool,
    allowed: Allowed = is_public,
    seconds: float = TIMING.delivery_deadline.total_seconds(),
) -> AsyncIterator[Sender]:
    """Yield a Sender, and close its connections when the block is left. `private` allows every address.

    The number of connections has no limit: each endpoint's worker sends few at a time, and in a shared pool a slow
    endpoint would take the places of others.
    """
    allowed = anywhere if private else allowed
    connector = aiohttp.TCPConnector(
        limit=0,
        resolver=Resolver(allowed),
        socket_factory=guarded_socket(allowed),
        ttl_dns_cache=30,
        keepalive_timeout=30,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=OWN_HEADERS,
        auto_decompress=False,
        trust_env=False,
    )
    async with session:
        yield Sender(session, now, seconds)


def signature_headers(secrets: Sequence[Secret], event_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks: a signature by each secret, the newest first."""
    at = at.astimezone(UTC)
    signatures = [Webhook(secret.reveal()).sign(event_id, at, body.decode()) for secret in secrets]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


async def _drop(response: aiohttp.ClientResponse, start: bytearray) -> None:
    """Read the rest if it is short and comes soon, so that the connection can be used again. Else close it.

    `start` gets its first KEPT_BYTES.
    """
    left = MOST_READ
    with suppress(TimeoutError):
        async with asyncio.timeout(REST_SECONDS):
            while left > 0:
                chunk = await response.content.read(left)
                if not chunk:
                    return
                left -= len(chunk)
                start += chunk[: KEPT_BYTES - len(start)]
    response.close()


def _why(error: Exception) -> str:
    """Why there was no answer, in words without addresses, and without any of the bytes sent or received."""
    match error:
        case NotPublic() | aiohttp.ClientConnectorError(os_error=NotPublic()):
            return "not sent: it leads to an address that is not public"
        case aiohttp.ClientConnectorDNSError():
            return "no answer: its host name is unknown"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLError() | aiohttp.ClientSSLError():
            return "no answer: its TLS certificate is not accepted"
        case aiohttp.ClientConnectorError():
            return "no answer: connection refused"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return "no answer: connection cut"
        case aiohttp.InvalidURL():
            return "not sent: its URL is none"
        case _:
            return "no answer that is HTTP"
