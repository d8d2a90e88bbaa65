"""The documents that describe the API's answers and the events, served to everyone, without a key.

They are made when the service starts, by the code that writes `schemas/published/`, with this installation's address.
`/schemas/payment-1.json` is the `dataschema` of every event ever sent, so its path stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from aiohttp import ETag, web
from aiohttp.typedefs import Handler

from schemas.contract import event_schema, payment_schema
from schemas.shown import EVENT_SCHEMA, PAYMENT_SCHEMA
from worker.api import asyncapi, openapi
from worker.api.operations import JSON_SCHEMA

FRESH_SECONDS = 3600


def published(public_url: str = "", release: str | None = None) -> dict[str, dict[str, Any]]:
    """Every document by its path. `release` is the version in them; None is the installed one."""
    release = release or _release()
    return {
        "/openapi.json": openapi.openapi_document(public_url, release),
        "/asyncapi.json": asyncapi.asyncapi_document(public_url, release),
        PAYMENT_SCHEMA: payment_schema(public_url),
        EVENT_SCHEMA: event_schema(public_url),
    }


def documents(public_url: str) -> list[web.RouteDef]:
    return [
        web.get(path, serving(msgspec.json.encode(document), _kind(path)))
        for path, document in published(public_url).items()
    ]


def serving(body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> Handler:
    """The handler of a document that stays the same while the service runs, and may be kept for an hour."""
    mark = hashlib.sha256(body).hexdigest()[:32]

    async def serve(request: web.Request) -> web.Response:
        known = request.if_none_match or ()
        if any(one.value in (mark, "*") for one in known):
            response = web.Response(status=304, headers=headers)
        else:
            charset = "utf-8" if kind.startswith("text/") else None
            response = web.Response(body=body, content_type=kind, charset=charset, headers=headers)
        response.headers["Cache-Control"] = f"public, max-age={FRESH_SECONDS}"
        response.etag = ETag(mark)
        return response

    return serve


def _kind(path: str) -> str:
    return JSON_SCHEMA if path in (PAYMENT_SCHEMA, EVENT_SCHEMA) else "application/json"


def _release() -> str:
    try:
        return version("payproof")
    except PackageNotFoundError:  # run from a checkout
        return "0"
