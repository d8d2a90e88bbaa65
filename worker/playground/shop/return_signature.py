"""What a returning browser carries: a status of the payment, and payproof's signature over it.

A right signature means that payproof verified that status once. It may be old, and it may be shown twice. So it decides
what the buyer reads, and never what is shipped.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Literal

from msgspec import Struct

Verdict = Literal["right", "wrong", "missing", "unchecked"]


class Return(Struct, frozen=True):
    """`status` is the word as the browser brought it, a stranger's text unless the verdict is `right`."""

    status: str
    verdict: Verdict


def read_return(query: Mapping[str, str], reference: str, secret: str | None) -> Return | None:
    """What the browser brought to the page of this reference; None where it brought nothing."""
    if "status" not in query and "signature" not in query:
        return None
    status, signature = query.get("status", ""), query.get("signature")
    if signature is None:
        return Return(status, "missing")
    if secret is None:
        return Return(status, "unchecked")
    about_this = query.get("reference") == reference
    signed = sign_return(secret, query.get("payment_id", ""), reference, status)
    fits = hmac.compare_digest(signed.encode(), signature.encode(errors="replace"))
    return Return(status, "right" if about_this and fits else "wrong")


def sign_return(secret: str, payment_id: str, reference: str, status: str) -> str:
    """HMAC-SHA256 in hex, keyed with the bytes behind `whsec_`."""
    text = f"payproof-return.{payment_id}.{reference}.{status}"
    return hmac.new(signing_key(secret), text.encode(errors="replace"), sha256).hexdigest()


def signing_key(secret: str) -> bytes:
    """The bytes of a `whsec_` secret. Raises ValueError where it is none."""
    written = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(written, validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith("whsec_") or not key:
        raise ValueError("a webhook secret is written whsec_ and base64")
    return key
