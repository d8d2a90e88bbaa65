"""What turns promise to the processes that share them; `test_turns.py` runs it against each implementation."""

from __future__ import annotations

import asyncio
from itertools import combinations

from consumers.ports.ledger import Turns
from tests.integration.conformance_ledger import SECONDS
from tests.processes import until

IDS = [f"pay_{n:026d}" for n in range(12)]


class TurnsConformance:
    """Subclasses supply the fixture `two`: the turns of two processes."""

    async def test_a_turn_is_one_processs_at_a_time(self, two: tuple[Turns, Turns]) -> None:
        one, other = two
        assert await one.take(IDS[:3]) == set(IDS[:3])
        assert await other.take(IDS[1:5]) == set(IDS[3:5]), "the free turns beside it are taken"
        assert await one.take([IDS[4], IDS[5]]) == {IDS[5]}

    async def test_a_turn_is_one_questions_at_a_time_within_a_process(self, two: tuple[Turns, Turns]) -> None:
        one, _ = two
        assert await one.take([IDS[0], IDS[0]]) == {IDS[0]}
        assert await one.take([IDS[0]]) == frozenset()

    async def test_no_turns_are_none(self, two: tuple[Turns, Turns]) -> None:
        assert await two[0].take([]) == frozenset()

    async def test_what_is_given_back_is_free_for_the_same_process_at_once(self, two: tuple[Turns, Turns]) -> None:
        one, _ = two
        await one.take(IDS[:2])
        one.give_back(IDS[:1])
        assert await one.take(IDS[:2]) == {IDS[0]}
        one.give_back([])
        assert await one.take(IDS[:2]) == frozenset()

    async def test_what_is_given_back_is_soon_free_for_another(self, two: tuple[Turns, Turns]) -> None:
        one, other = two
        await one.take(IDS[:2])
        one.give_back(IDS[:1])

        async def taken() -> bool:
            return await other.take(IDS[:2]) == {IDS[0]}

        await until(taken, what="it is free", seconds=SECONDS)
        assert await one.take(IDS[:2]) == frozenset()

    async def test_of_many_at_once_one_gets_a_turn(self, two: tuple[Turns, Turns]) -> None:
        groups = [list(pair) for pair in combinations(IDS, 2)]
        async with asyncio.timeout(SECONDS):
            taken = await asyncio.gather(*(two[n % 2].take(group) for n, group in enumerate(groups)))
        assert sorted(one for group in taken for one in group) == IDS
