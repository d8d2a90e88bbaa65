"""A POST with an Idempotency-Key is done once: its answer is stored, and the same request gets it again.

A 201 and errors that will stay are stored. A 5xx, and an error with Retry-After, are not: sent again, the request would
get the same error for ever.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from consumers.timing import TIMING
from schemas.request_shape import Wrong
from schemas.wire import canonical
from worker.api.auth import merchant_of
from worker.api.bodies import read_body
from worker.api.context import Api
from worker.api.problems import ApiReply, Problem, invalid
from worker.postgres.idempotency_keys import (
    Busy,
    Claimed,
    OtherBody,
    StoredAnswer,
    claim_key,
    release_key,
    store_answer,
)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
POLL_SECONDS = 0.1

log = structlog.get_logger()

KeyedWork = Callable[[str, Any], Awaitable[ApiReply]]
"""Does the work that a body asks for, under the payment id given. Raises Problem."""


async def once(api: Api, request: web.Request, work: KeyedWork) -> web.Response:
    """Read the body and do the work: once for each merchant and key, or each time where the request has no key.

    Raises Problem for a body that cannot be read, and for a key that is used with another body or still in use.
    """
    key = _key(request)
    body = await read_body(request)
    proposed = api.new_payment_id()
    if key is None:
        return (await work(proposed, body)).response()
    merchant = merchant_of(request).id
    request_hash = hashlib.sha256(request.path.encode() + b"\n" + canonical(body)).digest()
    match await _claim(api, merchant, key, request_hash, proposed):
        case StoredAnswer(status=status, body=kept):
            return ApiReply(status=status, body=kept, headers={REPLAYED: "true"}).response()
        case OtherBody():
            detail = "this key was used with another request; keys are for one request each, for 24 hours"
            raise Problem(409, "idempotency_conflict", detail, field=HEADER)
        case Busy():
            detail = "a request with this key is in progress"
            raise Problem(409, "idempotency_in_progress", detail, field=HEADER, retry_after=1)
        case Claimed() as claimed:
            return (await _work_under_claim(api, merchant, key, claimed, body, work)).response()


def _key(request: web.Request) -> str | None:
    given = request.headers.getall(HEADER, [])
    if not given:
        return None
    if len(given) > 1 or not re.fullmatch(r"[ -~]{1,255}", given[0], re.ASCII):
        raise invalid([Wrong(HEADER, "must be one key of 1 to 255 printable ASCII characters")])
    return given[0]


async def _claim(
    api: Api, merchant: str, key: str, request_hash: bytes, proposed: str
) -> Claimed | StoredAnswer | OtherBody | Busy:
    """Claim the key, waiting for a request that has it."""
    until = time.monotonic() + api.twin_wait
    while True:
        found = await claim_key(api.database, merchant, key, request_hash, proposed, TIMING.idempotency_lease)
        if not isinstance(found, Busy) or time.monotonic() >= until:
            return found
        await asyncio.sleep(POLL_SECONDS)


async def _work_under_claim(
    api: Api, merchant: str, key: str, claimed: Claimed, body: Any, work: KeyedWork
) -> ApiReply:
    """Work under the claim, and store the answer or give the claim back."""
    kept: ApiReply | None = None
    try:
        try:
            reply = await work(claimed.payment_id, body)
        except Problem as problem:
            reply = problem.reply()
        if reply.status < 500 and "Retry-After" not in reply.headers:
            kept = reply
        return reply
    finally:
        try:
            if kept is not None:
                await store_answer(api.database, merchant, key, claimed, kept.status, kept.body)
            else:
                await release_key(api.database, merchant, key, claimed)
        except DatabaseUnavailable as error:  # the claim runs out by itself, and the payment is known again by its id
            log.warning("idempotency.store_failed", error=error_name(error))
