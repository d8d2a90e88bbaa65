"""The audit records of what an operator does in the console."""

from __future__ import annotations

from schemas.audit import AuditRecord
from schemas.proposals import Origin
from worker.console.visit import Visit
from worker.postgres.audit_rows import note_act


def act_of(
    visit: Visit,
    action: str,
    subject: str | None = None,
    *,
    merchant: str | None = None,
    payment_id: str | None = None,
    why: str | None = None,
) -> AuditRecord:
    """That this operator does this, for the act's own transaction. `subject`: the id of what it is done to."""
    origin = Origin(actor=visit.operator.name, via="console", address=visit.address)
    return AuditRecord(origin=origin, action=action, merchant=merchant, payment_id=payment_id, subject=subject, why=why)


async def acted(visit: Visit, action: str, subject: str | None = None, **more: str | None) -> None:
    """Add the record of an act that has no transaction, before it: see worker/postgres/audit_rows.py."""
    await note_act(visit.database, act_of(visit, action, subject, **more))
