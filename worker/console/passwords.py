"""Passwords and one-time codes: how they are made, and how a given one is compared.

A password is hashed with Argon2id, one pass over 46 MiB, as OWASP's Password Storage Cheat Sheet recommends first. One
password is hashed at a time: sign-ins take no more memory and time from callbacks than that.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from datetime import datetime

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

MEMORY_KIB, PASSES, LANES = 46 * 1024, 1, 1
SALT_BYTES, HASH_BYTES, TOTP_BYTES = 16, 32, 20
STEP_SECONDS, DIGITS = 30, 6
LONGEST_PASSWORD = 1_000
WAIT_SECONDS = 20.0
NOBODYS = "$argon2id$v=19$m=47104,t=1,p=1$KaA/nDXrZ5yHNbqW8/UMaw$WKPiQOVPWT8d2lqPQ/zKjq8IqNBnI35vMs3Wk25WaVA"
"""The hash of a password that nobody knows, to compare with where there is none. It costs what a new one costs."""


def hash_password(password: str) -> str:
    """The password's Argon2id hash in the PHC format."""
    made = Argon2id(
        salt=secrets.token_bytes(SALT_BYTES), length=HASH_BYTES, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB
    )
    return made.derive_phc_encoded(password.encode())


def new_totp() -> str:
    """A new secret for one-time codes, in base32."""
    return base64.b32encode(secrets.token_bytes(TOTP_BYTES)).decode()


def otpauth_uri(operator: str, key: bytes, issuer: str) -> str:
    """The URI from which an authenticator app takes the secret."""
    return _totp(key).get_provisioning_uri(operator, issuer)


def step_of(code: str, key: bytes, now: datetime) -> int | None:
    """The time step that this code is of: the present one, the one before or the one after. None for a wrong code.

    All three are compared, so that a wrong code takes as long as a right one.
    """
    step = int(now.timestamp()) // STEP_SECONDS
    plain = code.replace(" ", "").encode("utf-8", "replace")
    found = None
    for candidate in (step - 1, step, step + 1):
        try:
            _totp(key).verify(plain, candidate * STEP_SECONDS)
        except (InvalidToken, ValueError):
            continue
        found = candidate
    return found


class Passwords:
    """Compares passwords, one at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    async def right(self, password: str, phc: str | None) -> bool:
        """Whether the hash is of this password. Without a hash it is False, after the same time.

        Raises TimeoutError where others took the turn for too long.
        """
        async with asyncio.timeout(WAIT_SECONDS), self._turn:
            fits = await asyncio.to_thread(_fits, password[: LONGEST_PASSWORD + 1], phc or NOBODYS)
        return fits and phc is not None and len(password) <= LONGEST_PASSWORD


def _fits(password: str, phc: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode("utf-8", "replace"), phc)
    except InvalidKey:
        return False
    return True


def _totp(key: bytes) -> TOTP:
    return TOTP(key, DIGITS, SHA1(), STEP_SECONDS, enforce_key_length=False)  # noqa: S303 - what every app computes
