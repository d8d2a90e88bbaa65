"""What is true at a gateway, and from when on it says so: the judge's only measure.

There are two times. `at` is when it became true; `seen_at` is when every replica of the gateway shows it. Between the
two a question may get either answer. After `seen_at` the gateway never shows an older state.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from msgspec import Struct

from schemas.words import Status

ODD: Literal["odd"] = "odd"
SEEN_EARLY = 0.2
"""How often a replica shows the truth before all of them do."""


class State(Struct, frozen=True, kw_only=True):
    """What is true of a payment, or of one transaction, from `at` on.

    `odd` is a word that no table has. `amount`: the paid amount, where it is not the requested amount. `garbled`: how
    the gateway writes the amount until `clean_at`, in a form that no money can have; `clean_at` None is for ever.
    """

    at: datetime
    seen_at: datetime
    status: Status | Literal["odd"]
    transaction: str | None = None
    refunded: Decimal | None = None
    amount: Decimal | None = None
    garbled: str | None = None
    clean_at: datetime | None = None

    @property
    def paid(self) -> bool:
        return self.status in (Status.COMPLETED, Status.REFUNDED)

    @property
    def readable_at(self) -> datetime | None:
        """Since when every answer shows it in a readable form."""
        if self.garbled is None:
            return self.seen_at
        return None if self.clean_at is None else max(self.seen_at, self.clean_at)


class Truth(Struct, kw_only=True):
    """One checkout at its gateway.

    Without `session_id` the gateway never made it. `known_at`: until then it says "not found" of our own ids.
    `ends_at`: the later of its own end and ours. `approved_at`: when the buyer let an Execute take the money. `hangs`:
    from when to when no question about it is answered. `dressing`: the parts of its replies about this payment that
    decide nothing; see `dressing.py`.
    """

    payment_id: str
    account: str
    reference: str
    amount: Decimal
    opened_at: datetime
    session_id: str | None = None
    known_at: datetime | None = None
    ends_at: datetime | None = None
    states: list[State] = []
    approved_at: datetime | None = None
    captured: list[datetime] = []
    hangs: tuple[datetime, datetime] | None = None
    dressing: str = "plain"

    def becomes(self, state: State) -> None:
        self.states.append(state)
        self.states.sort(key=lambda one: one.at)

    def shown(self, moment: datetime, draw: Random, transaction: str | None = None) -> State | None:
        """What a replica shows at that moment; for a question by transaction, of that transaction."""
        found = None
        for state in self.states:
            if state.at > moment or (transaction is not None and state.transaction != transaction):
                continue
            hidden = state.seen_at > moment
            if hidden and (state.refunded is not None or draw.random() > SEEN_EARLY):
                continue
            found = state
        return found

    def paid(self) -> list[State]:
        """The states that say the whole amount was paid and not yet that it was refunded, one for each transaction."""
        found: dict[str | None, State] = {}
        for state in self.states:
            if state.paid and state.amount in (None, self.amount):
                found.setdefault(state.transaction, state)
        return list(found.values())

    def returned(self, moment: datetime) -> Decimal:
        """How much of the money every replica shows as refunded at that moment."""
        back = [Decimal("0.00")]
        for state in self.states:
            if state.seen_at <= moment and state.paid:
                back.append(self.amount if state.status is Status.REFUNDED else state.refunded or back[0])
        return max(back)

    def returned_in_full_at(self) -> datetime | None:
        return next((one.seen_at for one in self.states if one.status is Status.REFUNDED), None)


def lag(draw: Random, longest: timedelta) -> timedelta:
    """How long a replica is behind: usually not at all, sometimes seconds, rarely as long as it may be."""
    chance = draw.random()
    if chance < 0.55:
        return timedelta(0)
    if chance < 0.8:
        return min(longest, timedelta(seconds=draw.uniform(0.2, 5)))
    if chance < 0.95:
        return min(longest, timedelta(seconds=draw.uniform(5, 60)))
    return longest * draw.random()
