"""The demo's stories begin one after the other, and more slowly where payproof answers slowly."""

from __future__ import annotations

import asyncio

import pytest

from worker.playground.demo import starts
from worker.playground.demo.starts import Starts


class Shop:
    """Answers after these seconds, one after the other, and then at once."""

    def __init__(self, *takes: float) -> None:
        self.takes, self.asked = list(takes), 0

    async def events(self, after: str | None, limit: int) -> bytes:
        assert (after, limit) == (None, 1)
        self.asked += 1
        await asyncio.sleep(self.takes.pop(0) if self.takes else 0)
        return b""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "ANSWERED_SECONDS", 0.05)
    monkeypatch.setattr(starts, "PAUSE_SECONDS", 0.001)


async def test_a_story_begins_when_an_answer_comes_at_once() -> None:
    shop = Shop(0.1, 0.1)
    turns = Starts(shop)
    await turns.turn()
    assert shop.asked >= 3
    asked = shop.asked
    shop.takes = []
    await turns.turn()
    assert shop.asked > asked


async def test_all_together_are_not_held_back_longer_than_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "ANSWERED_SECONDS", -1.0)
    turns = Starts(shop := Shop())
    turns._left = 0.01
    await asyncio.gather(*(turns.turn() for _ in range(20)))
    assert turns._left <= 0
    assert shop.asked < 40
