"""Every lease, deadline and spacing, and the inequalities that must hold between them.

A lease says how long a piece of work belongs to one worker; a deadline says how long that work may take. A lease must
never end before its deadline: two workers would do the same work, and an Execute would take money twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct

from schemas.words import QuestionKind


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


class Timing(Struct, frozen=True, kw_only=True):
    """All times of the product. Raises ValueError, naming every inequality that does not hold."""

    request_deadline: timedelta = _seconds(10)
    """For one request to a gateway, unless the gateway's file sets another."""

    status_deadline: timedelta = _seconds(25)
    """For a status question with all its requests, counted from when it was asked."""

    execute_deadline: timedelta = _seconds(38)
    """The same for an Execute, and the Query that may follow it."""

    last_word: timedelta = _seconds(1)
    """How long a gateway's generator has to return what it knows, once the deadline of its question is over."""

    execute_begins_within: timedelta = _seconds(5)
    """A request that takes money is sent only if it begins within this time of when its question was asked."""

    status_lease: timedelta = _seconds(30)
    """How long a payment is left to another process that asks about it and may have stopped."""

    execute_lease: timedelta = _seconds(40)
    """How long an Execute counts as under way, counted from when it was asked."""

    execute_spacing: timedelta = _seconds(2)
    """Between an Execute that did not run and the next one."""

    execute_again: timedelta = _seconds(60)
    """How long after an Execute whose reply was lost no other Execute is sent.

    Only an answer that says paid, or an answer that was asked for later than this, ends the doubt.
    """

    half_open_lease: timedelta = _seconds(30)
    """So long one question at a time probes an account whose breaker is half-open."""

    token_lease: timedelta = _seconds(15)
    """How long the renewal of an account's token belongs to one process."""

    open_deadline: timedelta = _seconds(40)
    """For opening a checkout at a gateway, with all its requests."""

    opening_lease: timedelta = _seconds(45)
    """How long the opening of a payment belongs to one POST."""

    tracking_lease: timedelta = _seconds(10)
    """The same for a tracked payment, where no gateway is called."""

    idempotency_lease: timedelta = _seconds(60)
    """How long an Idempotency-Key belongs to one request."""

    claim_lease: timedelta = _seconds(40)
    """How long a claim in Postgres is left to a worker that lives and does not acknowledge it.

    If its question takes longer all the same, the next worker sees that the payment is being asked about.
    """

    delivery_deadline: timedelta = _seconds(15)
    """For one attempt to send an event to an endpoint of the shop."""

    delivery_lease: timedelta = _seconds(30)
    """How long a delivery belongs to the worker that sends it."""

    expedite_spread: timedelta = _seconds(60)
    """The span over which deliveries that are sent early are spread."""

    verify_wait: timedelta = _seconds(35)
    """How long `payproof payments verify` waits for the answer to its question."""

    drain: timedelta = _seconds(45)
    """How long a process that ends waits for the work that it has in hand."""

    def __post_init__(self) -> None:
        broken = [sentence for holds, sentence in self._rules() if not holds]
        if broken:
            raise ValueError(f"does not hold: {'; '.join(broken)}")

    def deadline(self, kind: QuestionKind) -> timedelta:
        return self.execute_deadline if kind is QuestionKind.EXECUTE else self.status_deadline

    def lease(self, kind: QuestionKind) -> timedelta:
        return self.execute_lease if kind is QuestionKind.EXECUTE else self.status_lease

    def _rules(self) -> Iterator[tuple[bool, str]]:
        status_ends, execute_ends = self.status_deadline + self.last_word, self.execute_deadline + self.last_word
        yield status_ends < self.status_lease, "a status question ends before another worker may ask it"
        yield execute_ends < self.execute_lease, "an Execute ends before it no longer counts as under way"
        yield self.execute_begins_within < self.execute_deadline, "an Execute that began has time for its reply"
        yield self.execute_lease < self.execute_again, "a second Execute follows only when the first has ended"
        yield self.execute_spacing < self.execute_again, "an Execute that did not run comes again before one in doubt"
        yield self.status_lease <= self.half_open_lease, "a second probe follows only when the first has ended"
        yield self.request_deadline < self.token_lease, "a token is granted before another process asks for one"
        yield self.open_deadline < self.opening_lease, "a checkout is open before another POST may open it"
        yield (
            self.tracking_lease <= self.opening_lease,
            "a POST without a gateway takes no longer than one with",
        )
        yield self.opening_lease < self.idempotency_lease, "an opening ends before its Idempotency-Key is free"
        yield max(status_ends, execute_ends) < self.claim_lease, "a question ends before its claim is another worker's"
        yield self.delivery_deadline < self.delivery_lease, "an attempt ends before another worker may send the event"
        yield self.delivery_lease < self.expedite_spread, "a delivery that is being sent is not sent early as well"
        yield status_ends < self.verify_wait, "an operator waits until the question has ended"
        yield execute_ends < self.drain, "a process that ends waits for the Execute that is under way"


TIMING = Timing()
