"""Apply a claim. It makes us ask about a payment, and is never believed."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from consumers.checks import candidates
from consumers.checks.execute import REQUEST_VALID_FOR, request_execute
from consumers.checks.planned_questions import can_ask, unsigned_asks_used_up
from consumers.checks.schedule import answered, came_back, claimed_anew
from consumers.ports.gateway import Capabilities
from consumers.ports.readings import Admission
from schemas.callbacks import Claim
from schemas.changes import Entry
from schemas.payments import Candidate, Case, Payment
from schemas.words import Authenticity, EntryKind, Id, Said, Source, Status

KEPT_CANDIDATES = 5
"""An early claim that is not signed adds a candidate only to a payment with fewer unproven ids than this."""

TOO_MANY = "too many that anyone could have sent came within the hour"
"""The verdict of a claim that waits until its payment may be asked about again; see checks.planned_questions."""

NO_ID = "no id is known yet that the gateway can be asked by"
"""The verdict of a claim that leads to a question only when a later callback brings such an id."""

_Asked = TypeVar("_Asked", Payment, Candidate)


def apply_claim(
    case: Case, claim: Claim, admission: Admission, capabilities: Capabilities, now: datetime
) -> tuple[Payment, Entry]:
    """Returns the payment with the question that the claim asks for, and the claim's timeline entry.

    The claim's id, if the gateway is asked by it, becomes a candidate. A claim of success may request an Execute, or
    hold the payment as `unverifiable` where the gateway cannot be asked. A claim that is not new, or is the sweep's,
    changes nothing.
    """
    payment, verdict = case.payment, _verdict(case, claim, admission, capabilities, now)
    if admission == "new" and claim.source is not Source.SWEEP:
        payment = _with_candidate(payment, claim, capabilities)
        if claim.said is Said.SUCCESS:
            payment = _claimed_paid(case, payment, claim, capabilities, now)
        elif _wordless(payment, claim, capabilities):
            payment = came_back(payment, own=True)
    if verdict in ("asks", TOO_MANY, NO_ID):
        payment = _wanting(payment, claim, capabilities)
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
    """The claim's verdict, as the timeline shows it: `asks`, or why it leads to no question now."""
    payment = case.payment
    if admission != "new":
        return "repeated"
    if claim.source is Source.SWEEP:
        return "due"
    known = _known(payment, claim, capabilities)
    if known is not None and candidates.is_rejected(known):
        kind = "session" if capabilities.candidates is Id.SESSION else "transaction"
        return f"refused: the gateway said that this {kind} is not this payment's"
    if not capabilities.asked_by:
        return "this gateway cannot be asked"
    new = known is None and _names_its_question(claim, capabilities)
    if not new and answered(known or payment, claim.received_at):
        return "answered already"
    if not new and not can_ask(payment, capabilities):
        return NO_ID
    free = (
        _believed(claim)
        or claim.kept
        or not unsigned_asks_used_up(payment, now, own=_own(payment, claim, capabilities))
    )
    return "asks" if free else TOO_MANY


def _names_its_question(claim: Claim, capabilities: Capabilities) -> bool:
    return candidates.named_by(claim, capabilities) is not None


def _known(payment: Payment, claim: Claim, capabilities: Capabilities) -> Candidate | None:
    """The payment's candidate that the claim names, if there is one."""
    named = candidates.named_by(claim, capabilities)
    return None if named is None else candidates.candidate(payment, named)


def _believed(claim: Claim) -> bool:
    """Whether its sender is trusted, so that it asks at once. Even then its content proves nothing about the money."""
    return claim.source is Source.OPERATOR or claim.authenticity is Authenticity.SIGNED


def _own(payment: Payment, claim: Claim, capabilities: Capabilities) -> bool:
    """Whether its sender knows more of the payment than our reference, which can be guessed.

    Such knowledge is the payment's own path, a session that the gateway issued, or an id that the gateway told us of. A
    webhook that comes here unsigned has a right signature that is too old: a late retry of the gateway.
    """
    if claim.payment_id is not None or claim.source is Source.WEBHOOK:
        return True
    if claim.session_id in payment.sessions:
        return True
    known = _known(payment, claim, capabilities)
    if known is not None and known.state == "confirmed":
        return True
    return claim.transaction_id is not None and claim.transaction_id == payment.transaction_id


def _wanting(payment: Payment, claim: Claim, capabilities: Capabilities) -> Payment:
    """The payment with the claim's time noted, so that a question comes: about its candidate, else the payment.

    A person's claim that names no candidate asks about each unproven candidate and about the payment.
    """
    urgent, own = _believed(claim) or claim.kept, _own(payment, claim, capabilities)
    known = _known(payment, claim, capabilities)
    if known is not None:
        return candidates.changed(payment, _wanted(known, claim.received_at, urgent=urgent, own=own))
    if claim.source is Source.OPERATOR:
        for one in candidates.unproven(payment):
            payment = candidates.changed(payment, _wanted(one, claim.received_at, urgent=True, own=own))
    return _wanted(payment, claim.received_at, urgent=urgent, own=own)


def _wanted(one: _Asked, at: datetime, *, urgent: bool, own: bool) -> _Asked:
    if urgent:
        return replace(one, urgent_at=_later(one.urgent_at, at))
    if own:
        return replace(one, hinted_at=_later(one.hinted_at, at))
    return replace(one, referred_at=_later(one.referred_at, at))


def _wordless(payment: Payment, claim: Claim, capabilities: Capabilities) -> bool:
    """Whether a buyer came back from a gateway whose redirects name nothing."""
    returns = claim.source is Source.RETURN and claim.payment_id is not None and claim.said is None
    return capabilities.wordless and returns and payment.status is Status.PENDING


def _claimed_paid(case: Case, payment: Payment, claim: Claim, capabilities: Capabilities, now: datetime) -> Payment:
    """The payment after a claim of success: more frequent questions, a request to execute, or a hold as `unverifiable`.

    A request to execute comes only where Execute is ours to call, the hold only where the gateway cannot be asked. A
    claim that knows no more than our reference starts more frequent questions for a while, and nothing else.
    """
    if not _believed(claim) and not _own(payment, claim, capabilities):
        names = _names_its_question(claim, capabilities)
        return payment if names or not capabilities.asked_by else came_back(payment, own=False)
    if not capabilities.asked_by:
        # After a person's resolution, another hit on the success page does not hold the payment again.
        if payment.status.paid or case.resolutions:
            return payment
        return replace(payment, unverifiable_at=payment.unverifiable_at or now)
    if _names_its_question(claim, capabilities):
        known = _known(payment, claim, capabilities)
        confirmed = known is not None and known.state == "confirmed"
        return _restarted(payment) if confirmed else payment  # an unproven candidate has its own schedule
    payment = _restarted(replace(payment, success_at=_later(payment.success_at, claim.received_at)))
    wants_execute = (
        capabilities.executes
        and payment.status is Status.PENDING
        and not payment.held_for_money
        and payment.session_id is not None
        and now < payment.expires_at
        and not (claim.kept and claim.received_at < now - REQUEST_VALID_FOR)
    )
    return request_execute(payment, claim.received_at) if wants_execute else payment


def _restarted(payment: Payment) -> Payment:
    """The payment with its `claimed` schedule begun again. Only its first claim of success does that."""
    if payment.restarted:
        return payment
    return claimed_anew(replace(payment, restarted=True))


def _with_candidate(payment: Payment, claim: Claim, capabilities: Capabilities) -> Payment:
    """The payment with the id that the claim names among its candidates; see checks.candidates."""
    named = candidates.named_by(claim, capabilities)
    if named is None:
        return payment
    believed, own = _believed(claim), _believed(claim) or _own(payment, claim, capabilities)
    success_at = claim.received_at if claim.said is Said.SUCCESS and own else None
    known = candidates.candidate(payment, named)
    if known is not None:
        first_success = success_at is not None and known.success_at is None
        better = replace(
            known,
            signed=known.signed or believed,
            own=known.own or own,
            success_at=known.success_at if success_at is None else _later(known.success_at, success_at),
        )
        if not candidates.is_rejected(known) and (believed or first_success):
            better = candidates.named_again(better, claim.received_at)
        return candidates.changed(payment, better)
    if claim.kept and not believed and len(candidates.unproven(payment)) >= KEPT_CANDIDATES:
        return payment
    new = Candidate(
        transaction_id=named,
        signed=believed,
        own=own,
        heard_at=claim.received_at,
        success_at=success_at,
    )
    return candidates.added(payment, new)


def _later(known: datetime | None, new: datetime) -> datetime:
    return new if known is None else max(known, new)
