"""API keys. `sha256:` and 64 hex digits stand for the key with that hash, so that no file has to hold the key.

The hash itself is not accepted as a key: a caller who presents it is refused.
"""

from __future__ import annotations

import binascii
import re
import secrets
from base64 import b64decode, b64encode
from hashlib import sha256

from schemas.secret import Secret

HASHED = "sha256:"
RANDOM_BYTES = 32
"""Keys are random and this long, so that a key cannot be found from a plain digest. A key that a person made up could
be."""


WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every such secret begins with
MIN_WEBHOOK_KEY = 24
NO_WEBHOOK_SECRET = f"a webhook secret is {WEBHOOK_SECRET_PREFIX} and the base64 of {MIN_WEBHOOK_KEY} bytes or more"

NEW_TABLE = """[[merchants.keys]]
name = "shop"
hash = "{hash}"
may = ["open", "read", "verify", "events"]"""
"""How a new key is written into a configuration."""


def new_api_key() -> str:
    return secrets.token_urlsafe(RANDOM_BYTES)


def new_webhook_secret() -> str:
    """`whsec_` and the base64 of random bytes, as Standard Webhooks has it."""
    return WEBHOOK_SECRET_PREFIX + b64encode(secrets.token_bytes(RANDOM_BYTES)).decode()


def is_webhook_secret(text: str) -> bool:
    try:
        key = b64decode(text.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return False
    return text.startswith(WEBHOOK_SECRET_PREFIX) and len(key) >= MIN_WEBHOOK_KEY


def hashed(key: str) -> str:
    """The text that stands for the key in a configuration."""
    return HASHED + sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def is_hashed(written: Secret) -> bool:
    return written.reveal().startswith(HASHED)


def digest_of(written: Secret) -> bytes:
    """The digest of a key, written as the key or as its hash. Raises ValueError for a malformed hash."""
    text = written.reveal() if is_hashed(written) else hashed(written.reveal())
    if not re.fullmatch(r"[0-9a-f]{64}", text.removeprefix(HASHED)):
        raise ValueError("after sha256: stand the 64 hex digits of the key's hash; `payproof key` prints them")
    return bytes.fromhex(text.removeprefix(HASHED))
