"""Writing into the audit trail what an operator is about to do."""

from __future__ import annotations

from schemas.audit import AuditRecord
from schemas.proposals import Origin
from worker.console.visit import Visit
from worker.postgres.audit_rows import add_record


async def acted(
    visit: Visit,
    action: str,
    subject: str | None = None,
    *,
    merchant: str | None = None,
    payment_id: str | None = None,
    why: str | None = None,
) -> None:
    """Write into the audit trail what the operator is about to do."""
    origin = Origin(actor=visit.operator.name, via="console", address=visit.address)
    record = AuditRecord(
        origin=origin, action=action, merchant=merchant, payment_id=payment_id, subject=subject, why=why
    )
    async with visit.database.connection() as connection:
        await add_record(connection, record)
