"""A long CSV, sent piece by piece: its length costs no memory, and holds up no callback in the same process.

After a failure half way no page can say so, because the head is sent. So the connection is cut, and the browser shows
that the file did not end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from worker.console.visit import Visit

WRITE_SECONDS = 30.0
PAUSE_SECONDS = 0.005
"""After each piece, about as long as one takes to make: other pages and callbacks have the process meanwhile."""


async def send_csv(visit: Visit, name: str, pieces: AsyncGenerator[str, None]) -> web.StreamResponse:
    """Send the pieces, of which there is one at least, as a file of this name. It takes a turn of `visit.heavy`."""
    answer = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{name}"'})
    answer.content_type, answer.charset = "text/csv", "utf-8"
    async with visit.heavy(), aclosing(pieces):
        piece: str | None = await anext(pieces)
        await answer.prepare(visit.request)
        try:
            while piece is not None:
                async with asyncio.timeout(WRITE_SECONDS):
                    await answer.write(piece.encode())
                await asyncio.sleep(PAUSE_SECONDS)  # a write waits for nothing while the reader is quick
                piece = await anext(pieces, None)
            await answer.write_eof()
        except BaseException:
            if visit.request.transport is not None:
                visit.request.transport.abort()
            raise
    return answer
