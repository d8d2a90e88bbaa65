"""Gateways that open checkouts as a test says, in place of `Gateways`, which asks real ones."""

from __future__ import annotations

import asyncio
from collections import deque

from consumers.account import Account
from consumers.ports.openings import Opened, Opening, OpeningOutcome


class FakeCheckout:
    """Opens every checkout, unless the next outcomes were scripted; `hold` makes the next openings wait."""

    def __init__(self) -> None:
        self.openings: list[tuple[Account, Opening]] = []
        self._scripted: deque[OpeningOutcome | Exception] = deque()
        self._may_answer = asyncio.Event()
        self._may_answer.set()
        self._called = asyncio.Event()

    def script(self, *outcomes: OpeningOutcome | Exception) -> None:
        self._scripted.extend(outcomes)

    def hold(self) -> None:
        self._may_answer.clear()

    def release(self) -> None:
        self._may_answer.set()

    async def called(self) -> Opening:
        """Wait until a checkout is being opened."""
        async with asyncio.timeout(10):
            await self._called.wait()
        self._called.clear()
        return self.openings[-1][1]

    async def __call__(self, account: Account, opening: Opening) -> OpeningOutcome:
        self.openings.append((account, opening))
        nth = len(self.openings)
        self._called.set()
        await self._may_answer.wait()
        if not self._scripted:
            return Opened(session_id=f"S-{nth}", checkout_url=f"https://gateway.example/pay/{nth}")
        outcome = self._scripted.popleft()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
