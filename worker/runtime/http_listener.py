"""The answers of our HTTP listeners beside a handler's own, and the path under which a proxy has us.

The headers for browsers are set as each answer is sent, so that no handler can forget them. aiohttp itself answers
bytes that are no request, with its version and the bytes; those answers are replaced by answers of a status alone.
Every connection keeps the limits of its listener (`worker.runtime.bounded_connection`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from worker.runtime.bounded_connection import BoundedConnection
from worker.runtime.connection_limits import ConnectionCounters, ConnectionLimits, OpenConnections

BUSY = "503 Service Unavailable\n"
YEAR_SECONDS = 365 * 24 * 3600

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""For answers that are no pages: a browser does not store, frame, run or embed them, and does not guess their type.
Pages set more (worker.ingress.pages)."""

HTTPS_ONLY = {"Strict-Transport-Security": f"max-age={YEAR_SECONDS}"}
"""Only where our public address is https. Subdomains are left out, as they may belong to others."""


class Runner(web.AppRunner):
    """Runs an application without aiohttp's own texts in its answers.

    `path` is the prefix under which a proxy has us, `/pay` or nothing. A request may have the prefix before its own
    path, or the proxy has removed it.
    """

    __slots__ = ("_path", "connections")

    def __init__(
        self,
        app: web.Application,
        *,
        path: str = "",
        limits: ConnectionLimits | None = None,
        counters: ConnectionCounters | None = None,
        **more: Any,
    ) -> None:
        super().__init__(app, access_log=None, **more)
        self._path = path
        self.connections = OpenConnections(limits or ConnectionLimits(), counters)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        factory = made.request_factory

        def request(message: RawRequestMessage, *more: Any) -> web.BaseRequest:
            return factory(_without(self._path, message), *more)

        return _Server(made.request_handler, request_factory=request, register=self.connections, **self._kwargs)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class _Handler(BoundedConnection):
    busy = "\r\n".join(
        [
            "HTTP/1.1 503 Service Unavailable",
            *(f"{name}: {value}" for name, value in HEADERS.items()),
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(BUSY)}",
            "Retry-After: 5",
            "Connection: close",
            f"\r\n{BUSY}",
        ]
    ).encode()
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be read, or that failed. aiohttp logs it, by worker.telemetry.logs.

        A head that is too large is counted instead. A client that went away before its answer is no failure of ours.
        """
        gone = isinstance(exc, ConnectionError) and (request.transport is None or request.transport.is_closing())
        if status != HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE and not gone:
            super().handle_error(request, status, exc, message)
        return _plain(status)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPExpectationFailed):  # its words are the request's
            resp = _plain(resp.status)
        return await super().finish_response(request, resp, start_time)


class _Plain(web.Response):
    async def _prepare_headers(self) -> None:
        """Remove the header Server here: a request that was never read has no application, whose signal would do it."""
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)


def _plain(status: int) -> web.Response:
    answer = _Plain(status=status, text=f"{status} {HTTPStatus(status).phrase}\n", headers=HEADERS)
    answer.force_close()
    return answer


def _without(path: str, message: RawRequestMessage) -> RawRequestMessage:
    """The message as if its path had come without this prefix."""
    own = message.url.raw_path
    if not path or not (own == path or own.startswith(f"{path}/")):
        return message
    url = message.url.with_path(own[len(path) :] or "/", encoded=True, keep_query=True)
    return message._replace(path=url.raw_path_qs, url=url)


def guarded(public_url: str | None = None) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """A handler for `on_response_prepare` that sets our headers.

    `public_url` is None for a port that browsers do not use.
    """
    headers = {**HEADERS, **(HTTPS_ONLY if (public_url or "").startswith("https://") else {})}

    async def guard(_: web.Request, response: web.StreamResponse) -> None:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        response.headers.popall("Server", None)  # strangers are not told which versions run here

    return guard
