"""Turns in memory and in Postgres by one contract; and what only sessions can do: break, stand still, be refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from consumers.ports.ledger import Turns
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.timing import TIMING
from tests.fakes.ledger import FakeTurns
from tests.integration.conformance_ledger import SECONDS
from tests.integration.conformance_turns import IDS, TurnsConformance
from tests.processes import until
from worker.postgres.database import Database
from worker.postgres.primary import Primary
from worker.postgres.queue.turns import SAME_SECONDS, PostgresTurns, lock_of

_HELD = """
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND (classid::bigint << 32 | objid::bigint) = $1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class TestFakeTurns(TurnsConformance):
    @pytest.fixture
    def two(self) -> tuple[Turns, Turns]:
        held = set[str]()
        return FakeTurns(held), FakeTurns(held)


class TestPostgresTurns(TurnsConformance):
    @pytest.fixture
    async def two(self, database: Database) -> AsyncIterator[tuple[Turns, Turns]]:
        one, other = PostgresTurns(database), PostgresTurns(database)
        yield one, other
        await one.close()
        await other.close()


class Ticking:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticking() -> Ticking:
    return Ticking()


@pytest.fixture
async def three(database: Database, ticking: Ticking) -> AsyncIterator[list[PostgresTurns]]:
    """The turns of three processes."""
    turns = [PostgresTurns(database, ticking) for _ in range(3)]
    yield turns
    for one in turns:
        await one.close()


async def holder(database: Database, payment_id: str) -> int | None:
    """The session that has a payment's lock."""
    rows = await database.fetch(_HELD, lock_of(payment_id))
    return rows[0]["pid"] if rows else None


async def broken(database: Database, payment_id: str) -> None:
    """End the session that has this payment's lock."""
    await database.execute("SELECT pg_terminate_backend($1)", await holder(database, payment_id))

    async def gone() -> bool:
        return await holder(database, payment_id) is None

    await until(gone, what="the session has ended", seconds=SECONDS)


def test_locks_are_apart_from_each_other_and_below_the_fixed_ones() -> None:
    locks = {lock_of(f"pay_{n:026d}") for n in range(10_000)}
    assert len(locks) == 10_000
    assert all(-(2**63) <= lock < 0 for lock in locks)


async def test_a_process_that_dies_has_no_turns(database: Database, three: list[PostgresTurns]) -> None:
    one, other, _ = three
    await one.take(IDS)
    await broken(database, IDS[0])
    assert await other.take(IDS) == set(IDS)


async def test_a_turn_that_is_given_back_while_it_is_locked_again_is_free(
    database: Database, three: list[PostgresTurns], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `holder`, which the loop for lost claims calls: no other question comes that would unlock it."""
    one, other, _ = three
    await one.take(IDS[:1])
    await broken(database, IDS[0])
    execute = one._execute

    async def slow(sql: str, *values: Sequence[object]) -> list[asyncpg.Record]:
        rows = await execute(sql, *values)
        one.give_back(IDS[:1])
        return rows

    monkeypatch.setattr(one, "_execute", slow)
    await one.holder()
    await until(lambda: _taken(other), what="it is free", seconds=SECONDS)


async def test_a_process_that_ends_gives_its_turns_back(three: list[PostgresTurns]) -> None:
    one, other, _ = three
    await one.take(IDS)
    await one.close()
    await one.close()
    await until(lambda: _taken(other), what="it is free", seconds=SECONDS)


async def test_a_session_that_broke_leaves_what_is_being_asked_here(
    database: Database, three: list[PostgresTurns]
) -> None:
    one, other, _ = three
    await one.take(IDS[:2])
    await broken(database, IDS[0])
    assert await one.take(IDS[:3]) == {IDS[2]}, "on a session of its own making"
    assert await other.take(IDS[:3]) == frozenset(), "a payment in question there is locked again"


async def test_what_another_got_meanwhile_stays_with_both(database: Database, three: list[PostgresTurns]) -> None:
    one, other, third = three
    await one.take(IDS[:2])
    await broken(database, IDS[0])
    assert await other.take(IDS[:1]) == {IDS[0]}
    assert await one.take([IDS[0], IDS[2]]) == {IDS[2]}
    one.give_back([IDS[0]])
    assert await one.take([IDS[3]]) == {IDS[3]}
    assert await third.take(IDS[:4]) == frozenset(), "the other's lock is the other's"


async def test_what_is_given_back_on_a_broken_session_is_taken_on_another(
    database: Database, three: list[PostgresTurns]
) -> None:
    one, other, _ = three
    await one.take(IDS[:1])
    await broken(database, IDS[0])
    one.give_back(IDS[:1])
    assert await one.take(IDS[:2]) == set(IDS[:2]), "the turn that has to be locked again shows that the session broke"
    assert await other.take(IDS[:2]) == frozenset()


async def test_a_turn_that_others_hold_for_long_is_anyones(three: list[PostgresTurns], ticking: Ticking) -> None:
    stopped, other, third = three
    await stopped.take(IDS[:1])
    assert await other.take(IDS[:2]) == {IDS[1]}
    ticking.now += TIMING.status_lease.total_seconds() - 1
    assert await other.take(IDS[:1]) == frozenset()
    ticking.now += 1
    assert await other.take(IDS[:1]) == {IDS[0]}
    assert await other.take(IDS[:1]) == frozenset(), "within the process it is one question's"
    other.give_back(IDS[:1])
    assert await other.take(IDS[:1]) == {IDS[0]}, "the holder stands still"
    other.give_back(IDS[:2])
    assert await third.take(IDS[:1]) == frozenset(), "which has its lock all the same"


async def test_a_turn_that_was_ours_in_between_is_waited_for_anew(three: list[PostgresTurns], ticking: Ticking) -> None:
    one, other, third = three
    await one.take(IDS[:1])
    assert await other.take(IDS[:1]) == frozenset()
    await one.close()
    await until(lambda: _taken(other), what="it is free", seconds=SECONDS)
    await other.close()
    other.give_back(IDS[:1])
    await until(lambda: _taken(third), what="it is free", seconds=SECONDS)
    ticking.now += TIMING.status_lease.total_seconds()
    assert await other.take(IDS[:1]) == frozenset(), "at first it saw another holder"


async def _taken(turns: PostgresTurns) -> bool:
    return await turns.take(IDS[:1]) == {IDS[0]}


async def test_a_turn_that_nobody_looked_at_for_long_is_waited_for_anew(
    three: list[PostgresTurns], ticking: Ticking
) -> None:
    one, other, _ = three
    await one.take(IDS[:1])
    assert await other.take(IDS[:1]) == frozenset()
    ticking.now += SAME_SECONDS
    assert await other.take(IDS[:1]) == frozenset()
    ticking.now += TIMING.status_lease.total_seconds()
    assert await other.take(IDS[:1]) == {IDS[0]}


async def test_where_no_session_is_to_be_had_no_turn_is_taken() -> None:
    nowhere = "postgresql://payproof@/payproof?host=/nonexistent&port=1"
    database = Database(asyncpg.create_pool(nowhere, min_size=0), nowhere, Primary())
    turns = PostgresTurns(database)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await turns.take(IDS[:1])
    turns.give_back(IDS)
    await turns.close()
