"""Write what was decided on a reading; decide again where the payment has changed since it was read.

All work is written in the end. A write may lose its swap to other workers again and again. So after a few tries the
payment is locked, and then no other write can come between its reading and its write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from consumers.checks.admission import RELIABLE, Unreliable
from consumers.checks.execute import ends_doubt
from consumers.claims_by_payment import group_by_payment, keep_or_set_aside, with_new_admissions
from consumers.decide import NO_TAKEN_KEYS, PaymentWork, conclude
from consumers.ports.ledger import Ledger, LockedLedger
from consumers.ports.readings import Reading
from consumers.ports.reply import Reply
from consumers.rules import Rules
from schemas.answers import Answer, Executed
from schemas.changes import Change
from schemas.payments import Case, TakenKeys

MAX_LOST_SWAPS = 3
"""How many times a write may lose its swap. Then the payment is locked, read and written."""

LOCKED_TRIES = 10
"""How many times the write of a locked payment may fail, because another payment has one of its keys or a claim is
recorded already."""


class _Written(Struct):
    """The changes written so far, and by payment id the keys that are known to belong to other payments."""

    changes: list[Change]
    taken_keys: dict[str, TakenKeys]


async def write_work(
    ledger: Ledger,
    rules: Rules,
    works: Sequence[PaymentWork],
    readings: Mapping[str, Reading],
    now: datetime,
    unreliable: Unreliable = RELIABLE,
) -> list[Change]:
    """Decide and write each work. Returns the changes that are written.

    A work whose write lost its swap, or a key, is decided again on a new reading. `now` is the time of the look that
    brought `readings`. Raises RuntimeError where a locked payment cannot be written in LOCKED_TRIES.
    """
    left, written = list(works), _Written([], {})
    for _ in range(MAX_LOST_SWAPS):
        left = await _try_writes(ledger, rules, left, readings, now, unreliable, written)
        if not left:
            return written.changes
        looked = await ledger.look(
            [claim for work in left for claim in work.claims], [work.payment_id for work in left]
        )
        readings, now = looked.readings, max(now, looked.now)
        written.changes += await _rehome(ledger, rules, [work for work in left if work.payment_id not in readings])
        left = [with_new_admissions(work, looked) for work in left if work.payment_id in readings]
        left = [work for work in left if not _already_written(work, readings[work.payment_id])]
    for work in left:
        now = await _write_locked(ledger, rules, work, now, unreliable, written)
    return written.changes


async def _try_writes(
    ledger: Ledger | LockedLedger,
    rules: Rules,
    works: Sequence[PaymentWork],
    readings: Mapping[str, Reading],
    now: datetime,
    unreliable: Unreliable,
    written: _Written,
) -> list[PaymentWork]:
    """Try each work once; of several about one payment only the first. Returns the works that are not written.

    The changes and taken keys are added to `written`.
    """
    first = {work.payment_id: work for work in reversed(works)}
    writes = [
        conclude(readings[payment_id], work, rules, now, written.taken_keys.get(payment_id, NO_TAKEN_KEYS), unreliable)
        for payment_id, work in first.items()
    ]
    if not writes:
        return []
    result = await ledger.write(writes)
    written.changes.extend(write.change for write in writes if write.change.payment.id in result.done)
    for payment_id, taken in result.taken.items():
        written.taken_keys[payment_id] = written.taken_keys.get(payment_id, NO_TAKEN_KEYS).and_(taken)
    return [work for work in works if work.payment_id not in result.done or work is not first[work.payment_id]]


async def _write_locked(
    ledger: Ledger, rules: Rules, work: PaymentWork, now: datetime, unreliable: Unreliable, written: _Written
) -> datetime:
    """Write a work while its payment is locked. Returns the time of the last look. Raises RuntimeError."""
    left = [work]
    async with ledger.locked([work.payment_id]) as locked:
        for _ in range(LOCKED_TRIES):
            looked = await locked.look(work.claims)
            if not left or work.payment_id not in looked.readings:
                break
            now, left = max(now, looked.now), [with_new_admissions(work, looked)]
            left = await _try_writes(locked, rules, left, looked.readings, now, unreliable, written)
    if left and work.payment_id in looked.readings:
        raise RuntimeError(f"{work.payment_id} is locked, and still not to be written as it was read")
    written.changes += await _rehome(ledger, rules, left)
    return now


async def _rehome(ledger: Ledger, rules: Rules, works: Iterable[PaymentWork]) -> list[Change]:
    """Keep or set aside the claims of works whose payment was discarded. Returns the changes that are written.

    A claim whose ids name another payment by now is written to that payment.
    """
    claims = [claim for work in works for claim in work.claims]
    arrived = await keep_or_set_aside(ledger, claims)
    if not arrived:
        return []
    looked = await ledger.look(arrived)
    works = [replace(work, beside=True) for work in group_by_payment(looked, arrived)]
    return await write_work(ledger, rules, works, looked.readings, looked.now)


def _already_written(work: PaymentWork, reading: Reading) -> bool:
    """Whether this work was written by an earlier try whose commit was in doubt.

    Then the payment has the question's `asked_at` and no lease. For an Execute that is not enough: both are written
    before it is sent, and another worker may have ended the lease without the reply. So its reply counts as not written
    while it would end the doubt about the Execute, or while its answer is in no Fact.
    """
    payment = reading.case.payment
    asked = payment.lease_until is None and payment.asked_at in {reply.asked_at for reply in work.replies}
    if not (work.tried and asked):
        return False
    return not any(
        ends_doubt(payment, reply.outcome, reply.asked_at) or _is_news(reply, reading.case) for reply in work.replies
    )


def _is_news(reply: Reply, case: Case) -> bool:
    """Whether the reply has an answer that is in no Fact of the case."""
    outcome = reply.outcome.then if isinstance(reply.outcome, Executed) else reply.outcome
    known = [fact.answer for fact in case.facts if fact.last_asked_at >= reply.asked_at]
    return isinstance(outcome, Answer) and not all(answer in known for answer in outcome.each)
