"""The audit trail of what an operator does in the console, where the act itself writes no record in its transaction."""

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
    """Add a record that this operator does this. `subject`: the id of what it is done to, such as an upload."""
    origin = Origin(actor=visit.operator.name, via="console", address=visit.address)
    record = AuditRecord(
        origin=origin, action=action, merchant=merchant, payment_id=payment_id, subject=subject, why=why
    )
    async with visit.database.connection() as connection:
        await add_record(connection, record)
