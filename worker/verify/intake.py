"""The claims that one gateway's loop takes next: new claims, and claims that wait for the end of another question.

Waiting claims are unacknowledged and take room, so only few may wait, and for a second at most. A claim that names its
payment is looked at as soon as a wakeup says that this payment changed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from itertools import chain
from math import inf
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace

from consumers.ports.bus import Bus, ClaimMessage
from consumers.ports.unavailable import DatabaseUnavailable, error_name
from schemas.callbacks import Claim
from worker.runtime.clock import set_within
from worker.runtime.retries import PAUSE_SECONDS
from worker.verify.concurrency import WINDOW
from worker.verify.in_hand import InHand

AGAIN_SECONDS, PATIENT_SECONDS = 0.25, 1.0
"""A waiting claim is looked at every AGAIN_SECONDS, for PATIENT_SECONDS. Then it is written beside that question."""

MOST_WAITING = WINDOW // 4

log = structlog.get_logger()


class Part(Struct, frozen=True):
    """Claims to take together: `at` when to look at them, `until` when they may wait, both in the event loop's time."""

    claims: list[Claim]
    at: float = 0.0
    until: float = inf

    @property
    def patient(self) -> bool:
        """Whether these claims may still wait."""
        return _now() < self.until


class Intake:
    """One gateway's claims, until `stopping` is set. Its tasks run in `group`."""

    def __init__(
        self, bus: Bus, provider: str, in_hand: InHand, stopping: asyncio.Event, group: asyncio.TaskGroup
    ) -> None:
        self._bus, self._provider, self._in_hand = bus, provider, in_hand
        self._stopping, self._group = stopping, group
        self.stopped = group.create_task(self._stop())
        self._receiving: asyncio.Task[Sequence[ClaimMessage]] | None = None
        self._ready = deque[Claim]()
        self._waiting = deque[Part]()
        self._heard = asyncio.get_running_loop().create_future()

    async def next(self, most: int) -> Part | None:
        """Wait for the next claims, `most` at most. Returns None when stopping, after all claims were given back."""
        while not self._stopping.is_set():
            if self._waiting and self._waiting[0].at <= _now():
                part = self._waiting.popleft()
                if len(part.claims) > most:
                    self._waiting.appendleft(replace(part, claims=part.claims[most:]))
                return replace(part, claims=part.claims[:most])
            if self._ready:
                return Part([self._ready.popleft() for _ in range(min(most, len(self._ready)))])
            await self._arrival(most)
        if self._receiving is not None:
            self._receiving.cancel()
        await self._in_hand.requeue([*self._ready, *chain.from_iterable(part.claims for part in self._waiting)])
        await self._bus.stop_receiving(self._provider)
        return None

    def wait(self, claims: Sequence[Claim], part: Part) -> None:
        """Let these claims of the part wait, because another question about their payments is in flight.

        Claims for which there is no room are looked at again at once, and may not wait then.
        """
        room = max(MOST_WAITING - sum(len(waiting.claims) for waiting in self._waiting), 0)
        now = _now()
        if claims[room:]:
            self._waiting.appendleft(Part(list(claims[room:]), until=now))
        if claims[:room]:
            until = min(part.until, now + PATIENT_SECONDS)
            self._waiting.append(Part(list(claims[:room]), min(now + AGAIN_SECONDS, until), until))

    def payments_changed(self, payment_ids: Collection[str]) -> None:
        """Look now at the claims that wait for these payments, which changed."""
        for part in [self._waiting.popleft() for _ in range(len(self._waiting))]:
            told = [claim for claim in part.claims if claim.payment_id in payment_ids]
            rest = [claim for claim in part.claims if claim.payment_id not in payment_ids]
            if rest:
                self._waiting.append(replace(part, claims=rest))
            if told:
                self._waiting.appendleft(replace(part, claims=told, at=0.0))
                if not self._heard.done():
                    self._heard.set_result(None)

    async def _arrival(self, most: int) -> None:
        """Wait until claims arrive, waiting claims are due, their payments changed, or the intake is to stop."""
        if self._receiving is None:
            self._receiving = self._group.create_task(self._receive(most))
        seconds = self._waiting[0].at - _now() if self._waiting else None
        self._heard = asyncio.get_running_loop().create_future()
        first: set[asyncio.Future[Any]] = {self._receiving, self.stopped, self._heard}
        await asyncio.wait(first, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._receiving.done():
            self._ready += self._in_hand.take(self._receiving.result())
            self._receiving = None

    async def _receive(self, most: int) -> Sequence[ClaimMessage]:
        try:
            return await self._bus.receive(self._provider, most)
        except DatabaseUnavailable as error:
            log.warning("claims.unavailable", provider=self._provider, error=error_name(error))
            await set_within(self._stopping, PAUSE_SECONDS)
            return ()

    async def _stop(self) -> None:
        await self._stopping.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()
