"""The requests that a signed webhook may cause: for the certificate of its signature, and to confirm a subscription.

A stranger can cause the first, so it is bounded: one request at a time, to a public address, without redirects, with a
deadline and a greatest size. What was fetched is kept for a day, and that an address has nothing for a minute.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

import aiohttp
from msgspec import Struct
from yarl import URL

from worker.runtime.public_addresses import Allowed, NotPublic, Resolver, anywhere, guarded_socket, is_public

MAX_FETCHED = 64 * 1024
FETCH_SECONDS = 5.0
TURN_SECONDS = 10.0
"""How long a webhook waits for its request, those of others before it included."""

REMEMBERED = 64
KEPT_SECONDS = 86_400.0
REFUSED_SECONDS = 60.0


class Refused(Exception):
    """The address has nothing for us, and will not have it soon. The text is safe to log."""


class Away(Exception):
    """No answer now; the sender has to come again. The text is safe to log."""


class Fetched(Struct, frozen=True):
    """What a request brought, which counts until `until`, in monotonic seconds. `why` is set where it was nothing."""

    until: float
    body: bytes = b""
    why: str | None = None


class SigningCertificates:
    """`private` allows every address, for development. `seconds` is the deadline of one request."""

    def __init__(self, *, private: bool, seconds: float = FETCH_SECONDS) -> None:
        self._allowed: Allowed = anywhere if private else is_public
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._fetched = OrderedDict[str, Fetched]()

    def knows(self, url: str) -> bool:
        """Whether `fetch` of this address sends no request."""
        return self._remembered(url) is not None

    async def fetch(self, url: str) -> bytes:
        """What a GET of the address brings, now or the last time. Raises Refused and Away."""
        found = self._remembered(url)
        if found is None:
            try:
                async with asyncio.timeout(TURN_SECONDS), self._turn:
                    found = self._remembered(url)
                    if found is None:
                        found = self._fetched[url] = await self._fetch(url)
                        if len(self._fetched) > REMEMBERED:
                            self._fetched.popitem(last=False)
            except TimeoutError:
                raise Away("no answer in time") from None
        if found.why is not None:
            raise Refused(found.why)
        return found.body

    def _remembered(self, url: str) -> Fetched | None:
        found = self._fetched.get(url)
        if found is None or found.until <= time.monotonic():
            return None
        self._fetched.move_to_end(url)
        return found

    async def _fetch(self, url: str) -> Fetched:
        """GET the address. Raises Away, which is not remembered."""
        resolver = Resolver(self._allowed)
        connector = aiohttp.TCPConnector(resolver=resolver, socket_factory=guarded_socket(self._allowed))
        try:
            async with (
                asyncio.timeout(self._seconds),
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"User-Agent": "payproof"},
                    trust_env=False,
                ) as session,
                session.get(URL(url, encoded=True), allow_redirects=False) as got,
            ):
                if got.status >= 500 or got.status == 429:
                    raise Away(f"HTTP {got.status}")
                if not 200 <= got.status < 300:
                    return self._refused(f"HTTP {got.status}")
                body = bytearray()
                async for piece in got.content.iter_any():
                    body += piece
                    if len(body) > MAX_FETCHED:
                        return self._refused("its answer is larger than 64 KiB")
                return Fetched(time.monotonic() + KEPT_SECONDS, bytes(body))
        except TimeoutError:
            raise Away("no answer in time") from None
        except NotPublic:
            return self._refused(_INSIDE)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, NotPublic):
                return self._refused(_INSIDE)
            raise Away("no connection") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Away(f"no answer: {type(error).__name__}") from None
        finally:
            await resolver.close()

    def _refused(self, why: str) -> Fetched:
        return Fetched(time.monotonic() + REFUSED_SECONDS, why=why)


_INSIDE = "it leads to an address that is not public (allow_private_webhooks allows it, for development)"
