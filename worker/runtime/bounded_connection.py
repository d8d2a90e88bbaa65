"""An HTTP connection that keeps the limits of its listener (`worker.runtime.connection_limits`).

aiohttp itself bounds a header line, the number of headers and pipelined requests. It does not bound the whole head, and
waits for a head, a body and a reader for an hour or for ever.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any, ClassVar, cast

from aiohttp import EMPTY_PAYLOAD, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from worker.runtime.connection_limits import OpenConnections, Reason

PIECE = 8 * 1024
HELD_MOST = 96 * 1024
"""The most bytes that an unfinished request can hold: a head of 32 KiB and a body of 64 KiB; more is discarded."""

BUFFERED = 16 * 1024
"""A body is read from the network only while fewer than twice so many of its bytes were not read by the handler."""

LINGER_SECONDS = 5.0
"""How long the rest of a body is read and discarded after its answer, so that the client sees the answer."""


class BoundedConnection(RequestHandler):
    """`busy` is the whole answer to a connection for which there is no place.

    `_due` is when the client must have acted, and infinite while we work. `_write_due` is the same for its reading.
    """

    busy: ClassVar[bytes] = b""

    __slots__ = (
        "_answered",
        "_body",
        "_body_due",
        "_deaf",
        "_due",
        "_fires",
        "_head",
        "_head_due",
        "_held",
        "_register",
        "_seen",
        "_taken",
        "_timer",
        "_wire",
        "_write_due",
    )

    def __init__(self, manager: web.Server, *, register: OpenConnections, **more: Any) -> None:
        limits = register.limits
        super().__init__(
            manager,
            max_line_size=limits.line_bytes,
            max_field_size=limits.line_bytes,
            max_headers=limits.headers,
            read_bufsize=BUFFERED,
            lingering_time=LINGER_SECONDS,
            **more,
        )
        self._register = register
        self._wire: asyncio.Transport | None = None
        self._body: StreamReader = EMPTY_PAYLOAD  # of the latest request
        self._seen = self._answered = 0  # requests
        self._head = self._taken = self._held = 0  # bytes: of an unfinished head, of a whole request, as registered
        self._deaf = False
        self._due = self._head_due = self._body_due = self._write_due = self._fires = inf
        self._timer: asyncio.TimerHandle | None = None

    def cut(self, reason: Reason) -> None:
        self._register.count(reason)
        self._abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast("asyncio.Transport", transport)
        peer = wire.get_extra_info("peername")
        if not self._register.admit(self, str(peer[0]) if peer else ""):
            self._force_close = True  # so that aiohttp reads nothing of it
            wire.write(self.busy)
            wire.close()
            return
        self._wire = wire
        super().connection_made(transport)
        self._head_due = self._loop.time() + self._register.limits.head_seconds
        self._settle()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._register.leave(self)
        self._wire = None
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)
        self._body = EMPTY_PAYLOAD  # it refers to this connection, and its bytes would wait for the garbage collector

    def data_received(self, data: bytes) -> None:
        """Read the bytes in pieces, so that a head ends at its limit and not with all that came along."""
        for start in range(0, len(data) or 1, PIECE):
            if self._deaf:
                return
            piece = data[start : start + PIECE] if len(data) > PIECE else data
            in_body = not self._body.is_eof()
            super().data_received(piece)
            if self._wire is not None:
                self._count(len(piece), in_body=in_body)
                self._settle()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._answered += 1
            if (error := request.content.exception()) is not None:
                error.__traceback__ = None  # through its frames it refers to itself and to all that was read
            limits = self._register.limits
            self._head_due = self._loop.time() + (limits.head_seconds if self._head else limits.idle_seconds)
            self._settle()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_due = self._loop.time() + self._register.limits.write_seconds
        self._settle()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_due = inf
        self._settle()

    def _count(self, count: int, *, in_body: bool) -> None:
        """Count bytes that the parser has read."""
        limits = self._register.limits
        if self._request_count != self._seen:
            self._seen, self._body = self._request_count, self._messages[-1][1]
            self._head, self._taken = 0, count
            self._body_due = self._loop.time() + limits.body_seconds
            return
        self._taken += count
        if in_body:
            return
        if not self._head and count:
            self._head_due = min(self._head_due, self._loop.time() + limits.head_seconds)
        self._head += count
        if self._head > limits.head_bytes:
            self._refuse_head()

    def _refuse_head(self) -> None:
        """Answer 431 in place of the request, and read no more."""
        self._register.count("large")
        self._deaf = True
        error = HttpProcessingError(code=431, message="the head is too large")
        self._messages.append((_ErrInfo(431, error, error.message), EMPTY_PAYLOAD))
        self._request_count += 1
        self._head = 0
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _settle(self) -> None:
        """Set the next deadline, and register whether the connection waits and what it holds."""
        if self._wire is None:
            return
        held = self._head
        if not self._body.is_eof():
            self._due = self._body_due
            held = min(self._taken, HELD_MOST) if self._answered < self._request_count else 0
        else:
            self._due = inf if self._answered < self._request_count else self._head_due
        due = min(self._due, self._write_due)
        if due == inf:
            self._register.works(self)
        else:
            self._register.waits(self)
            if due < self._fires:
                self._arm(due)
        if held != self._held:
            self._held = held
            self._register.hold(self, held)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._fires = self._loop.call_at(due, self._late), due

    def _late(self) -> None:
        """Close the connection if its deadline has passed. A timer that fires early is set again: deadlines move."""
        self._timer, self._fires = None, inf
        due = min(self._due, self._write_due)
        if due > self._loop.time():
            if due < inf:
                self._arm(due)
        elif self._due == due and self._seen and self._body.is_eof() and not self._head:
            self._abort()  # it was idle, which is no fault
        else:
            self.cut("slow")

    def _abort(self) -> None:
        if self._wire is not None:
            self._wire.abort()
