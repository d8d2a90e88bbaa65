"""A ledger whose processes can die at any await: before a call, inside a transaction, or just after its commit.

The one thing to get wrong: what a death leaves. A transaction that did not end leaves nothing; one that did leaves all
of it, although whoever made it never came to know.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from schemas.callbacks import Claim
from tests.fakes.ledger import FakeLedger


class Killed(BaseException):
    """The process is gone; nothing that it had in memory is left. `committed`: its last transaction had ended well."""

    def __init__(self, *, committed: bool = False) -> None:
        super().__init__()
        self.committed = committed


class MortalLedger:
    """The port `Ledger` over the fake one. Each await is a place to die at, with the probability `deadly`."""

    def __init__(self, ledger: FakeLedger, draw: Random, deadly: float) -> None:
        self._ledger, self._draw, self.deadly = ledger, draw, deadly

    def _live(self, *, committed: bool = False) -> None:
        if self._draw.random() < self.deadly:
            raise Killed(committed=committed)

    @asynccontextmanager
    async def batch(self, payment_ids: Collection[str]) -> AsyncIterator[Any]:
        self._live()
        async with self._ledger.batch(payment_ids) as batch:
            yield _MortalBatch(batch, self._live)
        self._live(committed=True)

    async def find(self, claims: Sequence[Claim]) -> dict[str, str]:
        self._live()
        return await self._ledger.find(claims)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


class _MortalBatch:
    def __init__(self, batch: Any, live: Callable[..., None]) -> None:
        self._batch, self._live = batch, live

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._batch, name)
        if not callable(found):
            return found

        async def called(*given: Any, **named: Any) -> Any:
            self._live()
            done = await found(*given, **named)
            self._live(committed=name == "commit")
            return done

        return called

    @property
    def cases(self) -> Any:
        return self._batch.cases

    @property
    def now(self) -> Any:
        return self._batch.now
