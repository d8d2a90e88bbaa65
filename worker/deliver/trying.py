"""A test event: signed and shaped as the real ones are, and about no payment.

Its type is `payproof.test`, on which no shop acts, and it holds no payment's data.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import msgspec

TYPE = "payproof.test"


def trial_event(merchant: str, at: datetime) -> tuple[str, bytes]:
    """Make a test event. Returns its id, and a CloudEvent as JSON."""
    event_id = f"test_{secrets.token_hex(8)}"
    return event_id, msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": event_id,
            "type": TYPE,
            "source": f"/payproof/{merchant}",
            "time": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "datacontenttype": "application/json",
            "data": {"message": "A test of this endpoint; no payment is meant."},
        }
    )
