"""Encryption of archived callbacks: AES-256-GCM, under keys that only the configuration knows.

A body is bound to its claim's id. So a person who can write to the database cannot show one buyer's callback as
another's. A key is named by a digest of itself, so that the configuration needs no names and keys may be in any order.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
"""Drawn at random for each record. One key is safe for some thousand million records."""


class NotDecrypted(Exception):
    """The record cannot be read. The message says why and holds nothing of the record."""


class ArchiveCipher:
    """Encrypts with the first of the keys, decrypts with all. Without keys, records are stored as they are."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = {_name(key): AESGCM(key) for key in keys}
        self._first = next(iter(self._keys), None)

    def encrypt(self, claim_id: str, body: bytes) -> tuple[str | None, bytes]:
        """Returns the name of the key, and the bytes to store; without a key None and the body itself."""
        if self._first is None:
            return None, body
        nonce = secrets.token_bytes(NONCE_BYTES)
        return self._first, nonce + self._keys[self._first].encrypt(nonce, body, claim_id.encode())

    def decrypt(self, claim_id: str, key_id: str | None, stored: bytes) -> bytes:
        """The body. Raises NotDecrypted for an unknown key, and for a record that was changed or is another claim's."""
        if key_id is None:
            return stored
        if key_id not in self._keys:
            raise NotDecrypted(f"it is encrypted with the key {key_id}, which is not in the configuration")
        try:
            return self._keys[key_id].decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], claim_id.encode())
        except (InvalidTag, ValueError):
            raise NotDecrypted("it was changed, or is another claim's") from None


def key_of(text: str) -> bytes:
    """Decode a key from the base64 of the configuration. Raises ValueError."""
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key is the base64 of {KEY_BYTES} bytes; `payproof key --archive` makes one")
    return key


def new_archive_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _name(key: bytes) -> str:
    return sha256(b"payproof-archive-key:" + key).hexdigest()[:16]
