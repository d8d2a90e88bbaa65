"""A test event: signed and shaped as the real ones are, and about no payment.

Its type is `payproof.test`, on which no shop acts, and it holds no payment's data.
"""

from __future__ import annotations

import secrets
from datetime import datetime

import msgspec

from schemas.shown import TrialEvent, TrialMessage


def trial_event(merchant: str, at: datetime) -> tuple[str, bytes]:
    """Make a test event. Returns its id, and a CloudEvent as JSON."""
    event = TrialEvent(
        specversion="1.0",
        id=f"test_{secrets.token_hex(8)}",
        type="payproof.test",
        source=f"/payproof/{merchant}",
        time=at,
        datacontenttype="application/json",
        data=TrialMessage(message="A test of this endpoint; no payment is meant."),
    )
    return event.id, msgspec.json.encode(event)
