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
"""Of longer ones together the shortest are stored; the names count too."""

LONGEST_SIGN = 4
"""Bytes of UTF-8."""

BODY_SECONDS = 10.0
UNREAD = "the body could not be read"


class ForgedError(Exception):
    """The callback should be signed rightly and is not. The text is safe to log."""


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

    Raises aiohttp's 413 for a body over 64 KiB, 400 for one that broke off, and 408 for one that trickles.
    """
    try:
        # What came with the head needs no deadline: reading it waits for nobody.
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
        # All of them, since one may be the signature; aiohttp takes 128 at most.
        headers=tuple((_storable(name.lower()), _storable(value)) for name, value in request.headers.items()),
        body=body,
        received_at=now,
        payment_id=payment_id,
        said=said,
    )


def make_claim(account: Account, callback: Callback, *, lenient: bool = False) -> Claim:
    """Authenticate a callback and read what it names.

    Where the body cannot be read, the query and the word in the path are heard all the same, except at `/webhooks`,
    where the body alone is signed. Raises ForgedError, and Unreadable where nothing was left to hear, unless `lenient`:
    a buyer's browser is answered with a page.
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
        callback=_bounded(callback),
    )


def _bounded(callback: Callback) -> Callback:
    """What is stored of it, once it is authenticated and read: a stranger chooses how long its headers are.

    A signature is short, so whatever else there is it is among those that are stored.
    """
    if sum(len(name) + len(value) for name, value in callback.headers) * LONGEST_SIGN <= MAX_HEADERS:
        return callback
    room, shortest = MAX_HEADERS, set[tuple[str, str]]()
    for header in sorted(set(callback.headers), key=_length):
        room -= _length(header) * callback.headers.count(header)
        if room < 0:
            return replace(callback, headers=tuple(one for one in callback.headers if one in shortest))
        shortest.add(header)
    return callback


def _length(header: tuple[str, str]) -> int:
    name, value = header
    return len(name.encode()) + len(value.encode())


def _readable(text: str) -> str:
    """The text with U+FFFD, which readers know for a lost letter, where aiohttp has a lone surrogate for bad UTF-8."""
    return text if text.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", text)


def _storable(text: str) -> str:
    """The text with bytes of bad UTF-8 written out: it is for headers, and one of those may be the signature."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
