"""Proposals in Postgres: made, decided by a second person, ended, and lapsed.

Each act and its record in the audit trail are one transaction. The table's own checks repeat the rule of two people.
"""

from __future__ import annotations

import secrets
from typing import Any

import asyncpg

from consumers.commands.resolve import ResolutionRequest, resolved_words
from consumers.commands.two_people import (
    ProposalRefused,
    changed_since,
    check_approval,
    check_rejected,
    check_rejection,
    check_withdrawal,
    the_same,
)
from consumers.ports.unavailable import DatabaseBusy
from schemas.audit import AuditRecord
from schemas.payments import Case, TakenKeys
from schemas.proposals import Origin, Person, Proposal, ProposalState
from worker.postgres.audit_rows import add_record
from worker.postgres.database import Connection, Database
from worker.postgres.evidence_files import EvidenceFile, keep_file, with_digest
from worker.postgres.proposal_reads import AT_ONCE, COLUMNS, proposal_of
from worker.postgres.reads.snapshots import read_case, read_taken
from worker.postgres.wakeups import Wakeup
from worker.runtime.encryption import ArchiveCipher

_QUALIFIED = ", ".join(f"o.{name}" for name in Proposal.__struct_fields__)
_MADE = ("id", "payment_id", "merchant", "version", "basis", "status", "transaction_id", "reason", "evidence")
_BY = ("proposed_by", "proposed_via", "proposed_key", "proposed_from", "alone")
_LOCK_WAITING = f"""
    SELECT {COLUMNS} FROM proposals WHERE payment_id = $1 AND state IN ('open', 'approved') FOR UPDATE
"""  # noqa: S608 - our own names
_REJECTED = f"""
    SELECT {COLUMNS} FROM proposals
    WHERE payment_id = $1 AND state = 'rejected' AND basis = $2 AND proposed_key = $3 AND proposed_by = $4
    ORDER BY decided_at DESC
"""  # noqa: S608 - our own names
_LAPSE = "UPDATE proposals SET state = 'lapsed', ended_at = clock_timestamp() WHERE id = $1"
_INSERT = f"""
    INSERT INTO proposals ({", ".join(_MADE + _BY)})
    VALUES ({", ".join(f"${place}" for place in range(1, len(_MADE + _BY) + 1))})
    ON CONFLICT (payment_id) WHERE state IN ('open', 'approved') DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608 - our own names
_LOCK = f"SELECT {COLUMNS} FROM proposals WHERE id = $1 FOR UPDATE"  # noqa: S608 - our own names
_DECIDE = f"""
    UPDATE proposals SET state = $2, decided_by = $3, decided_from = $4, decided_why = $5,
        decided_at = clock_timestamp(), ended_at = CASE WHEN $2 = 'rejected' THEN clock_timestamp() END
    WHERE id = $1 RETURNING {COLUMNS}
"""  # noqa: S608 - our own names
_WITHDRAW = f"""
    UPDATE proposals SET state = 'withdrawn', ended_at = clock_timestamp() WHERE id = $1 RETURNING {COLUMNS}
"""  # noqa: S608 - our own names
_END = """
    UPDATE proposals SET state = $2, refusal_code = $3, refusal = $4, ended_at = clock_timestamp() WHERE id = $1
"""
_STALE = f"""
    SELECT {_QUALIFIED} FROM proposals o LEFT JOIN payments p ON p.id = o.payment_id
    WHERE o.state IN ('open', 'approved') AND o.state = 'open'
        AND (p.id IS NULL OR p.version <> o.version OR p.holds = '{{}}')
    LIMIT {AT_ONCE} FOR UPDATE OF o SKIP LOCKED
"""  # noqa: S608 - our own names


async def propose(
    database: Database,
    case: Case,
    wanted: ResolutionRequest,
    origin: Origin,
    *,
    basis: str,
    file: EvidenceFile | None = None,
    cipher: ArchiveCipher | None = None,
    alone: bool = False,
) -> Proposal:
    """Propose a resolution of the payment as it is in `case`. The same proposal by the same person again is the first.

    The caller has seen that the resolution would apply to this case, and `basis` is that of what was shown. A proposal
    that waits for an earlier state of the payment lapses. `alone`: one person may decide about this payment, so it is
    approved at once. Raises ResolutionRefused: `proposal_open` where another proposal waits,
    `proposal_rejected` where a program sends again what a person rejected.
    """
    proposed = with_digest(wanted, file)
    async with database.connection() as connection, connection.transaction():
        for row in await connection.fetch(_LOCK_WAITING, case.payment.id):
            waiting = proposal_of(row)
            if waiting.state is ProposalState.OPEN and waiting.basis != basis:
                await _lapse(connection, waiting)
        if origin.key is not None:
            rejected = await connection.fetch(_REJECTED, case.payment.id, basis, origin.key, origin.actor)
            check_rejected([proposal_of(row) for row in rejected], proposed)
        inserted = await connection.fetchrow(_INSERT, *_made(case, proposed, basis), *_by(origin, alone=alone))
        if inserted is None:
            return await _waiting_instead(connection, case.payment.id, proposed, origin)
        made = proposal_of(inserted)
        if file is not None:
            await keep_file(connection, made.id, file, cipher or ArchiveCipher())
        await add_record(connection, _record(made, "proposal.made", origin, proposed.reason, proposed))
        if alone:
            made = await _decide(connection, made, ProposalState.APPROVED, origin, None)
    if alone:
        database.notify(Wakeup(approvals=True))
    return made


async def approve(database: Database, proposal_id: str, person: Person, why: str | None = None) -> Proposal:
    """Approve a proposal; a worker applies it. Raises ProposalRefused, also where the payment changed since."""
    async with database.connection() as connection, connection.transaction():
        proposal = await _locked(connection, proposal_id)
        case = await read_case(connection, proposal.payment_id)
        others = TakenKeys() if case is None else await read_taken(connection, case, proposal.transaction_id)
        check_approval(proposal, case, others, person)
        approved = await _decide(connection, proposal, ProposalState.APPROVED, person.origin, why)
    database.notify(Wakeup(approvals=True))
    return approved


async def reject(database: Database, proposal_id: str, person: Person, why: str | None = None) -> Proposal:
    """Reject a proposal, so that the payment stays held. Raises ProposalRefused."""
    async with database.connection() as connection, connection.transaction():
        proposal = await _locked(connection, proposal_id)
        check_rejection(proposal, person)
        return await _decide(connection, proposal, ProposalState.REJECTED, person.origin, why)


async def withdraw(database: Database, proposal_id: str, person: Person) -> Proposal:
    """Take back one's own proposal. Raises ProposalRefused."""
    async with database.connection() as connection, connection.transaction():
        proposal = await _locked(connection, proposal_id)
        check_withdrawal(proposal, person)
        withdrawn = proposal_of(await connection.fetchrow(_WITHDRAW, proposal_id))
        await add_record(connection, _record(withdrawn, "proposal.withdrawn", person.origin))
        return withdrawn


async def lapse_stale(database: Database) -> int:
    """End the open proposals whose payment changed or is no longer held. Returns how many, at most AT_ONCE."""
    async with database.connection() as connection, connection.transaction():
        stale = [proposal_of(row) for row in await connection.fetch(_STALE)]
        for proposal in stale:
            await _lapse(connection, proposal)
    return len(stale)


async def lock_approved(connection: Connection[asyncpg.Record], proposal_id: str) -> Proposal | None:
    """See consumers.ports.ledger.Batch.approved_proposal."""
    row = await connection.fetchrow(_LOCK, proposal_id)
    proposal = None if row is None else proposal_of(row)
    return proposal if proposal is not None and proposal.state is ProposalState.APPROVED else None


async def end_approved(
    connection: Connection[asyncpg.Record],
    proposal: Proposal,
    state: ProposalState,
    code: str | None,
    words: str | None,
) -> None:
    """See consumers.ports.ledger.Batch.end_proposal."""
    await connection.execute(_END, proposal.id, state, code, words)
    why = None if code is None else f"{code}: {words}"
    await add_record(connection, _record(proposal, f"proposal.{state}", _WORKER, why))


_WORKER = Origin(actor="payproof", via="worker")


async def _locked(connection: Connection[asyncpg.Record], proposal_id: str) -> Proposal:
    row = await connection.fetchrow(_LOCK, proposal_id)
    if row is None:
        raise ProposalRefused("no_such_proposal", "there is no such proposal")
    return proposal_of(row)


async def _decide(
    connection: Connection[asyncpg.Record], proposal: Proposal, state: ProposalState, by: Origin, why: str | None
) -> Proposal:
    try:
        decided = proposal_of(await connection.fetchrow(_DECIDE, proposal.id, state, by.actor, by.address, why))
    except asyncpg.CheckViolationError as error:
        if not str(error).endswith(" is stale"):
            raise
        raise changed_since() from None  # after it was read here
    await add_record(connection, _record(decided, f"proposal.{state}", by, why))
    return decided


async def _lapse(connection: Connection[asyncpg.Record], proposal: Proposal) -> None:
    await connection.execute(_LAPSE, proposal.id)
    await add_record(connection, _record(proposal, "proposal.lapsed", _WORKER, "the payment changed or is not held"))


async def _waiting_instead(
    connection: Connection[asyncpg.Record], payment_id: str, wanted: ResolutionRequest, origin: Origin
) -> Proposal:
    row = await connection.fetchrow(_LOCK_WAITING, payment_id)
    if row is None:  # it ended between the two statements
        raise DatabaseBusy
    return the_same(proposal_of(row), wanted, origin)


def _made(case: Case, wanted: ResolutionRequest, basis: str) -> tuple[Any, ...]:
    payment = case.payment
    what = (wanted.status, wanted.transaction_id, wanted.reason, wanted.evidence)
    return (_new_id(), payment.id, payment.merchant, payment.version, basis, *what)


def _by(origin: Origin, *, alone: bool) -> tuple[str | bool | None, ...]:
    return (origin.actor, origin.via, origin.key, origin.address, alone)


def _record(
    proposal: Proposal, action: str, origin: Origin, why: str | None = None, wanted: ResolutionRequest | None = None
) -> AuditRecord:
    return AuditRecord(
        origin=origin,
        action=action,
        merchant=proposal.merchant,
        payment_id=proposal.payment_id,
        subject=proposal.id,
        why=why,
        detail={"status": proposal.status} if wanted is None else resolved_words(wanted, proposal.version),
    )


def _new_id() -> str:
    return f"prop_{secrets.token_hex(12)}"
