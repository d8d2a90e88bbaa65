"""An old snapshot, such as a dump holds, keeps all dead rows. No look for open work reads more for each of them.

A row that a look passed over is found by the next look from the start.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.integration.old_snapshot import PROVIDER, Looks, come_and_go, explained, old_snapshot
from worker.postgres import watermark
from worker.postgres.database import Database
from worker.postgres.events.event_log import assign_positions

ROWS = 4_000
FEW = 12
"""So many blocks more than over empty tables are no growth: an index that was empty has a level more."""


async def test_no_look_reads_more_for_the_rows_that_an_old_snapshot_keeps(dsn: str, database: Database) -> None:
    await come_and_go(database, 1, 10)
    looks = Looks(database)
    for name in looks.by_name:  # from the start, once
        await looks.cost(name)
    before = {name: (await looks.cost(name)).blocks for name in looks.by_name}
    async with old_snapshot(dsn):
        await come_and_go(database, 11, ROWS)
        await database.execute("ANALYZE")
        after = {name: (await looks.cost(name)).blocks for name in looks.by_name}
    grown = {name: (before[name], after[name]) for name in before if after[name] > before[name] + FEW}
    assert grown == {}


async def test_a_look_from_the_start_reads_them_all(dsn: str, database: Database) -> None:
    """Without its mark each look of the test above would be seen. Claims in hand are never in the past."""
    async with old_snapshot(dsn):
        await come_and_go(database, 1, ROWS)
        names = [name for name in Looks(database).by_name if name != "queue: claims of dead workers"]
        first = {name: (await Looks(database).cost(name, events_from_the_start=True)).blocks for name in names}
    assert {name: blocks for name, blocks in first.items() if blocks < 4 * FEW} == {}


@pytest.mark.parametrize(
    ("name", "opened_again"),
    [
        ("queue: claims that are free", "UPDATE queue SET available_at = $1, holder = NULL"),
        ("sweep: payments that are due", "UPDATE payments SET next_check_at = $1"),
        ("deliveries: those that are due", "UPDATE deliveries SET next_at = $1, delivered_at = NULL"),
    ],
)
async def test_a_row_below_the_mark_waits_for_the_look_from_the_start(
    database: Database, monkeypatch: pytest.MonkeyPatch, name: str, opened_again: str
) -> None:
    """As if its transaction had been committed a minute late."""
    await come_and_go(database, 1, 1)
    await database.execute(f"INSERT INTO queue (claim_id, provider, body) VALUES ('late', '{PROVIDER}', '{{}}')")
    await database.execute("UPDATE queue SET available_at = available_at + interval '1 h'")
    looks = Looks(database)
    assert not await looks.by_name[name]()
    late = database.clock.now() - timedelta(minutes=1)
    await database.execute(opened_again, late)
    assert not await looks.by_name[name]()
    monkeypatch.setattr(watermark, "WHOLE_SECONDS", 0.0)
    assert await looks.by_name[name]()


async def test_an_event_below_the_mark_waits_for_the_look_from_the_start(database: Database) -> None:
    await come_and_go(database, 1, 2)
    assert await assign_positions(database, 10) == 0
    await database.execute("UPDATE events SET place = NULL WHERE place = 2")
    assert await assign_positions(database, 10) == 0
    await database.execute("SELECT setval('events_searched_at', last_value - 31 * 1000000) FROM events_searched_at")
    assert await assign_positions(database, 10) == 1
    assert [row["place"] for row in await database.fetch("SELECT place FROM events ORDER BY place")] == [1, 2]


@pytest.mark.parametrize("ahead", [1, -1], ids=["ahead", "behind"])
async def test_a_clock_that_steps_hides_no_event(database: Database, ahead: int) -> None:
    """The note of the last look was written by a server whose clock was an hour ahead, or behind."""
    assert await assign_positions(database, 10) == 0
    for sequence in ("events_searched_at", "events_placed_until"):
        await database.execute(
            f"SELECT setval('{sequence}', last_value + extract(epoch from $1::interval)::bigint * 1000000)"
            f" FROM {sequence}",
            timedelta(hours=ahead),
        )
    await come_and_go(database, 1, 1)
    await database.execute("UPDATE events SET place = NULL, time = now()")
    assert await assign_positions(database, 10) == 1


async def test_a_rolled_back_look_notes_nothing_that_is_not_so(database: Database) -> None:
    """The note outlives the transaction; the positions that were given in it do not."""
    await come_and_go(database, 1, 3)
    await database.execute("UPDATE events SET place = NULL")
    async with database.connection() as connection:
        rolled_back = connection.transaction()
        await rolled_back.start()
        given: Any = await connection.fetchval("SELECT place_left_events(10)")
        await rolled_back.rollback()
    assert given == 3
    assert await assign_positions(database, 10) == 3


async def test_a_backlog_of_events_that_no_analyze_has_seen_is_placed_by_the_payments_own_events(
    database: Database,
) -> None:
    """After an hour without a relay. A plan by the index of unplaced events reads the backlog for each payment."""
    await database.execute("ALTER TABLE events SET (autovacuum_enabled = off)")
    await come_and_go(database, 1, 4_000)
    await database.execute("VACUUM ANALYZE events")
    await come_and_go(database, 4_001, 10_000)
    await database.execute("UPDATE events SET place = NULL WHERE place > 4000")
    async with database.connection() as connection:
        cost = await explained(connection, "SELECT place_left_events(100)")
    assert cost.blocks < 100 * 100
