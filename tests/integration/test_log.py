"""The event log's order: a reader that follows it misses no event, in any order of commits."""

from __future__ import annotations

import asyncio
import random

import msgspec

from worker.postgres.database import Database
from worker.postgres.events.event_log import assign_positions, read

WRITERS, EACH = 8, 40


async def test_a_reader_sees_every_event_while_eight_writers_commit(database: Database) -> None:
    seen: list[int] = []
    finished = asyncio.Event()

    async def placing() -> None:
        while not finished.is_set() or await assign_positions(database, 1000):
            await assign_positions(database, 7)

    async def reading() -> None:
        after = 0
        while len(seen) < WRITERS * EACH:
            for row in await read(database, "m", after, 13):
                after = row["place"]
                seen.append(msgspec.json.decode(row["body"]))

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(reading())
        group.create_task(placing())
        writers = [group.create_task(_write(database, number)) for number in range(WRITERS)]
        await asyncio.wait(writers)
        finished.set()
    assert sorted(seen) == list(range(WRITERS * EACH))


async def test_places_are_given_by_one_writer_at_a_time_without_gaps(database: Database) -> None:
    await _write(database, 0)
    placed = await asyncio.gather(*(assign_positions(database, 11) for _ in range(6)))
    while await assign_positions(database, 11):
        pass
    rows = await read(database, "m", 0, 1000)
    assert [row["place"] for row in rows] == list(range(1, EACH + 1)), placed


async def _write(database: Database, number: int) -> None:
    """Commit events in transactions that stay open for different times, so that commits overtake each other."""
    dice = random.Random(number)
    for nth in range(EACH):
        serial = number * EACH + nth
        payment_id = f"pay_{serial:026d}"
        async with database.connection() as connection, connection.transaction():
            await connection.execute(
                """INSERT INTO payments (id, merchant, account, provider, reference, amount, currency, description,
                       metadata, status, holds, version, late, amount_verified, refunded_amount, aliases, opened_at,
                       expires_at, opened, completed_told, closing_told, hint_asks, step, execute_tries,
                       execute_unanswered, candidates, candidate_dropped)
                   VALUES ($1, 'm', 'a', 'ipay', $1, 10, 'BDT', '', '{}', 'pending', '{}', 1, false, false, 0, '{}',
                       now(), now(), true, false, false, '{}', 0, 0, false, '[]', false)""",
                payment_id,
            )
            await connection.execute(
                """INSERT INTO events (id, payment_id, version, type, merchant, account, time, body)
                   VALUES ($1 || '.1', $1, 1, 'payment.opened', 'm', 'a', clock_timestamp(), $2)""",
                payment_id,
                msgspec.json.encode(serial),
            )
            await connection.execute("SELECT pg_sleep($1)", dice.random() / 100)
