"""An HTTP transport of httpx that reads answers up to a bound."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import cast

import httpx

MOST_BYTES = 256 * 1024


class TooLarge(httpx.TransportError):
    pass


class BoundedTransport(httpx.AsyncBaseTransport):
    """Reads no more than MOST_BYTES of an answer, and no compressed one."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=tls)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        if "Content-Encoding" in answer.headers:
            await answer.aclose()
            raise TooLarge("compressed")
        answer.stream = _Stream(cast("httpx.AsyncByteStream", answer.stream))
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_BYTES
        async for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                raise TooLarge("too large")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
