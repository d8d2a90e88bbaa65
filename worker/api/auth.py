"""The merchant of a request, by its API key.

Without a key every path under `/v1` gives 401, also one that does not exist. No handler can forget to ask: the merchant
of a request comes from here alone.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from worker.api.context import Api
from worker.api.problems import Problem
from worker.config import Merchant

_MERCHANT = web.RequestKey("merchant", Merchant)


def merchant_of(request: web.Request) -> Merchant:
    return request[_MERCHANT]


def is_keyed(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


def authenticate(api: Api) -> Middleware:
    """The middleware that lets only merchants through to `/v1`, before the path is looked at."""

    @web.middleware
    async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_keyed(request.path):
            merchant = _merchant(api, request)
            if merchant is None:
                detail = "every /v1 path needs Authorization: Bearer <api key>"
                raise Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
            request[_MERCHANT] = merchant
            if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
                raise Problem(415, "unsupported_encoding", "send the body as it is, without Content-Encoding")
        return await handler(request)

    return enter


def _merchant(api: Api, request: web.Request) -> Merchant | None:
    given = request.headers.getall("Authorization", [])
    scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return api.config.merchant_by_key(key.strip()) if scheme.lower() == "bearer" and key.strip() else None
