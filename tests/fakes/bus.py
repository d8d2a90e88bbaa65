"""The bus in memory: redelivery and dead letters as on the real buses, with a clock that tests move.

A claim that a worker has in hand stays there until the worker acknowledges it or dies.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from consumers.ports.bus import ClaimMessage
from schemas.callbacks import Claim
from tests.fakes.clock import FakeClock

LATER = timedelta(seconds=30)


class _Row(Struct):
    claim: Claim
    available_at: datetime | None
    queued_at: datetime
    handed_out: int = 0
    failures: int = 0
    low_priority: bool = False


class FakeBus:
    """See consumers.ports.bus.Bus."""

    def __init__(self, clock: FakeClock) -> None:
        self.dead: list[tuple[Claim, str]] = []
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._changed = asyncio.Condition()

    async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
        async with self._changed:
            for claim in claims:
                row = _Row(claim, self._clock.now, self._clock.now, low_priority=low_priority)
                self._rows.setdefault(claim.id, row)
            self._changed.notify_all()

    async def receive(self, provider: str, most: int) -> list[ClaimMessage]:
        async with self._changed:
            while not (rows := self._available(provider)[:most]):
                await self._changed.wait()
            for row in rows:
                row.handed_out += 1
                row.available_at = None
            return [self._claim_message(row) for row in rows]

    def _claim_message(self, row: _Row) -> ClaimMessage:
        return ClaimMessage(
            tag=row.claim.id,
            claim=row.claim,
            attempts=row.failures + 1,
            handed_out=row.handed_out,
            queued_at=row.queued_at,
        )

    async def ack(self, messages: Sequence[ClaimMessage]) -> None:
        for message in messages:
            self._rows.pop(message.claim.id, None)

    async def requeue(self, messages: Sequence[ClaimMessage]) -> None:
        self._comes_again(messages, timedelta(), 1)
        await self.wake()

    async def postpone(self, messages: Sequence[ClaimMessage]) -> None:
        self._comes_again(messages, LATER, 1)

    async def retry(self, message: ClaimMessage) -> None:
        self._comes_again([message], LATER, 0, 1)

    def _comes_again(self, messages: Sequence[ClaimMessage], after: timedelta, uncounted: int, failed: int = 0) -> None:
        for row in {id(row): row for one in messages if (row := self._rows.get(one.claim.id)) is not None}.values():
            row.available_at = self._clock.now + after
            row.handed_out -= uncounted
            row.failures += failed

    async def stop_receiving(self, provider: str) -> None:
        """Nothing to do: only what `receive` returned is in hand."""

    async def dead_letter(self, message: ClaimMessage, reason: str) -> None:
        row = self._rows.pop(message.claim.id, None)
        if row is not None:
            self.dead.append((row.claim, reason))

    async def depths(self) -> dict[str, int]:
        return dict(Counter(row.claim.provider for row in self._rows.values() if not row.low_priority))

    async def workers_die(self) -> None:
        """Let half a minute pass, after which claims in hand are delivered again as well."""
        for row in self._rows.values():
            row.available_at = row.available_at or self._clock.now
        await self.wake()

    async def end_leases(self) -> None:
        """Let half a minute pass; claims in hand are delivered again as well."""
        self._clock.advance(LATER)
        await self.workers_die()

    async def wake(self) -> None:
        """Wake every waiting receiver: time has passed, or claims came back."""
        async with self._changed:
            self._changed.notify_all()

    def _available(self, provider: str) -> list[_Row]:
        rows = [row for row in self._rows.values() if row.claim.provider == provider]
        return sorted(
            (row for row in rows if row.available_at is not None and row.available_at <= self._clock.now),
            key=lambda row: row.low_priority,
        )
