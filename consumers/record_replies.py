"""The end of a payment's way: the gateways' replies are written, with the claims that led to the questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from consumers.checks.admission import Unreliable, record_gateway_health
from consumers.decide import PaymentWork
from consumers.money.foreign_answers import attribute_replies
from consumers.pipeline import AssignedQuestion
from consumers.ports.call_limits import AccountLimits
from consumers.ports.ledger import Ledger
from consumers.ports.readings import Reading
from consumers.ports.reply import Reply
from consumers.rules import Rules
from consumers.write_work import write_work
from schemas.changes import Change

HealthRecorded = dict[tuple[str, datetime], Unreliable]
"""The replies already counted in their accounts' limits, by payment id and `asked_at`, each with the accounts that were
unreliable after that count."""


async def record_replies(
    ledger: Ledger,
    rules: Rules,
    asked: Sequence[tuple[AssignedQuestion, Reply | None]],
    now: datetime,
    known_limits: dict[str, AccountLimits] | None = None,
    counted: HealthRecorded | None = None,
) -> list[Change]:
    """Write the replies of gateways with the claims that led to the questions. Returns the changes.

    A payment gets one version and one event at most. `asked` pairs each question with its reply, or with None where the
    reply was lost by a fault of ours. A status question is written all the same, so that its schedule goes on; an
    Execute is written already.

    `known_limits`: the limits that this process read last, by account. An answer ends the failures that they count,
    even those counted after its question was asked. `counted`: the replies that an earlier call counted before it
    failed. This call adds its own, so that no reply is counted twice.
    """
    readings = {assigned.reading.case.payment.id: assigned.reading for assigned, _ in asked}
    limits = {} if known_limits is None else known_limits
    for assigned, _ in asked:
        if assigned.limits is not None:
            limits.setdefault(assigned.account.id, assigned.limits)
    counted = {} if counted is None else counted
    tried = frozenset(counted)
    replies = await attribute_replies(ledger, readings, [reply for _, reply in asked if reply is not None])
    unreliable = await _record_health_once(ledger, rules, readings, limits, replies, counted)
    attributed = iter(replies)
    works = [
        assigned.work if reply is None else _with_reply(assigned.work, next(attributed), tried)
        for assigned, reply in asked
    ]
    works = [work for work in works if work.asked is not None or work.replies]
    return await write_work(ledger, rules, works, readings, now, unreliable)


async def _record_health_once(
    ledger: Ledger,
    rules: Rules,
    readings: Mapping[str, Reading],
    limits_by_account: dict[str, AccountLimits],
    replies: Sequence[Reply],
    counted: HealthRecorded,
) -> Unreliable:
    """Count in their accounts' limits the replies that are not `counted` yet. Returns which accounts are unreliable."""
    news = [reply for reply in replies if _reply_key(reply) not in counted]
    brought = await record_gateway_health(ledger, rules, readings, limits_by_account, news)
    counted.update({_reply_key(reply): brought for reply in news})
    return Unreliable.any_of(counted[_reply_key(reply)] for reply in replies)


def _with_reply(work: PaymentWork, reply: Reply, tried: Collection[tuple[str, datetime]]) -> PaymentWork:
    return replace(work, replies=(reply,), tried=_reply_key(reply) in tried)


def _reply_key(reply: Reply) -> tuple[str, datetime]:
    return reply.payment_id, reply.asked_at


async def record_dead_replies(ledger: Ledger, rules: Rules, replies: Sequence[Reply]) -> list[Change]:
    """Write replies that were kept as dead letters, so that no process knows their questions. Returns the changes."""
    looked = await ledger.look([], {reply.payment_id for reply in replies})
    replies = [reply for reply in replies if reply.payment_id in looked.readings]
    replies = await attribute_replies(ledger, looked.readings, replies)
    unreliable = await record_gateway_health(ledger, rules, looked.readings, dict(looked.limits_by_account), replies)
    by_payment = defaultdict[str, list[Reply]](list)
    for reply in replies:
        by_payment[reply.payment_id].append(reply)
    works = [PaymentWork(payment_id=payment_id, replies=tuple(group)) for payment_id, group in by_payment.items()]
    return await write_work(ledger, rules, works, looked.readings, looked.now, unreliable)
