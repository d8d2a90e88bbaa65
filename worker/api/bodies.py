"""Reading a request of the API: bytes, JSON, and the table of fields that it has to fit.

The order of the refusals is: too large (413), no JSON (400), then every wrong field (422).
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from schemas.request_shape import Shape, Wrong
from schemas.wire import MAX_BODY, Unreadable, UnsoundText, read_json
from worker.api.problems import Problem, invalid, too_large

BODY_SECONDS = 30.0
_LONGEST_PATH = 200


async def read_body(request: web.Request) -> Any:
    """The body as `read_json` gives it. Raises Problem: 413, 408, 400, or 422 for text that cannot be stored."""
    if (request.content_length or 0) > MAX_BODY:
        raise too_large()
    try:
        return read_json(await _bytes(request))
    except UnsoundText as error:
        raise invalid([Wrong(error.path[:_LONGEST_PATH], str(error))]) from None
    except Unreadable as error:
        raise Problem(400, "unreadable_body", f"the body is no sound JSON: {error}") from None


def read_fields(shape: Shape, body: Any, *more: Wrong) -> dict[str, Any]:
    """The body's fields. Raises Problem with every wrong field, `more` included."""
    wrong: list[Wrong] = []
    found = shape.read(body, wrong)
    wrong += more
    if wrong:
        raise invalid(wrong)
    return found


def read_query(shape: Shape, request: web.Request) -> dict[str, Any]:
    """The parameters of a query. Raises Problem with every wrong parameter."""
    wrong: list[Wrong] = []
    found = shape.read_query(request.query.items(), wrong)
    if wrong:
        raise invalid(wrong)
    return found


async def _bytes(request: web.Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY:
                    raise too_large()
    except TimeoutError:
        detail = f"the body did not arrive within {BODY_SECONDS:.0f} s"
        raise Problem(408, "body_too_slow", detail, headers={"Connection": "close"}) from None
    except web.RequestPayloadError:
        raise Problem(400, "unreadable_body", "the body broke off", headers={"Connection": "close"}) from None
    return bytes(body)
