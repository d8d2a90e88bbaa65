"""Candidates: ids that only callbacks bring, for a gateway that cannot be asked by our ids.

They are transaction ids (Moneybag) or session ids (UddoktaPay); see `Capabilities.candidates`. Any sender can make up
such an id, so each is asked about by itself: soon after a claim first named it, and again on the `claimed` delays,
until the gateway knows it as this payment's or as another's. "Not found" must not reject an id, or a payment could be
missed: a gateway often knows an id a little later than the buyer who paid with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from consumers.ports.gateway import Capabilities
from schemas.answers import Question
from schemas.callbacks import Claim
from schemas.checks import Checks
from schemas.payments import Candidate, Payment
from schemas.statements import Line
from schemas.words import Id

KNOWN_WITHIN = timedelta(minutes=15)
"""How long at least an id is asked about after a claim first named it, even if the payment's time is over."""

UNSIGNED_KEPT = 20
REFERRED_KEPT = 5
REJECTED_KEPT = 20


def named_by(told: Claim | Line, capabilities: Capabilities) -> str | None:
    """The id in a claim, or in a line of a statement, that the gateway can be asked by as a candidate."""
    match capabilities.candidates:
        case Id.TRANSACTION:
            return told.transaction_id
        case Id.SESSION:
            return told.session_id
        case _:
            return None


def question_about(candidate_id: str | None, capabilities: Capabilities) -> Question:
    """The status question by a candidate, or by our own ids where it is None."""
    if capabilities.candidates is Id.SESSION:
        return Question(session_id=candidate_id)
    return Question(transaction_id=candidate_id)


def candidate(payment: Payment, transaction_id: str | None) -> Candidate | None:
    return next((one for one in payment.candidates if one.transaction_id == transaction_id), None)


def is_rejected(one: Candidate) -> bool:
    """Whether the gateway knows it as another payment's, so that it is never asked about again.

    Release 0.1 also rejected ids that the gateway did not know yet. It noted no `heard_at`, so its rejections are
    ignored.
    """
    return one.state == "struck" and one.heard_at is not None


def named_again(one: Candidate, at: datetime) -> Candidate:
    """The candidate with its schedule begun again, from the time `at` of a new claim or resolution."""
    state = "confirmed" if one.state == "confirmed" else "unasked"
    return replace(one, state=state, heard_at=at, step=0, late_step=0, unpaid_at=None)


def changed(payment: Payment, one: Candidate) -> Payment:
    """The payment with `one` in place of its candidate of the same id, if it has that candidate."""
    candidates = tuple(one if known.transaction_id == one.transaction_id else known for known in payment.candidates)
    return replace(payment, candidates=candidates)


def added(payment: Payment, new: Candidate) -> Payment:
    """The payment with the new candidate, if there is room for it.

    A payment keeps twenty unsigned unproven candidates; at most five of them came with our reference alone. Where there
    is no room, the one that was "not found" for the longest time is dropped. A candidate from the payment's own path
    may displace one that came with our reference alone, never the other way round. If none can be dropped, the new one
    is, and `candidate_dropped` is set for one from the own path.
    """
    if new.signed:
        return replace(payment, candidates=(*payment.candidates, new))
    unsigned = [one for one in unproven(payment) if not one.signed]
    referred = [one for one in unsigned if not one.own]
    if not new.own and len(referred) >= REFERRED_KEPT:
        pools = [referred]
    elif len(unsigned) >= UNSIGNED_KEPT:
        pools = [referred, unsigned] if new.own else [referred]
    else:
        return replace(payment, candidates=(*payment.candidates, new))
    for pool in pools:
        unknown = [one for one in pool if one.unknown_since is not None]
        if unknown:
            gone = min(unknown, key=lambda one: one.unknown_since or payment.opened_at)
            return replace(payment, candidates=(*(one for one in payment.candidates if one is not gone), new))
    return replace(payment, candidate_dropped=True) if new.own else payment


def with_issued_session(payment: Payment, capabilities: Capabilities, at: datetime) -> Payment:
    """The payment with its own session among the candidates, where the gateway is asked by them and the shop named it.

    A shop that opened the checkout itself names its session, and so no callback has to bring it.
    """
    session_id = payment.session_id
    if capabilities.candidates is not Id.SESSION or session_id is None or candidate(payment, session_id) is not None:
        return payment
    return added(payment, Candidate(transaction_id=session_id, signed=False, heard_at=at))


def rejected(payment: Payment, one: Candidate) -> Payment:
    """The payment with a candidate rejected, as another payment's. The oldest rejected ones are dropped."""
    payment = changed(payment, replace(one, state="struck", heard_at=one.heard_at or payment.opened_at))
    all_rejected = [known for known in payment.candidates if is_rejected(known)]
    forgotten = all_rejected[:-REJECTED_KEPT]
    return replace(payment, candidates=tuple(known for known in payment.candidates if known not in forgotten))


def unknown_to_gateway(one: Candidate, asked_at: datetime, end: datetime) -> Candidate:
    """The candidate after "not found" to a question at `asked_at`. From `end` on the clock may close the payment."""
    since = one.unpaid_at if one.unpaid_at is not None and one.unpaid_at >= end else None
    return replace(
        one,
        unknown_since=one.unknown_since or asked_at,
        unknown_at=asked_at,
        unpaid_at=since or (asked_at if asked_at >= end else None),
    )


def confirmed(payment: Payment) -> list[Candidate]:
    """The candidates that the gateway knows as this payment's. They are asked about on the payment's own schedule."""
    return [one for one in payment.candidates if one.state == "confirmed"]


def answered_at(payment: Payment) -> list[datetime]:
    """When the last answered question about each confirmed candidate was asked."""
    return [one.fact_asked_at or payment.opened_at for one in confirmed(payment)]


def unproven(payment: Payment) -> list[Candidate]:
    """The candidates that only claims call this payment's."""
    return [one for one in payment.candidates if one.state != "confirmed" and not is_rejected(one)]


def lasting(payment: Payment) -> list[Candidate]:
    """The unproven candidates that keep a payment open for a while.

    A candidate that came unsigned, with our reference alone, does not.
    """
    return [one for one in unproven(payment) if one.signed or one.own]


def ends_at(payment: Payment, one: Candidate, end: datetime) -> datetime:
    """Until when a candidate that the gateway does not know yet is asked about on the `claimed` delays."""
    return max(end, (one.heard_at or payment.opened_at) + KNOWN_WITHIN)


def unanswered(one: Candidate) -> bool:
    """Whether it was never asked about, or the last question brought no answer. "Not found" is an answer here."""
    return one.asked_at is None or one.unknown_at != one.asked_at


def next_ask(payment: Payment, one: Candidate, checks: Checks, end: datetime, give_up: timedelta) -> datetime | None:
    """When an unproven candidate is asked about next by its own schedule; None when the schedule has ended.

    A candidate that is still `unanswered` after `ends_at` is asked about until `give_up`, and once more at that moment:
    on the `claimed` delays, or after ever longer waits if it came with our reference alone.
    """
    named_at = one.heard_at or payment.opened_at
    base, until = one.asked_at or named_at, ends_at(payment, one, end)
    again = base + timedelta(seconds=checks.claimed[min(one.step, len(checks.claimed) - 1)])
    if base < until:
        return min(again, until)
    if unanswered(one):
        said = max(at for at in (named_at, payment.opened_at, one.urgent_at, one.hinted_at) if at is not None)
        last = said + give_up
        if not (one.signed or one.own):
            again = base + max(timedelta(seconds=checks.claimed[-1]), base - named_at)
        return min(again, last) if base < last else None
    later = _closing_ask(one, checks, base)
    if one.late_step < len(checks.closed):
        later.append(base + timedelta(seconds=checks.closed[one.late_step]))
    return min(later, default=None)


def _closing_ask(one: Candidate, checks: Checks, base: datetime) -> list[datetime]:
    """When the second question after the end comes. Its answer confirms the first, and the payment can close."""
    if one.unpaid_at is None:
        return []
    second = one.unpaid_at + timedelta(seconds=checks.confirm_end)
    return [second] if base < second else []


def unknown_at_its_end(payment: Payment, one: Candidate, end: datetime) -> bool:
    """Whether the gateway did not know the candidate when it was asked at its `ends_at` or later."""
    return one.unknown_at is not None and not unanswered(one) and one.unknown_at >= ends_at(payment, one, end)


def unpaid(one: Candidate, checks: Checks, end: datetime) -> bool:
    """Whether the gateway said "not found" twice after the end, at least `confirm_end` apart."""
    if one.unpaid_at is None or one.unpaid_at < end or one.unknown_at is None:
        return False
    return one.unknown_at - one.unpaid_at >= timedelta(seconds=checks.confirm_end)


def stepped(payment: Payment, one: Candidate, checks: Checks, end: datetime, now: datetime) -> Candidate:
    """The candidate with a question of its own schedule asked. The question that confirms the end is no step of it."""
    base = one.asked_at or one.heard_at or payment.opened_at
    if base < ends_at(payment, one, end) or unanswered(one):
        return replace(one, asked_at=now, step=one.step + 1)
    if _closing_ask(one, checks, base):
        return replace(one, asked_at=now)
    return replace(one, asked_at=now, late_step=one.late_step + 1)


def turn(one: Candidate, *, urgent: bool) -> tuple[bool, bool, bool, bool, float]:
    """The sort key of candidates that are due. The smallest is asked about first.

    First come candidates of an urgent claim, then confirmed ones, then those of the payment's own path (otherwise a
    stranger's made-up ids would always come first), then those never asked about, then the newest.
    """
    named_at = one.heard_at.timestamp() if one.heard_at is not None else 0.0
    return not urgent, one.state != "confirmed", not (one.own or one.signed), one.asked_at is not None, -named_at


def vouched(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates that a buyer has probably paid with. If the gateway never knows them, a person decides."""
    return [one for one in candidates if one.signed or (one.own and one.success_at is not None)]
