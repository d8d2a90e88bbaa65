"""A person's decision on a held payment, for the API and the commands: it takes effect, or becomes a proposal."""

from __future__ import annotations

from consumers.commands.resolve import ResolutionRequest, SecondPersonNeeded, resolve_payment
from consumers.rules import Rules
from schemas.payments import Payment
from schemas.proposals import Origin, Proposal
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.proposal_rows import propose


async def decide(
    database: Database,
    ledger: PostgresLedger,
    rules: Rules,
    payment_id: str,
    wanted: ResolutionRequest,
    origin: Origin,
    basis: str | None = None,
) -> Payment | Proposal:
    """Resolve the payment, or propose it where a second person has to approve. Raises ResolutionRefused.

    `basis` is that of what the person was shown, where they were.
    """
    try:
        return await resolve_payment(ledger, rules, payment_id, wanted, origin, basis)
    except SecondPersonNeeded as needed:
        return await propose(database, needed.case, wanted, origin, basis=needed.basis)
