"""Apply a gateway's reply. An Answer becomes a Fact; any other reply changes only times, candidates and Execute."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from consumers.checks import candidates
from consumers.checks.execute import answered_again, executed, too_soon
from consumers.checks.schedule import came_back, check_ended, closes_at
from consumers.money.facts import recorded_as
from consumers.ports.gateway import Capabilities
from consumers.ports.reply import Reply
from schemas.answers import Answer, Executed, Fact, ForeignTransaction, Inconclusive, Question, Trouble
from schemas.changes import Entry
from schemas.checks import Checks
from schemas.payments import Case, Payment
from schemas.words import EntryKind, Status


class AppliedReply(Struct, frozen=True, kw_only=True):
    """A case after a reply, with the Facts to write, if the reply was an Answer, and the timeline entries.

    `about_payment`: the reply, if it may close the payment as a whole. None where it is about a candidate alone, or was
    asked too soon after an Execute.
    """

    case: Case
    entries: tuple[Entry, ...]
    facts: tuple[Fact, ...] = ()
    about_payment: Answer | Inconclusive | None = None


def apply_reply(case: Case, reply: Reply, capabilities: Capabilities, checks: Checks) -> AppliedReply:
    """Apply one reply to its payment; the lease of another question is left alone.

    An answer that closes the payment is recorded as an entry, and not as a Fact, where it was asked while an Execute
    may still have been under way.
    """
    payment = case.payment
    early = too_soon(payment, reply.asked_at, reply.outcome)
    if payment.asked_at == reply.asked_at:
        payment = replace(payment, lease_until=None)
    outcome = reply.outcome
    if isinstance(outcome, Executed):
        if payment.execute_asked_at == reply.asked_at:  # else the later Execute stays in doubt
            payment = executed(payment, outcome, reply.asked_at)
        outcome = outcome.then
    if isinstance(outcome, ForeignTransaction):
        payment = _foreign(payment, reply, outcome, checks)
        said = _not_yet(reply.question) if outcome.why == "not_found" else {"refused": outcome.why}
        return AppliedReply(case=replace(case, payment=payment), entries=(_entry(reply, said),))
    if isinstance(outcome, Inconclusive):
        if outcome.retry_after is not None:
            wait = min(outcome.retry_after, checks.claimed[-1])  # no day of silence at a gateway's word
            payment = replace(payment, not_before=reply.answered_at + timedelta(seconds=wait))
        payment = check_ended(payment, reply.asked_at, answered=not outcome.trouble.is_failure)
        said = {"inconclusive": outcome.trouble, "detail": outcome.detail}
        return AppliedReply(case=replace(case, payment=payment), entries=(_entry(reply, said),), about_payment=outcome)
    if early:
        said = answer_data(outcome) | {"too_soon": "Execute may still be under way"}
        return AppliedReply(case=replace(case, payment=payment), entries=(_entry(reply, said),))
    recorded: dict[str, Fact] = {}
    for answer in outcome.each:
        fact = recorded_as(case, _fact(reply, answer), capabilities.always)
        recorded[fact.key] = fact
        case = replace(case, facts=tuple(({one.key: one for one in case.facts} | {fact.key: fact}).values()))
    payment = _answered(payment, reply, outcome, capabilities)
    return AppliedReply(
        case=replace(case, payment=payment),
        entries=(_entry(reply, answer_data(outcome)),),
        facts=tuple(recorded.values()),
        about_payment=outcome,
    )


def _fact(reply: Reply, answer: Answer) -> Fact:
    return Fact(
        answer=answer,
        transaction_asked=reply.question.candidate,
        first_asked_at=reply.asked_at,
        first_answered_at=reply.answered_at,
        last_asked_at=reply.asked_at,
        last_answered_at=reply.answered_at,
    )


def _answered(payment: Payment, reply: Reply, answer: Answer, capabilities: Capabilities) -> Payment:
    one = candidates.candidate(payment, reply.question.candidate) if reply.question.candidate else None
    if one is not None and one.state == "unasked" and one.own and answer.status in (Status.PENDING, None):
        payment = came_back(payment, own=True)  # a buyer may be paying with it now
    payment = replace(
        payment,
        missed_at=None,
        missed_step=None,
        fact_asked_at=max(payment.fact_asked_at or reply.asked_at, reply.asked_at),
        checked_at=max(payment.checked_at or reply.answered_at, reply.answered_at),
        candidates=tuple(
            replace(one, state="confirmed", fact_asked_at=max(one.fact_asked_at or reply.asked_at, reply.asked_at))
            if one.transaction_id == reply.question.candidate
            else one
            for one in payment.candidates
        ),
    )
    return answered_again(payment, capabilities, reply.asked_at, answer)


def _foreign(payment: Payment, reply: Reply, foreign: ForeignTransaction, checks: Checks) -> Payment:
    """The payment after the gateway said that the asked transaction is another payment's, or is not known to it yet.

    Only an `unasked` candidate is changed: no such reply takes back a `confirmed` one.
    """
    one = candidates.candidate(payment, reply.question.candidate)
    if one is None or one.state != "unasked":
        return payment
    if foreign.why == "other_payment":
        return candidates.rejected(payment, one)
    return candidates.changed(payment, candidates.unknown_to_gateway(one, reply.asked_at, closes_at(payment, checks)))


def _entry(reply: Reply, said: dict[str, Any]) -> Entry:
    asked: dict[str, Any] = _asked(reply.question)
    if isinstance(reply.outcome, Executed):
        asked["execute"] = reply.outcome.reply
    seconds = (reply.answered_at - reply.asked_at).total_seconds()
    data = _without_nulls(asked | said) | {"seconds": seconds}
    return Entry(kind=EntryKind.ANSWER, at=reply.answered_at, data=data)


def _without_nulls(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def answer_data(answer: Answer) -> dict[str, Any]:
    """The answer as its entry in the timeline shows it."""
    return {
        "status": answer.status or "unmapped",
        "word": answer.word,
        "amount": None if answer.amount is None else f"{answer.amount:.2f}",
        "currency": answer.currency,
        "session_id": answer.session_id,
        "reference": answer.reference,
        "transaction_id": answer.transaction_id,
        "risk": answer.risk,
        "refunded_amount": None if answer.refunded_amount is None else f"{answer.refunded_amount:.2f}",
        "unreadable": list(answer.unreadable) or None,
        "others": [_without_nulls(answer_data(one)) for one in answer.others] or None,
    }


def question_entry(asked: Question, at: datetime, trigger: str) -> Entry:
    return Entry(kind=EntryKind.QUESTION, at=at, data=_without_nulls(_asked(asked) | {"trigger": trigger}))


def _asked(question: Question) -> dict[str, Any]:
    return {
        "question": question.kind,
        "transaction_asked": question.transaction_id,
        "session_asked": question.session_id,
    }


def _not_yet(question: Question) -> dict[str, Any]:
    kind = "session" if question.session_id else "transaction"
    return {"inconclusive": Trouble.NOT_FOUND, "detail": f"the gateway does not know this {kind} yet"}
