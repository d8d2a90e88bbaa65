"""The audit trail: who did what to which payment, when, from where and why. Nobody changes or deletes a record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, field

from schemas.proposals import Origin


class AuditRecord(Struct, frozen=True, kw_only=True):
    """One act. `action` is `noun.verbed`; `subject` is what it was done to beside the payment, such as a proposal's id.

    `detail` holds no buyer's data and no secret.
    """

    origin: Origin
    action: str
    merchant: str | None = None
    payment_id: str | None = None
    subject: str | None = None
    why: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


class RecordedAct(AuditRecord, frozen=True, kw_only=True):
    """A record as it stands in the trail, at its place."""

    id: int
    at: datetime
