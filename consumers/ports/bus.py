"""The port that carries claims from the process that received them to the worker that asks the gateway.

No claim may be lost. `publish` returns only when the claims are durable, because only then may the callback be
acknowledged. A worker calls `ack` only after the claim is written, with the reply where it led to a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from schemas.callbacks import Claim


class ClaimMessage(Struct, frozen=True, kw_only=True):
    """A claim handed to a worker, until the worker acknowledges it or gives it back. `tag` is the bus's own.

    `attempts` is 1, and one more for each time that it failed by itself; at a limit it becomes a dead letter.
    `handed_out`: how often it was given to a worker, for any reason. `queued_at`: when it was queued, where that is
    known.
    """

    tag: object
    claim: Claim
    attempts: int
    handed_out: int = 1
    queued_at: datetime | None = None


class ClaimPublisher(Protocol):
    """The part of a bus that callbacks are published to."""

    async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
        """Make the claims durable. A claim published twice is delivered once or twice. Raises BusUnavailable.

        Claims of `low_priority` are delivered when no other claims of their gateway wait.
        """
        ...

    async def depths(self) -> dict[str, int]:
        """How many claims wait, by gateway, without claims of low priority. A gateway without any may be left out."""
        ...


class Bus(ClaimPublisher, Protocol):
    """Carries claims to workers. Implemented by the queue in Postgres and by RabbitMQ."""

    async def receive(self, provider: str, most: int) -> list[ClaimMessage]:
        """Wait for claims of one gateway and return up to `most`. Claims of a worker that dies are delivered again."""
        ...

    async def ack(self, messages: Sequence[ClaimMessage]) -> None:
        """Acknowledge claims that are written, so that they are not delivered again."""
        ...

    async def requeue(self, messages: Sequence[ClaimMessage]) -> None:
        """Give back claims that could not be processed, for no fault of theirs. They are delivered again soon.

        No attempt is counted. Does not raise where the database or the broker is away.
        """
        ...

    async def postpone(self, messages: Sequence[ClaimMessage]) -> None:
        """Give back claims for another worker or a later time. They come again after a while; no attempt is counted."""
        ...

    async def retry(self, message: ClaimMessage) -> None:
        """Give back a claim that failed by itself. It is delivered after a while, with one attempt more."""
        ...

    async def dead_letter(self, message: ClaimMessage, reason: str) -> None:
        """Move a claim that fails by itself to the dead letters, where a person looks at it."""
        ...

    async def stop_receiving(self, provider: str) -> None:
        """Receive no more claims of this gateway here. Claims delivered meanwhile are left to other workers."""
        ...
