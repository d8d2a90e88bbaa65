"""Writing what was decided on a reading, and deciding again where the payment does not stand as it was read.

The one thing to get wrong: ending with work that is not written. A write may lose its swap to another worker for ever.
So after a few tries the payment is locked, and then no other write comes between its reading and its write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from consumers.checks.admission import RELIABLE, Unreliable
from consumers.checks.execute import ends_doubt
from consumers.claims_by_payment import keep_or_set_aside, readmitted, works_of
from consumers.decide import NO_TAKEN_KEYS, PaymentWork, conclude
from consumers.ports.ledger import Ledger, LockedLedger, Reading
from consumers.ports.reply import Reply
from consumers.rules import Rules
from schemas.answers import Answer, Executed
from schemas.payments import Case, Change, TakenKeys

SWAPS = 3
"""So often a write may lose its swap. Then the payment is locked, read and written, with no other write between."""

LESSONS = 10
"""So often the write of a locked payment may find that another payment has a key of it, or that a claim is recorded."""


class _Written(Struct):
    """What is written so far, and which keys of the payments are known to belong to other payments."""

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
    """Write what each work comes to. A work that lost its swap, or a key, is decided again on a new reading."""
    left, written = list(works), _Written([], {})
    for _ in range(SWAPS):
        left = await _swap(ledger, rules, left, readings, now, unreliable, written)
        if not left:
            return written.changes
        looked = await ledger.look(
            [claim for work in left for claim in work.claims], [work.payment_id for work in left]
        )
        readings, now = looked.readings, max(now, looked.now)
        written.changes += await _write_homeless(
            ledger, rules, [work for work in left if work.payment_id not in readings]
        )
        left = [readmitted(work, looked) for work in left if work.payment_id in readings]
        left = [work for work in left if not _is_written(work, readings[work.payment_id])]
    for work in left:
        now = await _write_locked(ledger, rules, work, now, unreliable, written)
    return written.changes


async def _swap(
    ledger: Ledger | LockedLedger,
    rules: Rules,
    works: Sequence[PaymentWork],
    readings: Mapping[str, Reading],
    now: datetime,
    unreliable: Unreliable,
    written: _Written,
) -> list[PaymentWork]:
    """Try to write each of these once, and of several about one payment the first. Returns the work that is left."""
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
    """Write a work while its payment is locked. Returns the time of the last look."""
    left = [work]
    async with ledger.locked([work.payment_id]) as locked:
        for _ in range(LESSONS):
            looked = await locked.look(work.claims)
            if not left or work.payment_id not in looked.readings:
                break
            now, left = max(now, looked.now), [readmitted(work, looked)]
            left = await _swap(locked, rules, left, looked.readings, now, unreliable, written)
    if left and work.payment_id in looked.readings:
        raise RuntimeError(f"{work.payment_id} is locked, and still not to be written as it was read")
    written.changes += await _write_homeless(ledger, rules, left)
    return now


async def _write_homeless(ledger: Ledger, rules: Rules, works: Iterable[PaymentWork]) -> list[Change]:
    """Keep the claims of payments that were discarded meanwhile, or write them to the payments that they name now."""
    claims = [claim for work in works for claim in work.claims]
    arrived = await keep_or_set_aside(ledger, claims)
    if not arrived:
        return []
    looked = await ledger.look(arrived)
    works = [replace(work, beside=True) for work in works_of(looked, arrived)]
    return await write_work(ledger, rules, works, looked.readings, looked.now)


def _is_written(work: PaymentWork, reading: Reading) -> bool:
    """Whether an earlier try has written this work: its commit was in doubt, and had come about.

    The payment then has the time of the question, and no lease. An Execute's time and lease are written before it is
    sent, and another worker may have ended that lease without the reply. So the reply counts as not written while it
    would still end the doubt about the Execute, or has an answer that no Fact tells of.
    """
    payment = reading.case.payment
    asked = payment.lease_until is None and payment.asked_at in {one.asked_at for one in work.replies}
    if not (work.tried and asked):
        return False
    return not any(
        ends_doubt(payment, one.outcome, one.asked_at) or _is_news(one, reading.case) for one in work.replies
    )


def _is_news(reply: Reply, case: Case) -> bool:
    """Whether the reply has an answer that no Fact tells of."""
    answer = reply.outcome.then if isinstance(reply.outcome, Executed) else reply.outcome
    known = (fact.answer == answer and fact.last_asked_at >= reply.asked_at for fact in case.facts)
    return isinstance(answer, Answer) and not any(known)
