"""The caller of a request, by its API key.

Without a key every path under `/v1` gives 401, also one that does not exist. No handler can forget to ask: the merchant
of a request comes from here alone. What a key may do is checked at the route; see `worker/api/routes.py`.
"""

from __future__ import annotations

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from schemas.words import Scope
from worker.api.context import Api
from worker.api.problems import Problem, no_key
from worker.config import Caller, Merchant

_CALLER = web.RequestKey("caller", Caller)

log = structlog.get_logger()


def caller_of(request: web.Request) -> Caller:
    """The merchant, and the key by which it calls."""
    return request[_CALLER]


def merchant_of(request: web.Request) -> Merchant:
    return caller_of(request).merchant


def is_keyed(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


def authenticate(api: Api) -> Middleware:
    """The middleware that lets only callers with a key through to `/v1`, before the path is looked at."""

    @web.middleware
    async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_keyed(request.path):
            request[_CALLER] = _caller(api, request)
            if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
                raise Problem(415, "unsupported_encoding", "send the body as it is, without Content-Encoding")
        return await handler(request)

    return enter


def permitted(scope: Scope, handler: Handler) -> Handler:
    """The handler, for callers whose key may do this."""

    async def permit(request: web.Request) -> web.StreamResponse:
        key = caller_of(request).key
        if scope not in key.may:
            may = ", ".join(one.value for one in Scope if one in key.may)
            raise Problem(403, "scope", f"this needs a key that may {scope.value}; the key {key.name} may {may}")
        return await handler(request)

    return permit


def _caller(api: Api, request: web.Request) -> Caller:
    """The caller by its key. Raises Problem: 401, or 429 after many wrong keys from this address.

    Wrong keys are counted by their sender's address, and a right key is never slowed: a shop may share its address.
    """
    given = request.headers.getall("Authorization", [])
    scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    presented = key.strip() if scheme.lower() == "bearer" else ""
    caller = api.config.caller_by_key(presented) if presented else None
    if caller is not None:
        return caller
    if presented:
        api.keys_refused.inc()
        if (wait := api.wrong_key_wait(request)) is not None:
            raise Problem(429, "too_many_wrong_keys", "too many wrong keys from this address", retry_after=wait)
        log.warning("api_key.refused", method=request.method)
    raise no_key()
