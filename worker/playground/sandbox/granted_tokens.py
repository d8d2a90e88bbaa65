"""Tokens that a gateway grants and later asks for: good until they end by the sandbox's clock, or are revoked."""

from __future__ import annotations

from random import Random
from typing import Literal

from worker.playground.sandbox.state import State

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
Use = Literal["access", "refresh"]


def grant_token(state: State, provider: str, draw: Random, *, seconds: float, use: Use = "access") -> str:
    """A new token of this gateway, stored with its use."""
    token = "sandbox." + "".join(draw.choices(LETTERS, k=120))
    row = (token, provider, use, state.now() + seconds)
    state.db.execute("INSERT INTO tokens (token, provider, use, expires_at) VALUES (?, ?, ?, ?)", row)
    return token


def is_granted(state: State, provider: str, token: str, *, use: Use = "access") -> bool:
    """Whether the gateway granted this token for this use, and it has neither ended nor been revoked."""
    row = state.db.execute(
        "SELECT 1 FROM tokens WHERE token = ? AND provider = ? AND use = ? AND expires_at > ?",
        (token, provider, use, state.now()),
    ).fetchone()
    return row is not None


def revoke_tokens(state: State, provider: str | None = None) -> int:
    """Refuse every token granted so far, by this gateway or by all. Returns their number."""
    return state.db.execute("DELETE FROM tokens WHERE provider = coalesce(?, provider)", (provider,)).rowcount
