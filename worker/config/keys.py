"""API keys: `sha256:` and 64 hex digits stand for the key whose hash that is, so that no file has to hold the key.

The one thing to get wrong: the hash is no key. Whoever presents it is refused, as its own hash is another.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

from schemas.secret import Secret

HASHED = "sha256:"
RANDOM_BYTES = 32
"""Keys are random and long, so that a plain digest cannot be searched for; what a person thought up could be."""


def new_api_key() -> str:
    return secrets.token_urlsafe(RANDOM_BYTES)


def hashed(key: str) -> str:
    """How a configuration may name the key without holding it."""
    return HASHED + sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def is_hashed(written: Secret) -> bool:
    return written.reveal().startswith(HASHED)


def digest_of(written: Secret) -> bytes:
    """The digest of a key, however it was written. Raises ValueError for a hash that is none."""
    text = written.reveal() if is_hashed(written) else hashed(written.reveal())
    if not re.fullmatch(r"[0-9a-f]{64}", text.removeprefix(HASHED)):
        raise ValueError("after sha256: stand the 64 hex digits of the key's hash; `payproof key` prints them")
    return bytes.fromhex(text.removeprefix(HASHED))
