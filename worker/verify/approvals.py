"""Applies approved proposals: each payment is resolved as two people decided, and its proposal ends with it.

It is woken by an approval, and looks by itself every few seconds, so that a lost wakeup or a process that dies costs
time alone. Processes may do it at the same time: the payment's lock and the proposal's state let one of them apply it.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog

from consumers.commands.resolve import ResolutionRefused
from consumers.commands.two_people import apply_proposal, refuse_proposal
from consumers.ports.ledger import Ledger
from consumers.ports.unavailable import DatabaseBusy, DatabaseUnavailable, error_name
from consumers.rules import Rules
from schemas.proposals import Proposal, ProposalState
from worker.postgres.database import Database
from worker.postgres.proposal_reads import approved_proposals
from worker.postgres.proposal_rows import lapse_stale
from worker.postgres.wakeups import Wakeup
from worker.runtime.clock import set_within

POLL_SECONDS = 5.0
MOST_TRIES = 5
"""How often a proposal is tried that fails by a fault of ours. Then it is refused, so that a person hears of it."""

log = structlog.get_logger()


class Approvals:
    """Runs until `stop`. Call `on_wakeup` with each wakeup."""

    def __init__(self, database: Database, ledger: Ledger, rules: Rules) -> None:
        self._database, self._ledger, self._rules = database, ledger, rules
        self._wake = asyncio.Event()
        self._stopping = False
        self._failed = Counter[str]()

    def on_wakeup(self, wakeup: Wakeup) -> None:
        if wakeup.approvals:
            self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                await self.apply_all()
                await lapse_stale(self._database)
            except DatabaseUnavailable as error:
                log.warning("approvals.unavailable", error=error_name(error))
            if not self._stopping:
                await set_within(self._wake, POLL_SECONDS)

    async def apply_all(self) -> None:
        """Apply the proposals that are approved now. One that fails or is busy keeps no other waiting."""
        for proposal in await approved_proposals(self._database):
            try:
                state = await apply_proposal(self._ledger, self._rules, proposal)
            except DatabaseBusy as error:
                log.warning("approvals.busy", proposal=proposal.id, error=error_name(error))
                continue
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one that fails keeps no other waiting; see _after_fault
                state = await self._after_fault(proposal, error)
            if state.ended:
                self._failed.pop(proposal.id, None)
                log.info("proposal.ended", proposal=proposal.id, payment_id=proposal.payment_id, state=state)

    async def _after_fault(self, proposal: Proposal, error: Exception) -> ProposalState:
        """A fault of ours: it is logged and tried again at the next look, at most MOST_TRIES times."""
        self._failed[proposal.id] += 1
        log.error("proposal.failed", proposal=proposal.id, tries=self._failed[proposal.id], error=error_name(error))
        if self._failed[proposal.id] < MOST_TRIES:
            return ProposalState.APPROVED
        words = f"it failed {MOST_TRIES} times by a fault of payproof ({error_name(error)}); the log has it"
        return await refuse_proposal(self._ledger, proposal, ResolutionRefused("failed", words))
