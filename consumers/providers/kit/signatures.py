"""Check the signature of a callback: none, or HMAC-SHA256 in hex with a timestamp (ShadhinPay, Moneybag).

A right signature with an old or future timestamp is no forgery. It is a late retry or a replay, and counts as an
unsigned claim. If it were rejected, a late retry would be lost.
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
    """The result for a gateway that signs nothing. It sends no webhooks, so a webhook in its name is forged."""
    return Forged(f"{gateway} does not sign") if callback.source is Source.WEBHOOK else Unsigned()


def check_signature(
    callback: Callback, *, secret: Secret, before_body: str, digests: Iterable[str], stamp: str
) -> Signed | Unsigned | Forged:
    """Check whether one of the hex `digests` signs `before_body` and the raw body. The key is the secret's own bytes.

    `stamp` is the Unix time of the signature, as text. It comes from a stranger, and `before_body` contains it, so it
    is checked here as it came. Returns Unsigned where the signature is right but more than TOLERANCE_SECONDS old or
    early.
    """
    if not re.fullmatch(r"[0-9]{1,12}", stamp, re.ASCII):
        return Forged("the timestamp is no Unix time")
    message = before_body.encode() + callback.body
    right = hmac.new(secret.reveal().encode(), message, sha256).hexdigest().encode()
    # Every digest is compared in constant time, so that the time taken does not show which of them fits.
    fits = [hmac.compare_digest(right, digest.lower().encode("utf-8", "replace")) for digest in digests]
    if not any(fits):
        return Forged("the signature does not fit")
    if abs(callback.received_at.timestamp() - int(stamp)) > TOLERANCE_SECONDS:
        return Unsigned()
    return Signed()
