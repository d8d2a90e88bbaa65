"""What every HTTP listener of ours says beside a handler's own answer, and under which path it is reached.

The headers for browsers are set where each answer leaves, so that no handler can forget them. aiohttp answers bytes
that are no request by itself, and tells its version and what it could not read; those answers are replaced by ones that
say no more than their status.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

YEAR_SECONDS = 365 * 24 * 3600

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""For what is no page: it is not kept, framed, run, guessed at or embedded. The pages say more (ingress.pages)."""

HTTPS_ONLY = {"Strict-Transport-Security": f"max-age={YEAR_SECONDS}"}
"""Only where the address under which we are reached is https. Hosts below ours are not ours to speak for."""


class Runner(web.AppRunner):
    """An application with nothing of aiohttp's own in its answers.

    `path` is where a proxy has us, `/pay` or nothing: a request may have it before its own path, or the proxy took it
    away.
    """

    __slots__ = ("_path",)

    def __init__(self, app: web.Application, *, path: str = "", **more: Any) -> None:
        super().__init__(app, access_log=None, **more)
        self._path = path

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        factory = made.request_factory

        def request(message: RawRequestMessage, *more: Any) -> web.BaseRequest:
            return factory(_without(self._path, message), *more)

        return _Server(made.request_handler, request_factory=request, **self._kwargs)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class _Handler(RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read, and what failed. aiohttp logs it, in the words of worker.telemetry.logs."""
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
        """A request that was never read has no application, whose signals would do this."""
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)


def _plain(status: int) -> web.Response:
    answer = _Plain(status=status, text=f"{status} {HTTPStatus(status).phrase}\n", headers=HEADERS)
    answer.force_close()
    return answer


def _without(path: str, message: RawRequestMessage) -> RawRequestMessage:
    """The message as if it had come without this path before its own."""
    own = message.url.raw_path
    if not path or not (own == path or own.startswith(f"{path}/")):
        return message
    url = message.url.with_path(own[len(path) :] or "/", encoded=True, keep_query=True)
    return message._replace(path=url.raw_path_qs, url=url)


def guarded(public_url: str | None = None) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """For `on_response_prepare`; `public_url` None where no browser comes."""
    headers = {**HEADERS, **(HTTPS_ONLY if (public_url or "").startswith("https://") else {})}

    async def guard(_: web.Request, response: web.StreamResponse) -> None:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        response.headers.popall("Server", None)  # strangers are not told which versions run here

    return guard
