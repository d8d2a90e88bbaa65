"""Audit records for tests of the functions that write one with their act."""

from __future__ import annotations

from schemas.audit import AuditRecord
from schemas.proposals import Origin

RECORD = AuditRecord(origin=Origin(actor="rahima", via="command"), action="statement.tested")


def by(actor: str) -> AuditRecord:
    return AuditRecord(origin=Origin(actor=actor, via="command"), action="statement.tested")


async def no_trail(_: AuditRecord) -> None:
    """In place of an audit trail, where there is no database."""
