"""A payment's change, from its fold to the one version and one event at most that it is written as.

Every change of a payment is made by `change_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from consumers.checks.execute import drop_execute_request, frees_order, in_doubt
from consumers.checks.next_check import reschedule
from consumers.money.fold import Folded, advance
from consumers.money.rule_names import named_row, rule_of
from consumers.money.unique_keys import reserve_and_fold
from consumers.money.write_event import event_entry, write_event
from consumers.ports.ledger import Batch
from consumers.rules import Rules
from schemas.answers import Fact, StatementRow
from schemas.changes import Change, Entry
from schemas.payments import Case, Payment, Resolution
from schemas.words import EntryKind, Source


class PendingChange(Struct, kw_only=True):
    """What a payment becomes while claims, replies or a person's word are applied to it, until it is folded.

    `entries` and `facts` are new or changed. `sweep_entry`: the timeline entry of the sweep's claim, written only with
    the question that it leads to. `repeats`: an answer equal to the one before adds to the count of that entry, and
    gets none of its own. `stated`: the row of a statement that brought the change. `traceparent`: the trace of the
    first of several claims, or of the last of several replies.
    """

    case: Case
    entries: list[Entry]
    facts: list[Fact]
    sweep_entry: Entry | None = None
    repeats: bool = False
    resolution: Resolution | None = None
    stated: StatementRow | None = None
    traceparent: str | None = None

    @property
    def payment(self) -> Payment:
        return self.case.payment

    def becomes(self, payment: Payment) -> None:
        self.case = replace(self.case, payment=payment)


async def apply_changes(batch: Batch, rules: Rules, pending_changes: Iterable[PendingChange]) -> list[Change]:
    """Reserve the keys of each payment, fold it over its Facts and store its change. Returns the changes, in order.

    Each is one version and one event at most. Nothing is durable until the caller commits the batch.
    """
    pending_changes = list(pending_changes)
    reserved = await reserve_and_fold(batch, rules, [pending.case for pending in pending_changes])
    changes = [change_of(pending, reserved[pending.payment.id].folded, rules, batch.now) for pending in pending_changes]
    await batch.store(changes)
    return changes


def change_of(pending: PendingChange, folded: Folded, rules: Rules, now: datetime) -> Change:
    capabilities = rules.capabilities(pending.payment)
    step = advance(pending.case, folded)
    payment, entries = step.payment, list(pending.entries)
    ended = payment.status.paid or (payment.status.closed and not in_doubt(payment, now))
    if payment.execute_state is not None and ended:
        payment = replace(drop_execute_request(payment), execute_unanswered=False, execute_doubted=False)
    payment = reschedule(payment, capabilities, rules.checks, now, rules.jitter)
    event = None
    if step.event is not None:
        event = write_event(payment, step.event, now, rules.public_url, pending.traceparent)
        decision = {
            "change": step.change,
            "rule": rule_of(
                payment, step.event, resolved=pending.resolution is not None, stated=pending.stated is not None
            ),
            "status": payment.status,
            "hold": payment.hold,
            "version": payment.version,
        }
        if pending.stated is not None:
            decision["by"] = named_row(pending.stated)
        entries.append(Entry(kind=EntryKind.DECISION, at=now, data=decision))
        entries.append(event_entry(event))
    return Change(
        payment=payment,
        facts=tuple(pending.facts),
        entries=tuple(entries),
        event=event,
        resolution=pending.resolution,
        order_freed=frees_order(payment, capabilities),
        repeats=pending.repeats and not pending.facts and _only_asked_again(entries),
    )


def _only_asked_again(entries: Sequence[Entry]) -> bool:
    """Whether the last entry is an answer, and all before it come from our own schedule."""
    return [one.kind for one in entries[-1:]] == [EntryKind.ANSWER] and all(map(_ours, entries[:-1]))


def _ours(entry: Entry) -> bool:
    if entry.kind is EntryKind.CLAIM:
        return entry.data.get("source") == Source.SWEEP
    return entry.kind is EntryKind.QUESTION and entry.data.get("trigger") == "schedule"
