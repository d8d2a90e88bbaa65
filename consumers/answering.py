"""Taking a gateway's reply in: an Answer becomes a Fact, anything else moves the times and nothing more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from consumers.asking import EXECUTE_AGAIN
from consumers.gateway import Capabilities
from consumers.knowing import recorded_as
from schemas.answers import Answer, Executed, Fact, Inconclusive, Outcome, Question, Stranger
from schemas.payments import Candidate, Case, Entry, Payment
from schemas.words import EntryKind, Status

LONGEST_WAIT = timedelta(hours=1)


class Reply(Struct, frozen=True, kw_only=True):
    """What a question brought, and when, by the database's clock; `calls` is how many requests it took.

    `traceparent` names the trace of what made us ask.
    """

    payment_id: str
    question: Question
    asked_at: datetime
    answered_at: datetime
    outcome: Outcome
    calls: int = 1
    traceparent: str | None = None


class Taken(Struct, frozen=True, kw_only=True):
    """A case with a reply taken in: its new Fact, if the reply was an Answer, and what the timeline says of it."""

    case: Case
    entries: tuple[Entry, ...]
    fact: Fact | None = None
    heard: Answer | Inconclusive | None = None


def take_in(case: Case, reply: Reply, capabilities: Capabilities) -> Taken:
    """Apply one reply to its payment. The lease ends if it is this question's; another worker's is left alone."""
    payment = case.payment
    if payment.asked_at == reply.asked_at:
        payment = replace(payment, lease_until=None)
    outcome = reply.outcome
    if isinstance(outcome, Executed):
        payment = _executed(payment, outcome)
        outcome = outcome.then
    if isinstance(outcome, Stranger):
        payment = _struck(payment, reply, outcome)
        return Taken(case=replace(case, payment=payment), entries=(_entry(reply, {"refused": outcome.why}),))
    if isinstance(outcome, Inconclusive):
        if outcome.retry_after is not None:
            wait = min(timedelta(seconds=outcome.retry_after), LONGEST_WAIT)
            payment = replace(payment, not_before=reply.answered_at + wait)
        said = {"inconclusive": outcome.trouble, "detail": outcome.detail}
        return Taken(case=replace(case, payment=payment), entries=(_entry(reply, said),), heard=outcome)
    fact = Fact(
        answer=outcome,
        transaction_asked=reply.question.transaction_id,
        first_asked_at=reply.asked_at,
        first_answered_at=reply.answered_at,
        last_asked_at=reply.asked_at,
        last_answered_at=reply.answered_at,
    )
    fact = recorded_as(case, fact, capabilities.always)
    payment = _answered(payment, reply, outcome, capabilities)
    facts = tuple(({one.key: one for one in case.facts} | {fact.key: fact}).values())
    return Taken(
        case=replace(case, payment=payment, facts=facts),
        entries=(_entry(reply, shown(outcome)),),
        fact=fact,
        heard=outcome,
    )


def _answered(payment: Payment, reply: Reply, answer: Answer, capabilities: Capabilities) -> Payment:
    payment = replace(
        payment,
        fact_asked_at=max(payment.fact_asked_at or reply.asked_at, reply.asked_at),
        checked_at=max(payment.checked_at or reply.answered_at, reply.answered_at),
        candidates=tuple(
            replace(one, state="confirmed", fact_asked_at=max(one.fact_asked_at or reply.asked_at, reply.asked_at))
            if one.transaction_id == reply.question.transaction_id
            else one
            for one in payment.candidates
        ),
    )
    kept_long = (
        capabilities.executes
        and payment.execute_state == "kept"
        and payment.execute_asked_at is not None
        and reply.asked_at >= payment.execute_asked_at + EXECUTE_AGAIN
    )
    if kept_long and answer.status is Status.PENDING:
        return replace(payment, execute_state="wanted", urgent_at=reply.answered_at)
    return payment


def _executed(payment: Payment, executed: Executed) -> Payment:
    """What Execute's own reply says of the wish; until there is a reply it stays in doubt.

    A refusal ends it, unless someone said "paid" while it was under way: a stranger's word may have brought this one
    about, and the buyer approved a moment later.
    """
    match executed.reply:
        case "none" | "unread":
            return payment
        case "not_sent":
            before = payment.execute_tries - 1
            return replace(payment, execute_state="wanted", execute_unanswered=False, execute_tries=before)
        case "refused":
            asked, said = payment.execute_asked_at, payment.success_at
            anew = asked is not None and said is not None and said > asked
            return replace(payment, execute_state="wanted" if anew else None, execute_unanswered=False)
        case "completed" | "settled" | "other":
            return replace(payment, execute_unanswered=False)


def _struck(payment: Payment, reply: Reply, stranger: Stranger) -> Payment:
    """Strike an id out. One that a signed webhook brought and the gateway does not know *yet* is asked about again."""

    def judged(one: Candidate) -> Candidate:
        if one.transaction_id != reply.question.transaction_id:
            return one
        if one.signed and stranger.why == "not_found":
            return one
        return replace(one, state="struck")

    return replace(payment, candidates=tuple(judged(one) for one in payment.candidates))


def _entry(reply: Reply, said: dict[str, Any]) -> Entry:
    asked = {"question": reply.question.kind, "transaction_asked": reply.question.transaction_id}
    if isinstance(reply.outcome, Executed):
        asked["execute"] = reply.outcome.reply
    seconds = round((reply.answered_at - reply.asked_at).total_seconds(), 6)
    data = {key: value for key, value in (asked | said).items() if value is not None}
    return Entry(kind=EntryKind.ANSWER, at=reply.answered_at, data=data | {"seconds": seconds})


def shown(answer: Answer) -> dict[str, Any]:
    """The answer as its entry in the timeline shows it."""
    return {
        "status": answer.status or "unmapped",
        "word": answer.word,
        "amount": None if answer.amount is None else f"{answer.amount:.2f}",
        "currency": answer.currency,
        "session_id": answer.session_id,
        "reference": answer.reference,
        "transaction_id": answer.transaction_id,
        "refunded_amount": None if answer.refunded_amount is None else f"{answer.refunded_amount:.2f}",
        "unreadable": list(answer.unreadable) or None,
    }


def question_entry(asked: Question, at: datetime, trigger: str) -> Entry:
    data = {"question": asked.kind, "transaction_asked": asked.transaction_id, "trigger": trigger}
    return Entry(kind=EntryKind.QUESTION, at=at, data={key: value for key, value in data.items() if value is not None})
