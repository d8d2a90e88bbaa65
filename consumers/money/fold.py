"""The rules of money: a payment's state is a fold of its Facts, and each change is one version and one event.

`fold` uses the *set* of Facts and their times, never the order in which they were recorded. Otherwise two workers could
come to different states of the same money. Fields that depend on history (version, late, events written) belong to
`advance`, which compares the fold with the payment as it stands. `apply_change` makes its event.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from consumers.money.contradiction import closes_replaced, contradicted
from consumers.money.matching import (
    ZERO,
    first_said,
    measure_of,
    mismatches,
    returned,
    reuses,
    same_money,
    session_of,
    transactions_of,
)
from schemas.answers import Fact
from schemas.payments import Case, Payment, Resolution, TakenKeys
from schemas.words import AnswerField, EventType, Hold, Risk, Status


class Folded(Struct, frozen=True, kw_only=True):
    """The state that a payment's Facts, its resolutions and the clock give it.

    `holds`: all that apply, in the order in which they are shown. `whole`: the amount whose full return makes the
    payment `refunded`. `order_lost`: another attempt had paid the order first.
    """

    status: Status
    whole: Decimal
    holds: tuple[Hold, ...]
    refunded_amount: Decimal
    transaction_id: str | None = None
    session_id: str | None = None
    amount_verified: bool = False
    completed_at: datetime | None = None
    fee: Decimal | None = None
    method: str | None = None
    risk: Risk | None = None
    order_lost: bool = False


def fold(case: Case, taken_keys: TakenKeys, always: frozenset[AnswerField]) -> Folded:
    """Judge a payment by the set of its Facts, its last resolution and the clock's marks.

    `taken_keys`: which of the payment's keys belong to other payments. `always`: the fields that every paid answer of
    the gateway has. The result does not depend on the order or the repetition of Facts.
    """
    payment, resolution = case.payment, case.resolutions[-1] if case.resolutions else None
    resolved_keys = resolution.settled if resolution else frozenset()
    measured = measure_of(case, taken_keys, always)
    wrong = {fact.key: mismatches(fact, payment, taken_keys, always, measured) for fact in case.facts}
    # live: not covered by the resolution. fitting: agrees with the payment. challengers: both. arrived: says that money
    # came, so it is paid and no refund of a statement.
    live = [fact for fact in case.facts if fact.key not in resolved_keys]
    fitting = [fact for fact in case.facts if not wrong[fact.key] and not reuses(fact.answer, payment, taken_keys)]
    if not any(_arrived(fact) for fact in fitting) and not (resolution and resolution.status.paid):
        fitting = [fact for fact in fitting if not fact.refund]  # a refund does not prove the amount that had come
    paid = sorted((fact for fact in fitting if fact.answer.paid), key=first_said)
    arrived = [fact for fact in paid if _arrived(fact)]
    transactions = transactions_of(payment, arrived)
    recorded_transaction = _recorded_transaction(arrived, transactions, resolution)

    holds = set[Hold]()
    for fact in live:
        read_later = _read_later(fact, arrived, payment)
        holds.update(one.hold for one in wrong[fact.key] if not (one.unreadable and read_later))
    if any(reuses(fact.answer, payment, taken_keys) for fact in live if not wrong[fact.key]):
        holds.add(Hold.TRANSACTION_REUSED)
    if _second_payment(
        payment, [fact for fact in arrived if fact.key not in resolved_keys], transactions, recorded_transaction
    ):
        holds.add(Hold.DUPLICATE_FOR_ORDER)
    challengers = [fact for fact in fitting if fact.key not in resolved_keys]
    if contradicted(payment, challengers, paid, resolution, measured.whole):
        holds.add(Hold.CONTRADICTION)
    if payment.unexpected_at is not None and payment.adopted_at is None and Hold.UNEXPECTED not in resolved_keys:
        holds.add(Hold.UNEXPECTED)

    refunded = max((returned(fact.answer, measured.whole) for fact in paid), default=ZERO)
    if resolution and resolution.status is Status.REFUNDED:
        refunded = max(refunded, measured.whole)
    statuses = _statuses(payment, [fact for fact in challengers if not closes_replaced(fact, payment)], resolution)
    status = _by_refunds(max(statuses, key=lambda status: status.rank), refunded, measured.whole)
    order_lost = payment.order_lost or (taken_keys.order and status is Status.COMPLETED)
    if order_lost and status.paid and Hold.DUPLICATE_FOR_ORDER not in resolved_keys:
        holds.add(Hold.DUPLICATE_FOR_ORDER)
    holds.update(_waiting(payment, live, fitting, resolution, status))
    first = next((fact for fact in arrived if transactions[fact.key] == recorded_transaction), None)
    return Folded(
        status=status,
        whole=measured.whole,
        holds=tuple(hold for hold in Hold if hold in holds),
        refunded_amount=refunded if status.paid else ZERO,
        transaction_id=recorded_transaction if status.paid else None,
        session_id=next((f.answer.session_id for f in sorted(fitting, key=first_said) if f.answer.session_id), None),
        amount_verified=any(fact.answer.amount == payment.amount for fact in paid),
        completed_at=_completed_at(first, resolution) if status.paid else None,
        fee=first.answer.fee if first else None,
        method=first.answer.method if first else None,
        risk=first.answer.risk if first else None,
        order_lost=order_lost,
    )


class Advance(Struct, frozen=True, kw_only=True):
    """A payment after a fold was applied, and the event to write: its type, and the change in words."""

    payment: Payment
    event: EventType | None = None
    change: str = ""


def advance(case: Case, folded: Folded) -> Advance:
    """Apply a fold to the case's payment. A change of status, hold or refunded amount is one version and one event.

    The status and the refunded amount only rise. A payment without a checkout and without an event closes without an
    event. A payment is `refunded` exactly when all of its money went back; the database refuses anything else.
    """
    payment = case.payment
    status = max(payment.status, folded.status, key=lambda status: status.rank)
    hold = folded.holds[0] if folded.holds else None
    refunded = max(payment.refunded_amount, folded.refunded_amount)
    if status is Status.REFUNDED:
        refunded = max(refunded, folded.whole)
    status = _by_refunds(status, refunded, folded.whole)
    came = max(folded.whole, refunded)
    after = replace(
        payment,
        status=status,
        holds=folded.holds,
        refunded_amount=refunded,
        accepted_amount=None if came == payment.amount else came,
        order_lost=payment.order_lost or folded.order_lost,
        transaction_id=folded.transaction_id or payment.transaction_id,
        session_id=payment.session_id or folded.session_id,
        amount_verified=payment.amount_verified or folded.amount_verified,
        completed_at=folded.completed_at or payment.completed_at,
        fee=folded.fee if folded.fee is not None else payment.fee,
        method=folded.method or payment.method,
        risk=folded.risk or payment.risk,
        late=payment.late or (payment.closing_told and status.paid),
    )
    if (status, hold, refunded) == (payment.status, payment.hold, payment.refunded_amount):
        return Advance(payment=after)
    if not payment.opened and payment.version == 0 and hold is None and status.closed:
        return Advance(payment=after)
    event = _event(payment, after)
    after = replace(
        after,
        version=max(payment.version, case.version_floor) + 1,
        completed_told=payment.completed_told or event is EventType.COMPLETED,
        closing_told=payment.closing_told or event in (EventType.EXPIRED, EventType.CANCELLED, EventType.FAILED),
    )
    return Advance(payment=after, event=event, change=_words(payment, after))


def _event(before: Payment, after: Payment) -> EventType:
    """The type of a change: the first that applies of held, completed, the new status, partially refunded, released."""
    if after.hold is not None:
        return EventType.HELD
    if after.status is Status.COMPLETED and not before.completed_told:
        return EventType.COMPLETED
    if after.status is not before.status:
        return EventType(f"payment.{after.status}")
    if after.refunded_amount > before.refunded_amount:
        return EventType.PARTIALLY_REFUNDED
    return EventType.RELEASED


def _words(before: Payment, after: Payment) -> str:
    parts = []
    if after.status is not before.status:
        parts.append(f"{before.status} rose to {after.status}")
    if after.refunded_amount != before.refunded_amount:
        parts.append(f"refunded amount rose to {after.refunded_amount:.2f}")
    if after.hold is not before.hold:
        parts.append(f"held: {after.hold}" if after.hold else f"{before.hold} was lifted")
    return ", ".join(parts)


def _arrived(fact: Fact) -> bool:
    """Whether the Fact says that the money came. A statement's row of a refund does not."""
    return fact.answer.paid and not fact.refund


def _read_later(fact: Fact, arrived: list[Fact], payment: Payment) -> bool:
    """Whether a later question about the same money brought an answer that fits and can be read."""
    return any(
        later.last_asked_at > fact.last_asked_at and same_money(later.answer, fact.answer, payment) for later in arrived
    )


def _above_pending(fact: Fact) -> bool:
    return fact.answer.status is not None and fact.answer.status is not Status.PENDING


def _recorded_transaction(
    arrived: list[Fact], transactions: dict[str, str], resolution: Resolution | None
) -> str | None:
    """The transaction that the payment is recorded with: the resolution's, else the one that was answered first."""
    if resolution and resolution.recorded_transaction:
        return resolution.recorded_transaction
    return transactions[arrived[0].key] if arrived else None


def _second_payment(payment: Payment, arrived: list[Fact], transactions: dict[str, str], recorded: str | None) -> bool:
    """Whether one of these Facts is about other money than `recorded`, a transaction or, without one, a session."""
    return any(recorded not in (transactions[fact.key], session_of(fact.answer, payment)) for fact in arrived)


def _waiting(
    payment: Payment, live: list[Fact], fitting: list[Fact], resolution: Resolution | None, status: Status
) -> Iterable[Hold]:
    """Holds that wait for an answer. Each stands until a later question brings a fitting answer other than `pending`.

    The answer to the last question may come after we gave up, so only a pending payment is `unresolved`. A statement's
    row of money that came lifts `unverifiable`, although its time is before the claim's. A row that two people have to
    decide about is one more claim.
    """
    lifted_until = max((fact.last_asked_at for fact in fitting if _above_pending(fact)), default=None)

    def stands(since: datetime | None) -> bool:
        if since is None or (resolution is not None and resolution.at >= since):
            return False
        return lifted_until is None or lifted_until <= since

    unmapped = [fact for fact in live if fact.answer.status is None and stands(fact.last_asked_at)]
    if not all(fact.unproven for fact in unmapped):
        yield Hold.UNMAPPED_STATUS
    verified = any(fact.row is not None and _arrived(fact) for fact in fitting)
    if any(fact.unproven for fact in unmapped) or (stands(payment.unverifiable_at) and not verified):
        yield Hold.UNVERIFIABLE
    if status is Status.PENDING and stands(payment.unresolved_at):
        yield Hold.UNRESOLVED


def _statuses(payment: Payment, facts: list[Fact], resolution: Resolution | None) -> Iterable[Status]:
    """`pending`, and every status that the clock, the last resolution or one of these Facts gives the payment."""
    yield Status.PENDING
    if payment.expired_by_clock_at is not None:
        yield Status.EXPIRED
    if resolution is not None:
        yield resolution.status
    yield from (fact.answer.status for fact in facts if fact.answer.status is not None)


def _by_refunds(status: Status, refunded: Decimal, whole: Decimal) -> Status:
    """Decide between `completed` and `refunded` by the amount that went back. Other statuses stay."""
    if not status.paid:
        return status
    return Status.REFUNDED if refunded >= whole else Status.COMPLETED


def _completed_at(first: Fact | None, resolution: Resolution | None) -> datetime | None:
    if first is not None:
        return first.answer.paid_at or first.first_answered_at
    return resolution.at if resolution else None
