"""What a resolution would do, before anybody decides: the event that will be told, and what changes.

It is the resolution itself, run on a copy of the payment in memory. So a preview is refused where the resolution would
be, in the same words. What it cannot see is what happens between the preview and the decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from consumers.commands.resolve import ResolutionRequest, resolve_within
from consumers.ports.writes import Keys
from consumers.rules import Rules
from schemas.audit import AuditRecord
from schemas.changes import Change
from schemas.payments import Case, Payment, TakenKeys
from schemas.proposals import Proposal, ProposalState
from schemas.shown import view
from schemas.words import EventType, Hold, Status

_NOT_SHOWN = frozenset({"version"})


class Difference(Struct, frozen=True, kw_only=True):
    """One field of the payment, as shops see it, before and after."""

    field: str
    before: str | None
    after: str | None


class Preview(Struct, frozen=True, kw_only=True):
    """The payment as it would be told. `already`: the last resolution was the same, and nothing changes.

    `asked`: the amount that the shop asked for. `event` is None where nothing would be told. `hold` is None unless the
    payment is held for another reason at once.
    """

    already: bool
    asked: str
    event: EventType | None
    version: int
    status: Status
    hold: Hold | None
    changes: tuple[Difference, ...]


async def preview(case: Case, rules: Rules, wanted: ResolutionRequest, others: TakenKeys, now: datetime) -> Preview:
    """What this resolution would change now. `others`: the keys that other payments have. Raises ResolutionRefused."""
    change = await resolve_within(_Copy(case, others, now), rules, case, wanted)
    before, after = case.payment, case.payment if change is None else change.payment
    return Preview(
        already=change is None,
        asked=f"{before.amount:.2f}",
        event=change.event.type if change is not None and change.event is not None else None,
        version=after.version,
        status=after.status,
        hold=after.hold,
        changes=differences(before, after),
    )


def differences(before: Payment, after: Payment) -> tuple[Difference, ...]:
    """The fields that shops are shown and that differ, in the order in which they are shown.

    After them the accepted amount, which shops are not shown: what the money is measured by from then on.
    """
    was, becomes = _fields(before), _fields(after)
    return tuple(
        Difference(field=name, before=_shown(was[name]), after=_shown(becomes[name]))
        for name in was
        if was[name] != becomes[name] and name not in _NOT_SHOWN
    )


class _Copy:
    """A batch in memory, over one payment. It writes nothing; see consumers.ports.ledger.Batch."""

    def __init__(self, case: Case, others: TakenKeys, now: datetime) -> None:
        self.now = now
        self.cases: Mapping[str, Case] = {case.payment.id: case}
        self._others = others

    async def reserve(self, keys: Sequence[Keys]) -> Mapping[str, TakenKeys]:
        return {key.payment_id: self._taken(key) for key in keys}

    def _taken(self, key: Keys) -> TakenKeys:
        others = self._others
        return TakenKeys(
            transactions=key.transactions & others.transactions,
            sessions=key.sessions & others.sessions,
            references=key.references & others.references,
            order=key.order_ref is not None and not key.returned and others.order,
        )

    async def taken(self, case: Case, named: str | None) -> TakenKeys:
        del case, named
        return self._others

    async def adopt_row(self, payment: Payment, request: dict[str, Any], *, proposed: str) -> str | None:
        raise NotImplementedError

    async def queue_early_claims(self, payment: Payment, *, signed_only: bool) -> None:
        raise NotImplementedError

    async def store(self, changes: Sequence[Change]) -> None:
        pass

    async def audit(self, record: AuditRecord) -> None:
        pass

    async def approved_proposal(self, proposal_id: str) -> Proposal | None:
        raise NotImplementedError

    async def end_proposal(
        self, proposal: Proposal, state: ProposalState, code: str | None = None, words: str | None = None
    ) -> None:
        raise NotImplementedError

    async def commit(self) -> None:
        pass


def _fields(payment: Payment) -> dict[str, Any]:
    accepted, shown = payment.accepted_amount, msgspec.to_builtins(view(payment))
    return {**shown, "accepted_amount": None if accepted is None else f"{accepted:.2f}"}


def _shown(value: object) -> str | None:
    return None if value is None else str(value)
