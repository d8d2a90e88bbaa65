"""Resolve a held payment: a person's decision, recorded beside the answers that it covers.

A resolution covers the answers and holds that were recorded, not the payment for ever. A different answer afterwards
can change or hold the payment again, so that money which comes later is not missed.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from consumers.apply_change import PendingChange, apply_changes
from consumers.checks.candidates import changed, lasting, named_again
from consumers.commands.basis import basis_of
from consumers.money.at_stake import needs_second_person
from consumers.money.matching import transactions_of
from consumers.ports.ledger import Batch, Ledger
from consumers.ports.writes import Keys
from consumers.rules import Rules
from schemas.answers import Fact
from schemas.audit import AuditRecord
from schemas.changes import Change, Entry
from schemas.payments import Case, Payment, Resolution
from schemas.proposals import Origin
from schemas.words import EntryKind, Status


class ResolutionRequest(Struct, frozen=True, kw_only=True):
    """A person's decision. `version`, if given, must be the payment's present version."""

    status: Status
    actor: str
    reason: str
    evidence: str | None = None
    transaction_id: str | None = None
    version: int | None = None


class ResolutionRefused(Exception):
    """The resolution does not apply.

    `code` is one of not_held, lower_status, version_conflict, transaction_used, proposal_open, proposal_rejected.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


class SecondPersonNeeded(Exception):
    """The resolution would apply to this `case`, and the amount at stake asks for a second person. It is a proposal.

    `basis` is that of the case; see consumers.commands.basis.
    """

    def __init__(self, case: Case, basis: str) -> None:
        super().__init__("a second person has to approve it")
        self.case = case
        self.basis = basis


class Seconded(Struct, frozen=True, kw_only=True):
    """The approved proposal that a resolution comes from. `approved_by` is None where one person decides alone."""

    proposal_id: str
    approved_by: str | None


async def resolve_payment(
    ledger: Ledger,
    rules: Rules,
    payment_id: str,
    wanted: ResolutionRequest,
    origin: Origin | None = None,
    basis: str | None = None,
) -> Payment:
    """Resolve a held payment and return it. The same resolution again changes nothing.

    `origin` is who decides and from where, for the audit trail; without it, the request's actor by a command. `basis`
    is that of what they were shown, where they were. Raises ResolutionRefused, `version_conflict` where the basis is
    another by now; SecondPersonNeeded where the resolution would apply and one person may not decide alone.
    """
    async with ledger.batch([payment_id]) as batch:
        case = batch.cases[payment_id]
        now = basis_of(case, await batch.taken(case, wanted.transaction_id))
        change = await resolve_within(batch, rules, case, wanted)
        if change is None:
            return case.payment
        if basis is not None and basis != now:
            raise ResolutionRefused("version_conflict", "the payment changed since it was looked at", "version")
        if needs_second_person(case, rules.second_person_from):
            raise SecondPersonNeeded(case, now)
        await batch.audit(
            AuditRecord(
                origin=origin or Origin(actor=wanted.actor, via="command"),
                action="payment.resolved",
                merchant=case.payment.merchant,
                payment_id=payment_id,
                why=wanted.reason,
                detail=resolved_words(wanted, case.payment.version),
            )
        )
        await batch.commit()
        return change.payment


async def resolve_within(
    batch: Batch, rules: Rules, case: Case, wanted: ResolutionRequest, seconded: Seconded | None = None
) -> Change | None:
    """Resolve the payment of `case` within a batch that the caller commits.

    Returns None where the last resolution was the same, so that nothing changes. Raises ResolutionRefused.
    """
    payment = case.payment
    resolution = Resolution(
        at=batch.now,
        status=wanted.status,
        actor=wanted.actor,
        reason=wanted.reason,
        evidence=wanted.evidence,
        transaction_id=wanted.transaction_id,
        approved_by=seconded.approved_by if seconded else None,
        proposal_id=seconded.proposal_id if seconded else None,
    )
    if payment.hold is None:
        if case.resolutions and case.resolutions[-1].same_decision(resolution):
            return None
        raise ResolutionRefused("not_held", f"only a held payment can be resolved{_decided(case)}")
    if wanted.version is not None and wanted.version != payment.version:
        words = f"the payment is at version {payment.version}{_decided(case)}"
        raise ResolutionRefused("version_conflict", words, "version")
    if wanted.status.rank < payment.status.rank:
        raise ResolutionRefused(
            "lower_status", f"the payment is {payment.status} already; it never falls{_decided(case)}", "status"
        )
    recorded = wanted.transaction_id
    if recorded is None and wanted.status.paid:
        recorded = payment.transaction_id or _answered_with(case)
    if recorded is not None:
        taken_keys = await batch.reserve([Keys.of(payment, transactions=[recorded])])
        if recorded in taken_keys[payment.id].transactions:
            if wanted.transaction_id is not None:
                raise ResolutionRefused("transaction_used", "another payment has this transaction", "transaction_id")
            if not payment.status.paid:  # or one transaction would pay two payments
                raise ResolutionRefused("transaction_used", _another_paid_by(recorded), "transaction_id")
            recorded = None
    resolved_keys = frozenset(fact.key for fact in case.facts) | frozenset(payment.holds)
    resolved_keys = resolved_keys.union(*(earlier.settled for earlier in case.resolutions))
    resolution = replace(resolution, recorded_transaction=recorded, settled=resolved_keys)
    if wanted.status is Status.PENDING and payment.unresolved_at is not None:
        payment = replace(payment, unresolved_at=batch.now)  # `give_up` counts from here again
        for one in lasting(payment):
            payment = changed(payment, named_again(one, batch.now))
    case = replace(case, payment=payment, resolutions=(*case.resolutions, resolution))
    said = {"status": wanted.status, "actor": wanted.actor, "reason": wanted.reason, "settles": list(payment.holds)}
    said |= {"evidence": wanted.evidence} if wanted.evidence else {}
    said |= {"approved_by": seconded.approved_by} if seconded and seconded.approved_by else {}
    entry = Entry(kind=EntryKind.RESOLUTION, at=batch.now, data=said)
    pending = PendingChange(case=case, entries=[entry], facts=[], resolution=resolution)
    (change,) = await apply_changes(batch, rules, [pending])
    return change


def resolved_words(wanted: ResolutionRequest, version: int) -> dict[str, Any]:
    """What was decided, for the audit trail, without what was not said."""
    said = {"status": wanted.status, "transaction_id": wanted.transaction_id, "evidence": wanted.evidence}
    return {"version": version} | {name: value for name, value in said.items() if value}


def _another_paid_by(transaction: str) -> str:
    return (
        f"its answers name the transaction {transaction}, which another payment has; resolve it as failed, or name the "
        "transaction that paid this one"
    )


def _answered_with(case: Case) -> str | None:
    """The only transaction that paid answers name, fitting or not; None where they name none, or several.

    A row of a statement that waits for two people names one too.
    """
    came = [fact for fact in case.facts if fact.answer.paid or (fact.unproven and _says_paid(fact))]
    named = set(transactions_of(case.payment, came).values())
    return named.pop() if len(named) == 1 else None


def _says_paid(row: Fact) -> bool:
    return not row.refund and Status(row.answer.word).paid


def _decided(case: Case) -> str:
    """In words, for an error: who resolved the payment last, as what, and when. Empty without a resolution."""
    if not case.resolutions:
        return ""
    last = case.resolutions[-1]
    return f"; {last.actor} resolved it as {last.status} at {last.at:%Y-%m-%d %H:%M:%S} UTC"
