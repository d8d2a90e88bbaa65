"""The audit record of what a person does by a command."""

from __future__ import annotations

import getpass
import os

from schemas.audit import AuditRecord
from schemas.proposals import Origin


def commanded(
    action: str,
    *,
    merchant: str | None = None,
    payment_id: str | None = None,
    subject: str | None = None,
    why: str | None = None,
) -> AuditRecord:
    """That the user of this shell does this. `subject`: the id of what it is done to, such as an endpoint."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    origin = Origin(actor=user, via="command", address=f"{user}@{os.uname().nodename}")
    return AuditRecord(origin=origin, action=action, merchant=merchant, payment_id=payment_id, subject=subject, why=why)
