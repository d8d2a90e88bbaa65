"""Claims that we make ourselves: our own clock's, and those of people who want a payment looked at."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from schemas.callbacks import Claim
from schemas.words import Authenticity, Source


def own_claim(
    source: Literal[Source.SWEEP, Source.OPERATOR], payment_id: str, account: str, provider: str, now: datetime
) -> Claim:
    """A claim about one payment that says nothing of its outcome; nobody signed it, and its source is our word."""
    return Claim(
        id=uuid.uuid4().hex,
        account=account,
        provider=provider,
        source=source,
        authenticity=Authenticity.UNSIGNED,
        received_at=now,
        payment_id=payment_id,
    )
