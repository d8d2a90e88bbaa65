"""An operator's requests take turns: one person, or their script, keeps nobody else from the few connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

AT_ONCE, WAIT_SECONDS, LINE = 2, 5.0, 10
OF_A_SESSION = AT_ONCE + LINE
"""So many requests of a session are looked at at once. Further ones are refused before the database is asked."""

REFUSED_SECONDS = 1.0
"""So long a refusal takes: a script that is refused at once would come back at once."""


class OutOfTurn(Exception):
    """The person's other requests took so long, or are so many, that this one had no turn."""


class Turns:
    """Each person has `at_once` turns. Further requests wait for `wait` seconds at most, `line` of them at once."""

    def __init__(self, at_once: int, wait: float = 0.0, line: int = 0) -> None:
        self._turns: dict[Hashable, asyncio.Semaphore] = {}
        self._here = Counter[Hashable]()
        self._at_once, self._wait, self._line = at_once, wait, line

    @asynccontextmanager
    async def of(self, who: Hashable) -> AsyncIterator[None]:
        """A turn of theirs. Raises OutOfTurn."""
        if self._here[who] >= self._at_once + self._line:
            raise OutOfTurn(f"{self._here[who]} requests are here already")
        turns = self._turns.setdefault(who, asyncio.Semaphore(self._at_once))
        self._here[who] += 1
        try:
            try:
                async with asyncio.timeout(self._wait if turns.locked() else None):
                    await turns.acquire()
            except TimeoutError:
                raise OutOfTurn(f"no turn within {self._wait:g} s") from None
            try:
                yield
            finally:
                turns.release()
        finally:
            self._here[who] -= 1
            if not self._here[who]:
                del self._here[who], self._turns[who]
