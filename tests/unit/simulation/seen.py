"""What the judge looks at for one payment: the gateway's truth, what was received, asked and published, and the end.

None of this asks the code under test what is right. Of the payment's row only what a shop can see is compared. When we
had to know a fact is computed from the truth and from the callbacks that got a 2xx.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from consumers.account import Account
from consumers.timing import TIMING
from schemas.checks import Checks
from schemas.events import Event
from schemas.payments import Payment
from schemas.words import Hold, Id, Said, Status
from tests.unit.simulation.journal import Asked, Heard
from tests.unit.simulation.stories import Stories
from tests.unit.simulation.truth import State, Truth
from tests.unit.simulation.wires import Wire
from tests.unit.simulation.workers import STARTED_AGAIN_SECONDS, System

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CLOSED = (Status.EXPIRED, Status.CANCELLED, Status.FAILED)
PROBING = 45 * SECOND
"""How long a gateway that is back may wait for its first question: an unanswered probe, a pause, and its spread."""


class Shown(Struct, frozen=True, kw_only=True):
    """The content of one event."""

    at: datetime
    type: str
    status: Status
    hold: str | None
    refunded: str


class Seen(Struct, kw_only=True):
    account: Account
    truth: Truth
    payment: Payment
    kind: str
    checks: Checks
    events: list[Shown]
    asked: list[Asked]
    heard: list[Heard]
    troubles: list[tuple[datetime, datetime]]
    flooded: bool
    wire: Wire

    @property
    def by_candidate(self) -> bool:
        """Whether its gateway is asked by an id that only callbacks bring: Moneybag, UddoktaPay."""
        return self.account.provider.capabilities.candidates is not None

    @property
    def by_session(self) -> bool:
        """Whether that id is the checkout's own, and "not found" means "not known yet": UddoktaPay."""
        return self.account.provider.capabilities.candidates is Id.SESSION

    def candidate_of(self, state: State) -> str | None:
        """The id by which its gateway is asked for this state, where only a callback brings that."""
        return self.truth.session_id if self.by_session else state.transaction

    @property
    def named(self) -> bool:
        """Whether an id to ask by came under a signature or on its own path, true or made up."""
        heard = (one for one in self.heard if one.acknowledged and (one.signed or one.own))
        return any(one.transaction is not None or one.hostile for one in heard) or self.named_by_shop

    @property
    def named_by_shop(self) -> bool:
        return self.by_session and self.kind == "tracked"

    def tells(self, state: State) -> bool:
        """Whether the gateway has a word for it; without a word an end reads like a payment that is open."""
        return state.status not in CLOSED or state.status in self.wire.ENDS

    @property
    def genuine(self) -> list[Heard]:
        return [one for one in self.heard if one.acknowledged and not one.hostile]

    @property
    def ends_at(self) -> datetime:
        return self.truth.ends_at or self.payment.expires_at

    @property
    def closes_at(self) -> datetime:
        return self.ends_at + timedelta(seconds=self.checks.grace)

    @property
    def asked_until(self) -> datetime:
        """Until when an answer is surely asked for by the schedules: a look, and its spread, before we give up."""
        return self.payment.opened_at + timedelta(seconds=self.checks.give_up) - 27 * HOUR

    def first_told(self, *statuses: Status) -> datetime | None:
        return next((one.at for one in self.events if one.status in statuses), None)

    def first_held(self, hold: Hold) -> datetime | None:
        return next((one.at for one in self.events if one.hold == hold), None)

    def success_said(self) -> list[Heard]:
        """Acknowledged claims of success, from any sender."""
        return [one for one in self.heard if one.acknowledged and one.said is Said.SUCCESS]

    def reachable_from(self, state: State) -> datetime | None:
        """Since when a question of ours can be answered with this state in a readable way; None is never."""
        readable = state.readable_at if self.tells(state) else None
        if readable is None or not self.account.provider.capabilities.asked_by:
            return None
        registered = self.payment.opened_at
        if self.by_candidate:
            named = [one.at for one in self.genuine if one.transaction == self.candidate_of(state)]
            named += [registered] if self.named_by_shop else []
            known_at = self.truth.known_at if self.candidate_of(state) == self.truth.session_id else None
            return max(readable, min(named), registered, known_at or readable) if named else None
        if not self.payment.opened and Id.REFERENCE not in self.account.provider.capabilities.asked_by:
            return None
        return max(readable, registered, self.truth.known_at or readable)

    def binding_from(self, state: State) -> datetime | None:
        """As `reachable_from`, where the schedules or a callback still have to find it."""
        reach = self.reachable_from(state)
        if reach is None:
            return None
        if any(one.at >= reach and self._names(one, state) for one in self.genuine):
            return reach
        closed_at = self.first_told(Status.EXPIRED, Status.CANCELLED, Status.FAILED)
        held_at = self.first_held(Hold.UNRESOLVED)
        ends = [self.asked_until, *self._silent_from(self.asked_until + 27 * HOUR)]
        if closed_at is not None and closed_at < reach:
            ends.append(closed_at + timedelta(seconds=sum(self.checks.closed)) - HOUR)
        if held_at is not None and held_at < reach:
            ends.append(held_at)
        return reach if reach < min(ends) else None

    def _silent_from(self, gave_up_at: datetime) -> Iterator[datetime]:
        """When the last look came that had a gateway to answer it, if the gateway was silent when we gave up."""
        for began, ended in self.troubles:
            if began <= gave_up_at <= ended:
                yield began - 27 * HOUR

    def _names(self, heard: Heard, state: State) -> bool:
        return not self.by_candidate or heard.transaction == self.candidate_of(state)

    def spoken(self) -> list[Asked]:
        return [one for one in self.asked if one.spoke]


def all_seen(system: System, stories: Stories) -> Iterator[Seen]:
    for gateway in system.gateways.values():
        for payment_id, truth in gateway.truths.items():
            if system.ledger.case(payment_id) is None:
                continue
            asked = system.journal.by_payment[payment_id]
            yield Seen(
                account=gateway.account,
                truth=truth,
                payment=system.ledger.payment(payment_id),
                kind=stories.kinds.get(payment_id, ""),
                checks=system.rules.checks,
                events=[shown(event) for event in system.ledger.events_of(payment_id)],
                asked=asked,
                heard=system.journal.heard[payment_id],
                troubles=sorted(_troubles(system, payment_id, asked)),
                flooded=payment_id in stories.strangers.flooded,
                wire=gateway.wire,
            )


def shown(event: Event) -> Shown:
    data = msgspec.json.decode(event.body)["data"]
    return Shown(
        at=event.time,
        type=event.type,
        status=Status(data["status"]),
        hold=data["hold"],
        refunded=data["refunded_amount"],
    )


def _troubles(system: System, payment_id: str, asked: list[Asked]) -> Iterator[tuple[datetime, datetime]]:
    """From when to when a cause outside our rules kept a question about this payment from its answer."""
    account = system.ledger.payment(payment_id).account
    for one in asked:
        if one.hindered:
            freed_at = one.recorded_at or _over_at(one)
            yield one.at, freed_at + _asked_to_wait(one) + 2 * SECOND
    for outage in system.gateways[account].outages:
        yield outage.start, outage.end + PROBING
    for died_at, until in system.journal.lost[payment_id]:
        yield died_at - 20 * SECOND, until + 2 * SECOND
    for refusal in system.journal.turned[payment_id]:
        yield refusal.at, refusal.again_at + 2 * SECOND


def _over_at(one: Asked) -> datetime:
    """When the payment is asked about again, where no reply was recorded."""
    if one.died_at is None:
        return one.at + TIMING.lease(one.question.kind)
    return one.died_at + STARTED_AGAIN_SECONDS * SECOND


def _asked_to_wait(one: Asked) -> timedelta:
    return timedelta(seconds=getattr(one.outcome, "retry_after", None) or 0)
