"""What a person is told where work waits for a role that no process seems to run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

PATIENCE = timedelta(seconds=15)
"""A running process takes such work within seconds."""

_TURNS = " A statement before it may take minutes."


def nobody_takes(role: Literal["consume", "reconcile"], since: datetime, now: datetime) -> str | None:
    """In words, that work which has waited `since` then was not taken yet; None within PATIENCE."""
    if now - since < PATIENCE:
        return None
    more = _TURNS if role == "reconcile" else ""
    return (
        f"No process with the role {role} has taken it for {int((now - since).total_seconds())} s. Is one running "
        f"(payproof serve --roles {role}), and what does its log say?{more}"
    )
