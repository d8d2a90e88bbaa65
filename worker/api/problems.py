"""Errors of the API as RFC 9457 problem+json, without anything internal.

An unexpected exception is logged with its type and the places that it passed, never with the request's content. The
caller learns only that it happened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import UNSET, Struct

from consumers.ports.unavailable import Unavailable, error_name
from schemas.request_shape import Wrong
from schemas.responses import ProblemDetails

RETRY_AFTER = 5
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""As RFC 9110 has them. Python's own words for these two depend on its version."""

log = structlog.get_logger()


class ApiReply(Struct, frozen=True, kw_only=True):
    """A complete answer, before it is aiohttp's: JSON, or a problem from status 400 on."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}

    def response(self) -> web.Response:
        kind = "application/problem+json" if self.status >= 400 else "application/json"
        return web.Response(status=self.status, body=self.body, headers={**HEADERS, **self.headers}, content_type=kind)


def json_reply(status: int, value: Any) -> ApiReply:
    return ApiReply(status=status, body=msgspec.json.encode(value))


class Problem(Exception):
    """An error with its HTTP status and our `code`. `retry_after`, in seconds, says that trying again may help."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        errors: Sequence[Wrong] = (),
        payment_id: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self._shown = ProblemDetails(
            type="about:blank",
            title=_TITLES.get(status) or HTTPStatus(status).phrase,
            status=status,
            code=code,
            detail=detail,
            field=field or UNSET,
            errors=list(errors) or UNSET,
            payment_id=payment_id or UNSET,
        )
        wait = {} if retry_after is None else {"Retry-After": str(max(1, math.ceil(retry_after)))}
        self._headers = {**(headers or {}), **wait}

    def reply(self) -> ApiReply:
        return ApiReply(status=self._shown.status, body=msgspec.json.encode(self._shown), headers=self._headers)


def invalid(wrong: Sequence[Wrong]) -> Problem:
    """422 for a request that could be read but not accepted. `field` is the first wrong field."""
    first = wrong[0]
    detail = f"{first.field}: {first.message}" if first.field else first.message
    return Problem(422, "invalid_request", detail, field=first.field, errors=wrong)


def unavailable(detail: str = "come again in a moment") -> Problem:
    return Problem(503, "unavailable", detail, retry_after=RETRY_AFTER)


def too_many_waiting() -> Problem:
    return Problem(429, "too_many_waiting", "too many requests wait for events", retry_after=RETRY_AFTER)


def no_key() -> Problem:
    detail = "every /v1 path needs Authorization: Bearer <api key>"
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def no_such_payment() -> Problem:
    return Problem(404, "not_found", "there is no such thing here")


def past_payment(deleted_at: datetime) -> Problem:
    words = f"this payment was deleted on {deleted_at:%Y-%m-%d}, as its retention had ended; its reference stays used"
    return Problem(404, "not_found", words)


def is_api(path: str) -> bool:
    """Whether a path is the API's: a path under `/v1`, known or not, or a document's."""
    return path in ("/v1", "/openapi.json", "/asyncapi.json") or path.startswith(("/v1/", "/schemas/"))


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The middleware that turns every error under the API's paths into problem+json."""
    if not is_api(request.path):
        return await handler(request)
    try:
        response = await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _of_http(error).reply().response()
    except Problem as problem:
        return problem.reply().response()
    except (Unavailable, OSError) as error:  # an OSError, also a TimeoutError, is the client's
        log.warning("request.unavailable", route=_route(request), error=error_name(error))
        return unavailable().reply().response()
    except Exception as error:
        log.error("request.failed", method=request.method, route=_route(request), exc_info=error)  # noqa: TRY400
        return Problem(500, "internal", "this is our fault, and it is logged").reply().response()
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _of_http(error: web.HTTPException) -> Problem:
    """The refusals of aiohttp itself: unknown paths and methods, bodies that are too large."""
    match error.status:
        case 404:
            return no_such_payment()
        case 405:
            allowed = error.headers.get("Allow", "")
            return Problem(405, "method_not_allowed", f"this path takes {allowed}", headers={"Allow": allowed})
        case 413:
            return too_large()
        case status:
            code = HTTPStatus(status).phrase.lower().replace(" ", "_")
            return Problem(status, code, "the request was refused")


def too_large() -> Problem:
    return Problem(413, "too_large", "a body has at most 64 KiB", headers={"Connection": "close"})


def _route(request: web.Request) -> str:
    """The path with the names of its variables, not their values."""
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical
