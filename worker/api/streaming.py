"""A long document sent page by page, so that its length costs no memory.

After a failure half way no other status can be given, because the head is sent. So the connection is cut, and the
reader sees that the document did not end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from aiohttp import web

from worker.api.problems import HEADERS, json_reply

WRITE_SECONDS = 30.0


async def send_entries(request: web.Request, pages: AsyncGenerator[list[dict[str, Any]], None]) -> web.StreamResponse:
    """Send `{"entries": [...]}`: at once where one page is all, else each page as it is read."""
    async with aclosing(pages):
        first = await anext(pages)
        second = await anext(pages, None)
        if not second:
            return json_reply(200, {"entries": first}).response()
        response = web.StreamResponse(headers=HEADERS)
        response.content_type = "application/json"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            await _write(response, b'{"entries":[' + _joined(first) + b"," + _joined(second))
            async for page in pages:
                await _write(response, b"," + _joined(page) if page else b"")
            await _write(response, b"]}")
        except BaseException:
            if request.transport is not None:
                request.transport.abort()
            raise
    return response


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    """Write a piece. Raises TimeoutError when the reader takes none of it for WRITE_SECONDS."""
    if piece:
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(piece)


def _joined(entries: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode(entries)[1:-1]
