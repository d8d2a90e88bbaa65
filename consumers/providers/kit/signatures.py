"""Judging what a callback is signed with: nothing, or HMAC-SHA256 in hex with a timestamp (ShadhinPay, Moneybag).

The one thing to get wrong: a right signature with an old or future timestamp is no forgery. It is a late retry, or a
replay, and counts as an unsigned claim.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256

from consumers.ports.gateway import Forged, Signed, Unsigned
from schemas.callbacks import Callback
from schemas.secret import Secret
from schemas.words import Source

TOLERANCE_SECONDS = 300


def never_signed(callback: Callback, gateway: str) -> Unsigned | Forged:
    """The judgement of a gateway that signs nothing: it sends no webhooks, so one in its name is forged."""
    return Forged(f"{gateway} does not sign") if callback.source is Source.WEBHOOK else Unsigned()


def check_signature(
    callback: Callback, *, secret: Secret, before_body: str, digests: Iterable[str], stamp: str
) -> Signed | Unsigned | Forged:
    """Whether one of the hex digests, made at Unix time `stamp`, signs `before_body` and the raw body.

    `stamp` is text of a stranger and stands in `before_body`, so it is judged here as it came. The key is the
    secret's own bytes.
    """
    if not re.fullmatch(r"[0-9]{1,12}", stamp, re.ASCII):
        return Forged("the timestamp is no Unix time")
    message = before_body.encode() + callback.body
    right = hmac.new(secret.reveal().encode(), message, sha256).hexdigest().encode()
    # Every digest is compared, each in constant time, so that the time taken tells nothing of which one fits.
    fits = [hmac.compare_digest(right, digest.lower().encode("utf-8", "replace")) for digest in digests]
    if not any(fits):
        return Forged("the signature does not fit")
    if abs(callback.received_at.timestamp() - int(stamp)) > TOLERANCE_SECONDS:
        return Unsigned()
    return Signed()
