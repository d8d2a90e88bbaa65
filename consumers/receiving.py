"""Taking a claim in: what it makes us want to know, and never what it makes us believe."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeVar

from msgspec.structs import replace

from consumers.asking import hints_used_up
from consumers.gateway import Capabilities
from schemas.callbacks import Claim
from schemas.payments import Candidate, Case, Entry, Payment
from schemas.words import Authenticity, EntryKind, Said, Source, Status

UNASKED_UNSIGNED = 20
TOO_MANY = "too many that anyone could have sent came within the hour"
"""The verdict of a claim that asks later, when its payment may be asked about again (consumers.asking.next_due)."""

_Asked = TypeVar("_Asked", Payment, Candidate)

Admission = Literal["new", "seen", "repeated"]
"""`seen`: this very claim was taken before. `repeated`: another claim brought the same signed gateway event."""


def receive(
    case: Case, claim: Claim, admission: Admission, capabilities: Capabilities, now: datetime
) -> tuple[Payment, Entry]:
    """The payment with what the claim asks for, and the claim's entry for the timeline."""
    payment, verdict = case.payment, _verdict(case, claim, admission, capabilities, now)
    if admission == "new" and claim.source is not Source.SWEEP:
        payment = _with_candidate(payment, claim, capabilities)
        if claim.said is Said.SUCCESS:
            payment = _claimed_paid(case, payment, claim, capabilities, now)
    if verdict in ("asks", TOO_MANY):
        payment = _wanting(payment, claim)
    said = {
        "claim_id": claim.id,
        "source": claim.source,
        "authenticity": claim.authenticity,
        "said": claim.said,
        "session_id": claim.session_id,
        "reference": claim.reference,
        "transaction_id": claim.transaction_id,
        "event_type": claim.event_type,
        "note": claim.note,
    }
    data = {key: value for key, value in said.items() if value is not None}
    return payment, Entry(kind=EntryKind.CLAIM, at=claim.received_at, data=data | {"verdict": verdict})


def _verdict(case: Case, claim: Claim, admission: Admission, capabilities: Capabilities, now: datetime) -> str:
    """What becomes of the claim: `asks`, or why it does not (now): answered, repeated, due, refused, too many."""
    payment = case.payment
    if admission != "new":
        return "repeated"
    if claim.source is Source.SWEEP:
        return "due"
    known = _candidate(payment, claim.transaction_id)
    if known is not None and known.state == "struck":
        return "refused: the gateway said that this transaction is not this payment's"
    if not capabilities.asked_by:
        return "this gateway cannot be asked"
    asked = known or payment
    answered = asked.fact_asked_at is not None and asked.fact_asked_at > claim.received_at
    new = known is None and _names_its_question(claim, capabilities)
    if answered and not new:
        return "answered already"
    return TOO_MANY if not _believed(claim) and hints_used_up(payment, now) else "asks"


def _names_its_question(claim: Claim, capabilities: Capabilities) -> bool:
    return claim.transaction_id is not None and "transaction_id" in capabilities.asked_by


def _wanting(payment: Payment, claim: Claim) -> Payment:
    """Have a question asked: about the transaction the claim names, where that is asked about, else the payment."""
    known = _candidate(payment, claim.transaction_id)
    if known is None:
        return _wanted(payment, claim.received_at, urgent=_believed(claim))
    wanted = _wanted(known, claim.received_at, urgent=_believed(claim))
    return replace(payment, candidates=tuple(wanted if one is known else one for one in payment.candidates))


def _believed(claim: Claim) -> bool:
    """Whether it asks at once. What it says is not believed even so."""
    return claim.source is Source.OPERATOR or claim.authenticity is Authenticity.SIGNED


def _wanted(one: _Asked, at: datetime, *, urgent: bool) -> _Asked:
    if urgent:
        return replace(one, urgent_at=_later(one.urgent_at, at))
    return replace(one, hinted_at=_later(one.hinted_at, at))


def _claimed_paid(case: Case, payment: Payment, claim: Claim, capabilities: Capabilities, now: datetime) -> Payment:
    """What a claim of success starts: closer questions, Execute where it is ours, a hold where nobody can be asked."""
    if not capabilities.asked_by:
        # A person's word stands: whoever opens the success page again does not put the payment before them again.
        if payment.status.paid or case.resolutions:
            return payment
        return replace(payment, unverifiable_at=payment.unverifiable_at or now)
    struck = _candidate(payment, claim.transaction_id)
    if struck is not None and struck.state == "struck":
        return payment
    if not _names_its_question(claim, capabilities):
        payment = replace(payment, success_at=_later(payment.success_at, claim.received_at))
    wants_execute = (
        capabilities.executes
        and payment.execute_state is None
        and payment.status is Status.PENDING
        and not payment.held_for_money
        and payment.session_id is not None
        and now < payment.expires_at
    )
    return replace(payment, execute_state="wanted") if wants_execute else payment


def _with_candidate(payment: Payment, claim: Claim, capabilities: Capabilities) -> Payment:
    """Every transaction id seen is a candidate, whatever was claimed of it; unsigned ones up to twenty unasked."""
    if claim.transaction_id is None or not _names_its_question(claim, capabilities):
        return payment
    signed = claim.authenticity is Authenticity.SIGNED
    success_at = claim.received_at if claim.said is Said.SUCCESS else None
    known = _candidate(payment, claim.transaction_id)
    if known is not None:
        better = replace(known, signed=known.signed or signed, success_at=known.success_at or success_at)
        return replace(payment, candidates=tuple(better if one is known else one for one in payment.candidates))
    waiting = sum(not one.signed and one.state == "unasked" for one in payment.candidates)
    if not signed and waiting >= UNASKED_UNSIGNED:
        return replace(payment, candidate_dropped=True)
    new = Candidate(transaction_id=claim.transaction_id, signed=signed, success_at=success_at)
    return replace(payment, candidates=(*payment.candidates, new))


def _candidate(payment: Payment, transaction_id: str | None) -> Candidate | None:
    return next((one for one in payment.candidates if one.transaction_id == transaction_id), None)


def _later(known: datetime | None, new: datetime) -> datetime:
    return new if known is None else max(known, new)
