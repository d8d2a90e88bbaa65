"""The port that carries claims from the process that received them to the worker that asks the gateway.

The one thing to get wrong: `publish` returns only when the claim is durable, because only then may the callback be
acknowledged; and `ack` comes only after the claim is written, with the answer where it led to a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from schemas.callbacks import Claim


class ClaimMessage(Struct, frozen=True, kw_only=True):
    """A claim handed to a worker, until the worker acknowledges it or gives it back. `tag` is the bus's own.

    `attempts` counts towards the dead letters: one, and one more for each time that it failed by itself. `handed_out`
    is how often it was given to a worker, whatever the reasons for which it came back. `queued_at` is when it was
    queued, where that is known.
    """

    tag: object
    claim: Claim
    attempts: int
    handed_out: int = 1
    queued_at: datetime | None = None


class ClaimPublisher(Protocol):
    """The way into a bus."""

    async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
        """Make the claims durable; one published twice is delivered once or twice. Raises BusAway.

        Those of `low_priority` are delivered when no others of their gateway wait.
        """
        ...

    async def depths(self) -> dict[str, int]:
        """How many claims wait, by gateway, without those of low priority. Gateways with none may be left out."""
        ...


class Bus(ClaimPublisher, Protocol):
    """Two implementations, one contract: the queue in Postgres and RabbitMQ."""

    async def receive(self, provider: str, most: int) -> list[ClaimMessage]:
        """Wait for claims about one gateway's payments and take up to `most` in hand; a dead worker's come back."""
        ...

    async def ack(self, messages: Sequence[ClaimMessage]) -> None:
        """Acknowledge them: they are written."""
        ...

    async def requeue(self, messages: Sequence[ClaimMessage]) -> None:
        """They could not be taken, for no fault of theirs: they come again, now or when that can be told.

        Raises nothing of an absent database or broker.
        """
        ...

    async def postpone(self, messages: Sequence[ClaimMessage]) -> None:
        """They are for another worker or another time: they come again after a while, and no attempt counts."""
        ...

    async def retry(self, message: ClaimMessage) -> None:
        """It failed by itself: it comes again after a while, with one attempt more."""
        ...

    async def dead_letter(self, message: ClaimMessage, reason: str) -> None:
        """Move a claim that fails by itself to the dead letters, for a person."""
        ...

    async def stop_receiving(self, provider: str) -> None:
        """Nothing more of this gateway is received here: what was delivered meanwhile is for others."""
        ...
