"""How each payment has to end, by the gateway's truth alone: paid, held with cause, or closed when unpaid.

An exempted payment is exactly where money would be lost unnoticed, so each exemption has its reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from consumers.account import Account
from consumers.checks.candidates import UNSIGNED_KEPT
from schemas.words import EventType, Hold, QuestionKind, Said, Status
from tests.unit.simulation.findings import Finding, Kind
from tests.unit.simulation.seen import CLOSED, HOUR, MINUTE, Seen, Shown
from tests.unit.simulation.truth import ODD, State

PENDING_AT_A_WORD = ("ipay", "aamarpay", "eps")
"""Gateways whose list of words is not published whole: a word that is not in it reads as pending."""


def outcomes(everything: list[Seen]) -> Iterator[Finding]:
    siblings = defaultdict[str, list[Seen]](list)
    for seen in everything:
        if seen.payment.order_ref is not None:
            siblings[seen.payment.order_ref].append(seen)
    for seen in everything:
        others = [one for one in siblings[seen.payment.order_ref or ""] if one is not seen]
        yield from _paid(seen, others)
        yield from _executed(seen, others)
        yield from _unpaid(seen)
        yield from _closed_rightly(seen)
        yield from _told_rightly(seen)
        yield from _silent(seen)
        yield from _refused(seen)
    for order, attempts in siblings.items():
        yield from _one_for_order(order, attempts)


def found(kind: Kind, seen: Seen, words: str) -> Finding:
    payment = seen.payment
    stands = f"[{seen.account.id}, {seen.kind}] {payment.status}, {payment.hold}"
    return Finding(kind=kind, payment_id=payment.id, words=f"{stands}: {words}")


# -- 1: what the gateway calls paid ends completed, and is held only for what is true ----------------------------------


def _paid(seen: Seen, others: list[Seen]) -> Iterator[Finding]:
    payment, truth = seen.payment, seen.truth
    bound = [state for state in truth.paid() if seen.binding_from(state) is not None]
    if _crowded(seen):
        bound = []  # more ids than are kept: some were dropped, and a person decides
    if bound and not payment.status.paid:
        yield found("lost", seen, f"paid since {bound[0].at}, to be heard from {seen.binding_from(bound[0])}")
    if truth.captured and not payment.status.paid and payment.opened:
        yield found("lost", seen, f"its money was taken at {truth.captured}")
    allowed = set(_causes(seen, others, bool(bound)))
    if allowed & set(payment.holds) and not payment.status.paid:
        allowed.add(Hold.UNRESOLVED)  # asked to the end of the schedule, and still unproven
    for hold in payment.holds:
        if hold not in allowed:
            yield found("held", seen, f"for {hold}, and {[str(one) for one in allowed] or 'nothing'} is true")
    spoken = [state for one in seen.spoken() for state in one.paid]
    transactions = {one.transaction for one in spoken if one.amount is None and one.readable_at is not None}
    if _names_transactions(seen.account) and len(transactions) > 1 and Hold.DUPLICATE_FOR_ORDER not in payment.holds:
        yield found("doubled", seen, f"paid by {sorted(map(str, transactions))} and not held")
    if any(one.amount is not None for one in spoken) and Hold.AMOUNT_MISMATCH not in payment.holds:
        yield found("wrong", seen, "another amount was paid, and it is not held")


def _causes(seen: Seen, others: list[Seen], bound: bool) -> Iterator[Hold]:
    """The true reasons that may hold this payment."""
    truth, capabilities = seen.truth, seen.account.provider.capabilities
    paid = truth.paid()
    if len(paid) > 1 or any(other.truth.paid() for other in others):
        yield Hold.DUPLICATE_FOR_ORDER
    if any(one.paid and (one.amount is not None or one.readable_at is None) for one in truth.states):
        yield Hold.AMOUNT_MISMATCH
    if bound:
        return
    if any(one.garbled is not None for one in truth.states):
        yield Hold.AMOUNT_MISMATCH
    if any(one.status == ODD for one in truth.states) and seen.account.provider.name not in PENDING_AT_A_WORD:
        yield Hold.UNMAPPED_STATUS
    if not capabilities.asked_by and seen.success_said() and not truth.captured:
        yield Hold.UNVERIFIABLE
    ends = [seen.reachable_from(one) for one in truth.states if one.status in CLOSED]
    closing = [at for at in ends if at is not None and at < seen.asked_until]
    if _crowded(seen):
        yield Hold.UNRESOLVED
    if capabilities.asked_by and not capabilities.pending_expires and not closing:
        # When the create reply was lost, only the gateway knows the path: a success claimed there stays unanswered.
        said = any(one.acknowledged and one.own and one.said is Said.SUCCESS for one in seen.heard)
        keeps_open = seen.payment.opened or bool(paid) or said
        if seen.by_candidate:
            keeps_open = seen.named
        if keeps_open:
            yield Hold.UNRESOLVED


def _crowded(seen: Seen) -> bool:
    """Whether its own path was flooded with more ids than are kept."""
    return seen.by_candidate and sum(one.hostile and one.own for one in seen.heard) > UNSIGNED_KEPT


def _names_transactions(account: Account) -> bool:
    return account.provider.name != "shadhinpay"


def _executed(seen: Seen, others: list[Seen]) -> Iterator[Finding]:
    """The buyer approved and returned saying so: the money is taken soon, unless the order is paid otherwise."""
    if not seen.account.provider.capabilities.executes or seen.truth.approved_at is None:
        return
    captured_at = min(seen.truth.captured, default=None)
    if any(other.truth.paid() for other in others):
        return
    registered, approved_at = seen.payment.opened_at, seen.truth.approved_at
    for one in seen.genuine:
        if one.said is not Said.SUCCESS or one.at < approved_at or registered - one.at > HOUR:
            continue
        since = max([one.at, registered, *_free_at([seen, *others])])
        for began, ended in sorted(seen.troubles):
            if began < since + 2 * MINUTE:
                since = max(since, ended)
        due = since + 2 * MINUTE
        if due < seen.ends_at and (captured_at is None or captured_at > due):
            words = f"approved at {approved_at}, said so at {one.at}, and its money was asked for at {captured_at}"
            yield found("lost", seen, words)
            return


def _free_at(others: list[Seen]) -> Iterator[datetime]:
    """When each other attempt of the order left it: when its last Execute was answered, or no longer in doubt."""
    for other in others:
        for one in other.asked:
            if one.question.kind is not QuestionKind.EXECUTE or not one.sent:
                continue
            later = (two for two in other.spoken() if two is one or two.at >= one.at + MINUTE)
            yield next((two.recorded_at for two in later if two.recorded_at), other.ends_at + HOUR)


# -- 4: what nobody paid is closed in time -----------------------------------------------------------------------------


def _unpaid(seen: Seen) -> Iterator[Finding]:
    payment, truth, capabilities = seen.payment, seen.truth, seen.account.provider.capabilities
    if any(state.paid or state.status == ODD for state in truth.states):
        return
    said = [state for state in truth.states if state.status in CLOSED and seen.binding_from(state) is not None]
    by_clock = capabilities.pending_expires or (not capabilities.asked_by and not seen.success_said())
    if seen.by_candidate:
        by_clock = not seen.named
    if not said and not by_clock:
        return
    if _crowded(seen) and Hold.UNRESOLVED in payment.holds:
        return  # the id that the gateway closed may have been dropped
    if payment.status not in CLOSED:
        yield found("silent", seen, f"nobody paid, and it ended at {seen.ends_at}")
        return
    told_at = seen.first_told(*CLOSED)
    if told_at is None:
        if payment.opened:
            yield found("silent", seen, "it was closed, and nobody was told")
        return
    if any(state.seen_at > seen.closes_at for state in said):
        return  # `timing` says when an end was due that came late
    due = seen.closes_at + timedelta(seconds=seen.checks.confirm_end) + 15 * MINUTE
    due = max([due, *(seen.reachable_from(state) or due for state in said)])
    if any(one.question.kind == "execute" and not one.spoke for one in seen.asked):
        due = max(due, payment.opened_at + 24 * HOUR + 15 * MINUTE + timedelta(seconds=seen.checks.confirm_end))
    after = [end for start, end in seen.troubles if end >= seen.closes_at - 10 * MINUTE and start <= told_at]
    if seen.account.calls_per_second is not None:
        due += 6 * HOUR
    if told_at > due and (not after or told_at > max(after) + 27 * HOUR):
        yield found("late", seen, f"nobody paid; closed at {told_at}, which was due at {due}")


# -- 3: none is told closed unless the gateway said so, or the clock may -----------------------------------------------


def _closed_rightly(seen: Seen) -> Iterator[Finding]:
    first = next((one for one in seen.events if one.status in CLOSED), None)
    if first is None:
        return
    capabilities = seen.account.provider.capabilities
    spoken = [one for one in seen.spoken() if one.at < first.at]
    if any(one.state is not None and one.state.status is first.status and seen.tells(one.state) for one in spoken):
        return
    if first.status is not Status.EXPIRED:
        yield found("wrong", seen, f"told {first.status} at {first.at}, which no gateway said")
        return
    if first.at < seen.closes_at:
        yield found("wrong", seen, f"told expired at {first.at}, before it ended at {seen.ends_at}")
    confirm = timedelta(seconds=seen.checks.confirm_end)
    for state in seen.truth.states:
        reach = state.seen_at if not seen.by_candidate else _heard_of(seen, state)
        known = capabilities.asked_by and state.paid and reach is not None and reach <= first.at - confirm - MINUTE
        if known:
            yield found("lost", seen, f"told expired at {first.at}, and was paid at {state.at}")
    shown_at = [one.at for one in seen.genuine if one.own and one.transaction == seen.truth.session_id]
    if seen.by_session and min(shown_at, default=first.at) < first.at - MINUTE:
        yield found("wrong", seen, f"told expired, and its invoice was shown at {min(shown_at)}")
    if not capabilities.asked_by or seen.by_candidate:
        return
    ending = [one for one in spoken if one.at >= seen.closes_at and (one.unknown or not _paid_state(one.state))]
    if not capabilities.pending_expires:
        proves = seen.wire.PROVES_UNKNOWN or not seen.payment.opened  # without its address nobody can pay
        ending = [one for one in ending if one.unknown and proves]
    apart = bool(ending) and ending[-1].at - ending[0].at >= confirm
    if not apart:
        yield found("wrong", seen, f"told expired at {first.at} on {len(ending)} answers that prove it")


def _paid_state(state: State | None) -> bool:
    return state is not None and state.paid


def _heard_of(seen: Seen, state: State) -> datetime | None:
    """Since when it keeps its payment open: named under a signature, or on its own path with a word of success."""
    named = [
        one.at
        for one in seen.genuine
        if one.transaction == seen.candidate_of(state) and (one.signed or (one.own and one.said is Said.SUCCESS))
    ]
    return max(state.seen_at, min(named), seen.payment.opened_at) if named else None


# -- 5: nothing is told that is not true, and nothing twice ------------------------------------------------------------


def _told_rightly(seen: Seen) -> Iterator[Finding]:
    payment, truth, events = seen.payment, seen.truth, seen.events
    completed = [one for one in events if one.type == EventType.COMPLETED]
    if len(completed) > 1 or any(one.hold for one in completed):
        yield found("doubled", seen, f"told as completed {len(completed)} times, or under a hold")
    true_at = min((state.at for state in truth.paid()), default=None)
    for one in events:
        if one.status.paid and (true_at is None or one.at < true_at):
            yield found("wrong", seen, f"told {one.type} at {one.at}, and the gateway never called it paid by then")
            break
    if len(truth.captured) > 1:
        yield found("doubled", seen, f"its money was taken at {truth.captured}")
    ranks = [one.status.rank for one in events]
    if ranks != sorted(ranks):
        yield found("wrong", seen, f"was told to fall: {[str(one.status) for one in events]}")
    if any((one.type == EventType.HELD) != bool(one.hold) for one in events):
        yield found("wrong", seen, "something was told under a hold")
    if payment.version != len(events):
        yield found("wrong", seen, f"version {payment.version} and {len(events)} events")
    if events and (events[-1].status, events[-1].hold) != (payment.status, payment.hold):
        yield found("wrong", seen, "the last event does not say how it stands")
    yield from _refunds(seen)


def _refunds(seen: Seen) -> Iterator[Finding]:
    """The refund in the events is the one that the gateway showed at the last look, and the looks are on time."""
    spoken = [one for one in seen.spoken() if _paid_state(one.state)]
    showed = max((_returned(seen, one.state) for one in spoken), default=Decimal("0.00"))
    if seen.payment.refunded_amount != showed and not any(one.amount is not None for one in seen.truth.states):
        yield found("wrong", seen, f"{seen.payment.refunded_amount} is told as returned, and {showed} was shown")
    paid_at = seen.first_told(Status.COMPLETED)
    looks = seen.account.provider.capabilities.shows_refunds and paid_at is not None
    if not looks or paid_at is None or seen.payment.status is Status.REFUNDED:
        return
    last_look = paid_at + timedelta(seconds=sum(seen.checks.refunds)) - HOUR
    if seen.truth.returned(last_look) > seen.payment.refunded_amount:
        yield found("wrong", seen, f"{seen.truth.returned(last_look)} went back by {last_look}")


def _returned(seen: Seen, state: State | None) -> Decimal:
    if state is None:
        return Decimal("0.00")
    shows = seen.account.provider.capabilities.shows_refunds
    if state.status is Status.REFUNDED and shows:
        return seen.truth.amount
    return (state.refunded if shows else None) or Decimal("0.00")


def _one_for_order(order: str, attempts: list[Seen]) -> Iterator[Finding]:
    """At most one attempt counts as paid at a time, and one of them does where any is paid."""
    told: list[tuple[Shown, str]] = [(event, seen.payment.id) for seen in attempts for event in seen.events]
    folded = set[str]()
    for event, payment_id in sorted(told, key=lambda one: one[0].at):
        if event.status is Status.COMPLETED and event.hold is None:
            folded.add(payment_id)
        else:
            folded.discard(payment_id)
        if len(folded) > 1:
            yield Finding(kind="doubled", payment_id=",".join(sorted(folded)), words=f"{order} is paid by both")
            break
    captured = [seen for seen in attempts if seen.truth.captured]
    if len(captured) > 1:
        yield Finding(kind="doubled", payment_id=captured[1].payment.id, words=f"{order}: money was taken twice")
    bound = [seen for seen in attempts if any(seen.binding_from(state) for state in seen.truth.paid())]
    free = [seen for seen in bound if seen.payment.status.paid and seen.payment.hold is None]
    if bound and not free:
        yield found("held", bound[0], f"{order} was paid, and every attempt of it is held")
    yield from _freed(order, attempts)


def _freed(order: str, attempts: list[Seen]) -> Iterator[Finding]:
    """An attempt that is first seen paid after the other was refunded in full counts by itself."""
    for first, second in pairwise(attempts):
        back_at = first.first_told(Status.REFUNDED)
        others = [seen for seen in attempts if seen not in (first, second)]
        paid_at = min((state.at for state in second.truth.paid()), default=None)
        if back_at is None or others or paid_at is None or paid_at < back_at or len(second.truth.paid()) > 1:
            continue
        if Hold.DUPLICATE_FOR_ORDER in second.payment.holds:
            yield found("held", second, f"{order} was free again since {back_at}")


def _refused(seen: Seen) -> Iterator[Finding]:
    """Genuine messages of gateways and browsers are read and acknowledged, whatever else stands in their bytes."""
    for one in seen.heard:
        if not one.hostile and not one.acknowledged:
            yield found("lost", seen, f"what the {one.source} of {one.at} said was refused")


# -- nothing ends in silence -------------------------------------------------------------------------------------------


def _silent(seen: Seen) -> Iterator[Finding]:
    payment = seen.payment
    if payment.next_check_at is not None or payment.lease_until is not None:
        yield found("silent", seen, f"still looked at, at {payment.next_check_at}")
    if payment.status is Status.PENDING and not payment.holds:
        yield found("silent", seen, "open, and nobody looks at it")
    if not payment.opened and seen.kind not in ("lost", "tracked"):
        yield found("lost", seen, "the gateway made its checkout, and we did not understand that")
