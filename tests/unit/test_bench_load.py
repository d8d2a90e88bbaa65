"""The load that a benchmark sends from a process of its own: its answer comes back whole, however much was sent."""

from __future__ import annotations

import asyncio

from tests.bench.http_load import Load, ready

HITS = 8_000
"""As many as `python -m tests.bench.ingress --hits 8000` sends: their times alone are 150 kB of the answer."""


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except asyncio.IncompleteReadError:
        writer.close()


async def test_the_answer_of_thousands_of_hits_is_read_whole() -> None:
    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with ready(Load(port=port, kind="returns", first=1, count=HITS)) as running:
            running.go()
            answered = await running.answered(60.0)
    assert answered.statuses == {"200": HITS}
    assert len(answered.since) == HITS
