"""Counts of payments that fail by themselves, in memory, beside the ledger in memory."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from consumers.checks.repeated_failure import LOST, Failing
from schemas.checks import Checks
from schemas.letters import KeptReply
from schemas.words import Status
from tests.fakes.ledger import FakeLedger

ANEW = timedelta(hours=1)


class FakeFailures:
    """See consumers.checks.repeated_failure.Failures."""

    def __init__(self, ledger: FakeLedger) -> None:
        self.rows: dict[str, Failing] = {}
        self.letters: dict[str, tuple[KeptReply, str]] = {}
        self._ledger = ledger

    async def count(self, payment_id: str, account: str, reason: str | None, by: int = 1) -> Failing | None:
        case, now = self._ledger.case(payment_id), self._ledger.clock.now
        if case is None or case.payment.account != account:
            return None
        first = Failing(payment_id=payment_id, failures=max(by, 0), first_at=now, last_at=now, reason=reason or LOST)
        known = self.rows.get(payment_id)
        if known is not None and (known.stopped_at is not None or known.last_at >= now - ANEW):
            first = replace(known, failures=max(known.failures + by, 0), last_at=now, reason=reason or known.reason)
        self.rows[payment_id] = first
        return first

    async def keep(self, letter_id: str, reply: KeptReply, reason: str) -> None:
        self.letters.setdefault(letter_id, (reply, reason))

    async def stop(self, payment_id: str, checks: Checks) -> None:
        payment, again = (
            self._ledger.payment(payment_id),
            self._ledger.clock.now + timedelta(seconds=checks.pending[-1]),
        )
        ends = payment.opened_at + timedelta(seconds=checks.give_up)
        self._ledger.rest(payment_id, again if payment.status is Status.PENDING and again <= ends else None)
        known = self.rows[payment_id]
        self.rows[payment_id] = replace(known, stopped_at=known.stopped_at or self._ledger.clock.now)

    async def forget(self, payment_id: str, letter_id: str | None = None) -> None:
        self.rows.pop(payment_id, None)
        self.letters.pop(letter_id or "", None)
