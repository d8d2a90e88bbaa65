"""From an HTTP request to a Callback, and from a Callback to a Claim. `ingress.py` makes the Claim durable."""

from __future__ import annotations

import asyncio
import re
import secrets
from contextlib import nullcontext
from datetime import datetime
from hashlib import sha256

from aiohttp import web
from msgspec.structs import replace

from consumers.account import Account
from consumers.ports.gateway import Forged, Signed
from schemas.callbacks import Callback, CallbackContent, Claim
from schemas.wire import Unreadable
from schemas.words import Authenticity, Said, Source

MAX_HEADERS = 16 * 1024
"""How many bytes of headers, names included, are stored of a callback. If it has more, the shortest are stored."""

MAX_BYTES_PER_CHARACTER = 4
"""Of UTF-8."""

BODY_SECONDS = 10.0
UNREAD = "the body could not be read"


class ForgedError(Exception):
    """The callback must be signed, and its signature is missing or wrong. The text is safe to log."""


async def read_callback(
    request: web.Request,
    source: Source,
    account: Account,
    now: datetime,
    *,
    payment_id: str | None = None,
    said: Said | None = None,
    seconds: float = BODY_SECONDS,
) -> Callback:
    """Read the request byte for byte.

    Raises aiohttp's 413 for a body over the application's limit, 400 for a body that broke off, and 408 for a body that
    takes longer than `seconds`.
    """
    try:
        # A body that came with the headers is read without waiting, so it needs no deadline.
        async with nullcontext() if request.content.is_eof() else asyncio.timeout(seconds):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the body came too slowly", headers={"Connection": "close"}) from None
    except (ConnectionError, web.RequestPayloadError):
        raise web.HTTPBadRequest(text="the body broke off", headers={"Connection": "close"}) from None
    return Callback(
        source=source,
        account=account.id,
        method=request.method,
        query=tuple((_readable(name), _readable(value)) for name, value in request.query.items()),
        # All headers, because any may be the signature; aiohttp accepts 128 at most.
        headers=tuple((_storable(name.lower()), _storable(value)) for name, value in request.headers.items()),
        body=body,
        received_at=now,
        payment_id=payment_id,
        said=said,
    )


def make_claim(account: Account, callback: Callback, *, lenient: bool = False) -> Claim:
    """Authenticate a callback, and read the ids and the word that it has.

    If the body cannot be read, the claim has the ids of the query and the path. At `/webhooks` it is Unreadable,
    because only the body is signed. A webhook without an event id gets the digest of its body, so that equal bodies
    count as one event. Raises ForgedError, and Unreadable if nothing could be read. With `lenient`, for a buyer's
    browser, an unreadable return makes a claim all the same.
    """
    provider = account.provider
    authenticated = provider.authenticate(callback)
    if isinstance(authenticated, Forged):
        raise ForgedError(authenticated.why)
    webhook, note = callback.source is Source.WEBHOOK, None
    try:
        reading = provider.read_claim(callback)
    except Unreadable:
        reading, note = provider.read_claim(replace(callback, body=b"")), UNREAD
        if webhook or (reading == CallbackContent() and not lenient):
            raise
    return Claim(
        id=secrets.token_hex(16),
        account=account.id,
        provider=provider.name,
        source=callback.source,
        authenticity=Authenticity.SIGNED if isinstance(authenticated, Signed) else Authenticity.UNSIGNED,
        received_at=callback.received_at,
        payment_id=callback.payment_id,
        said=reading.said,
        session_id=reading.session_id,
        reference=reading.reference,
        transaction_id=reading.transaction_id,
        event_id=reading.event_id or (sha256(callback.body).hexdigest() if webhook else None),
        event_type=reading.event_type,
        note=note,
        callback=_with_bounded_headers(_without_secrets(callback, provider.capabilities.secret_headers)),
    )


def _without_secrets(callback: Callback, names: frozenset[str]) -> Callback:
    """The callback without the headers that carry a secret. Called after authentication, which needs them."""
    return replace(callback, headers=tuple(header for header in callback.headers if header[0] not in names))


def _with_bounded_headers(callback: Callback) -> Callback:
    """The callback with at most MAX_HEADERS bytes of headers, the shortest.

    Called after authentication and reading, which need all headers. A signature is short, so it is stored.
    """
    if sum(len(name) + len(value) for name, value in callback.headers) * MAX_BYTES_PER_CHARACTER <= MAX_HEADERS:
        return callback
    room, shortest = MAX_HEADERS, set[tuple[str, str]]()
    for header in sorted(set(callback.headers), key=_length):
        room -= _length(header) * callback.headers.count(header)
        if room < 0:
            return replace(callback, headers=tuple(header for header in callback.headers if header in shortest))
        shortest.add(header)
    return callback


def _length(header: tuple[str, str]) -> int:
    name, value = header
    return len(name.encode()) + len(value.encode())


def _readable(text: str) -> str:
    """The text with U+FFFD, the replacement character, where aiohttp has a lone surrogate for bad UTF-8."""
    return text if text.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", text)


def _storable(text: str) -> str:
    """A header's text, with bytes of bad UTF-8 written as escapes. No byte is lost: the header may be the signature."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
