"""What a process knows to be committed or sent, to be compared with the server that takes over.

A server that took over cannot tell what it lacks. A process that saw a commit or sent an event can. It remembers the
last events and claims with the server that they were on, and looks for them when another server has taken over. What
only processes knew that have ended since is not found missing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from schemas.callbacks import Claim
from schemas.words import Source

REMEMBERED = 10_000
"""Of each kind: those of the last seconds under a full load. More may be lost where a standby is further behind."""

KEPT_SECONDS = 2 * 24 * 3600.0
"""After that an item is forgotten, also in a quiet shop. No claim waits so long for its payment, and no retention is so
short: what retention has deleted is not lost."""

_T = TypeVar("_T")


class SeenEvent(Struct, frozen=True, kw_only=True):
    """An event that was committed or sent. `reference` is its payment's, or None where it is not known here."""

    id: str
    type: str
    merchant: str
    account: str
    reference: str | None = None

    @property
    def payment_id(self) -> str:
        return self.id.rpartition(".")[0]


class HeardClaim(Struct, frozen=True):
    """A claim that was acknowledged, without its callback, and the id of its payment; None where that is not known."""

    claim: Claim
    payment_id: str | None


class Memory(Generic[_T]):
    """The last REMEMBERED items of KEPT_SECONDS, each with `since`: when the server that had it took over."""

    def __init__(self, ticking: Callable[[], float]) -> None:
        self._ticking = ticking
        self._items: deque[tuple[float, datetime | None, _T]] = deque(maxlen=REMEMBERED)

    def add(self, items: Iterable[_T], since: datetime | None) -> None:
        now = self._ticking()
        self._items.extend((now, since, item) for item in items)

    def before(self, since: datetime | None) -> list[_T]:
        """The items of other servers than the one that took over at `since`."""
        oldest = self._ticking() - KEPT_SECONDS
        while self._items and self._items[0][0] < oldest:
            self._items.popleft()
        return [item for _, of, item in self._items if of != since]

    def forget(self, looked_for: Iterable[_T]) -> None:
        """Forget these items of `before`. Items that were added since then are still to be looked for."""
        gone = {id(item) for item in looked_for}
        self._items = deque((one for one in self._items if id(one[2]) not in gone), maxlen=REMEMBERED)


class Witness:
    """The last events and claims of this process."""

    def __init__(self, ticking: Callable[[], float] = time.monotonic) -> None:
        self.events = Memory[SeenEvent](ticking)
        self.claims = Memory[HeardClaim](ticking)

    def saw(self, events: Iterable[SeenEvent], since: datetime | None) -> None:
        """Remember events whose commit or sending was confirmed."""
        self.events.add(events, since)

    def heard(self, claims: Iterable[Claim], payment_id: str | None, since: datetime | None) -> None:
        """Remember claims that were committed. The sweep makes its own claims again."""
        others = (claim for claim in claims if claim.source is not Source.SWEEP)
        self.claims.add((HeardClaim(replace(claim, callback=None), payment_id) for claim in others), since)
