"""Sign-ins in the audit trail and in the metrics: who got in, and who did not, by the class of the reason.

A failure is never recorded with the name that was typed, unless an operator has it: people type a password there. So
that a guesser cannot fill the trail, a process records MOST_FAILURES an hour, and counts the others in the next hour's
first record. The log has each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from schemas.audit import AuditRecord
from schemas.proposals import Origin
from schemas.words import SignInOutcome
from worker.config.console import Operator
from worker.postgres.audit_rows import add_record
from worker.postgres.database import Database

MOST_FAILURES = 100
"""An hour and process: at most 2,400 records a day."""

NOBODY = "(not signed in)"
"""No operator can have this name."""


class SignInRecord:
    """`count` is called with each outcome."""

    def __init__(self, database: Database, count: Callable[[SignInOutcome], object] = lambda _: None) -> None:
        self._database, self._count = database, count
        self._since: datetime | None = None
        self._recorded = 0
        self._left_out = Counter[str]()

    async def succeeded(self, operator: Operator, address: str) -> None:
        self._count(SignInOutcome.SUCCEEDED)
        await self._add(AuditRecord(origin=_at_console(operator.name, address), action="operator.signed_in"))

    async def failed(self, outcome: SignInOutcome, operator: Operator | None, address: str) -> None:
        """Record a failure of a sign-in or a confirmation. `operator`: whose name was given; None: nobody's."""
        self._count(outcome)
        if (left_out := self._turn(outcome)) is None:
            return
        record = AuditRecord(
            origin=_at_console(NOBODY, address),
            action="operator.refused",
            subject=operator.name if operator is not None else None,
            why=outcome.value,
            detail={"left_out": left_out} if left_out else {},
        )
        await self._add(record)

    def _turn(self, outcome: SignInOutcome) -> dict[str, int] | None:
        """None where this hour has its records; else how many of each reason were left out before."""
        now = self._database.clock.now()
        if self._since is None or now - self._since >= timedelta(hours=1):
            self._since, self._recorded = now, 0
        if self._recorded >= MOST_FAILURES:
            self._left_out[outcome.value] += 1
            return None
        self._recorded += 1
        left_out = dict(self._left_out)
        self._left_out.clear()
        return left_out

    async def _add(self, record: AuditRecord) -> None:
        async with self._database.connection() as connection:
            await add_record(connection, record)


def _at_console(actor: str, address: str) -> Origin:
    return Origin(actor=actor, via="console", address=address)
