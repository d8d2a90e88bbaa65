"""Claims that we make ourselves: for the sweep, and for people who want a payment checked."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from schemas.callbacks import Claim
from schemas.words import Authenticity, Source


def own_claim(
    source: Literal[Source.SWEEP, Source.OPERATOR], payment_id: str, account: str, provider: str, now: datetime
) -> Claim:
    """A new claim about this payment, unsigned, without a word on its outcome."""
    return Claim(
        id=uuid.uuid4().hex,
        account=account,
        provider=provider,
        source=source,
        authenticity=Authenticity.UNSIGNED,
        received_at=now,
        payment_id=payment_id,
    )
