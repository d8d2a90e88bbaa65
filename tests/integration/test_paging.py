"""`GET /v1/events` while others commit: whole, in order, and equally quick from any position.

The load must be able to reveal a wrong cursor. So a second reader follows the order of insertion, as a plain sequence
would, and the load must make that reader skip events.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Struct, field

from tests.integration.shops import Shops, serving
from tests.processes import until
from worker.deliver.relay import Relay
from worker.postgres.database import Database, connect
from worker.postgres.events.event_log import (
    FIRST_AFTER,
    FIRST_SINCE,
    NEWEST,
    READ,
    assign_positions,
    newest_position,
    position_before,
    read,
)
from worker.postgres.wakeups import Wakeup
from worker.runtime.cancellation import end_one
from worker.telemetry.metrics import Metrics

WRITERS, EACH = 8, 60
LONG = 3  # of the writers; they sometimes commit late
SECONDS = 60

PAYMENTS = """
    INSERT INTO payments (id, merchant, account, provider, reference, amount, currency, description, metadata, status,
        holds, version, late, amount_verified, refunded_amount, aliases, opened_at, expires_at, opened, completed_told,
        closing_told, hint_asks, step, execute_tries, execute_unanswered, candidates, candidate_dropped)
    SELECT id, merchant, 'a', 'ipay', id, 10, 'BDT', '', '{}', 'pending', '{}', 1, false, false, 0, '{}', now(), now(),
        true, false, false, '{}', 0, 0, false, '[]', false
    FROM unnest($1::text[], $2::text[]) AS new (id, merchant)
"""
EVENTS = """
    INSERT INTO events (id, payment_id, version, type, merchant, account, time, body)
    SELECT id || '.1', id, 1, 'payment.opened', merchant, 'a', time, body
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::bytea[]) AS new (id, merchant, time, body)
"""


def payment_id(serial: int) -> str:
    return f"pay_{serial:026d}"


class Plain(Struct):
    """A reader in the order of insertion, which is that of the ids from a sequence. `seen` are the events' ids."""

    database: Database
    after: int = 0
    seen: list[str] = field(default_factory=list)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def page(self) -> None:
        rows = await self.database.fetch(
            "SELECT inserted, id FROM events WHERE inserted > $1 ORDER BY inserted LIMIT 13", self.after
        )
        for row in rows:
            self.after = row["inserted"]
            self.seen.append(row["id"])
        self.moved.set()

    async def passed(self, inserted: int) -> None:
        while self.after <= inserted:
            self.moved.clear()
            await self.moved.wait()


class Writer(Struct):
    """Commits events one at a time.

    A `long` writer takes its number early and commits when the plain reader is past it.
    """

    number: int
    database: Database
    plain: Plain
    others_done: asyncio.Event
    long: bool

    async def write(self) -> None:
        dice = random.Random(self.number)
        for nth in range(EACH):
            name = payment_id(self.number * EACH + nth)
            async with self.database.connection() as connection, connection.transaction():
                await connection.execute(PAYMENTS, [name], ["shop"])
                body = msgspec.json.encode({"id": f"{name}.1"})
                await connection.execute(EVENTS, [name], ["shop"], [self.database.clock.now()], [body])
                inserted = await connection.fetchval("SELECT inserted FROM events WHERE payment_id = $1", name)
                if self.long and nth % 5 == 0:
                    await self._late(inserted)
                else:
                    await connection.execute("SELECT pg_sleep($1)", dice.random() / 200)

    async def _late(self, inserted: int) -> None:
        waiting = {asyncio.ensure_future(one) for one in (self.plain.passed(inserted), self.others_done.wait())}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()


@asynccontextmanager
async def placing(database: Database) -> AsyncIterator[None]:
    """A relay at work, as in the service."""
    relay = Relay(database, Metrics())

    async def hurry() -> None:
        while True:
            relay.on_wakeup(Wakeup(events=True))
            await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(relay.run()), asyncio.create_task(hurry())]
    try:
        yield
    finally:
        for task in tasks:
            await end_one(task)


async def page(shops: Shops, after: str | None, limit: int, shop: str = "shop") -> tuple[list[str], str]:
    got = await shops.get("/v1/events", shop=shop, limit=limit, **({"after": after} if after else {}))
    assert got.status == 200, got
    return [event["id"] for event in got.body["events"]], got.body["next"]


async def test_events_read_over_http_while_eight_writers_commit_are_complete_where_a_plain_sequence_skips(
    dsn: str, database: Database
) -> None:
    await database.execute("ALTER TABLE events ADD COLUMN inserted bigint GENERATED ALWAYS AS IDENTITY")
    plain, others_done, seen = Plain(database), asyncio.Event(), list[str]()
    written = {f"{payment_id(serial)}.1" for serial in range(WRITERS * EACH)}

    async def reading(shops: Shops) -> None:
        after = None
        while len(seen) < len(written):
            ids, after = await page(shops, after, 13)
            seen.extend(ids)

    async def paging_plainly() -> None:
        while True:
            await plain.page()

    async with connect(dsn, size=WRITERS) as writing, serving(database) as shops, placing(database):
        writers = [Writer(number, writing, plain, others_done, long=number < LONG) for number in range(WRITERS)]
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            paging = group.create_task(paging_plainly())
            whole = group.create_task(reading(shops))
            tasks = [group.create_task(writer.write()) for writer in writers]
            await asyncio.wait(tasks[LONG:])
            others_done.set()
            await asyncio.wait([*tasks, whole])
            paging.cancel()
        await plain.page()
        again, after = list[str](), None
        while ids := (got := await page(shops, after, 1000))[0]:
            again, after = again + ids, got[1]
    assert len(seen) == len(set(seen)), "an event was read twice"
    assert set(seen) == written
    assert again == seen, "the order that was read is the order that stays"
    missed = written - set(plain.seen)
    assert len(missed) >= LONG, f"the plain cursor missed {len(missed)}: this load proves nothing"


async def test_what_is_read_is_the_merchants_own_and_next_is_there_when_there_is_nothing_new(shops: Shops) -> None:
    await filled(shops.database, 40)
    mine, after = await page(shops, None, 1000)
    assert mine == [f"{payment_id(serial)}.1" for serial in range(0, 40, 2)]
    assert (await page(shops, after, 10)) == ([], after)
    theirs, _ = await page(shops, None, 1000, shop="other")
    assert len(theirs) == 20
    assert (await shops.get("/v1/events", shop="other", after=after)).problem == (422, "invalid_request", "after")


# -- the place of a time -----------------------------------------------------------------------------------------------

START = datetime(2026, 11, 20, tzinfo=UTC)


async def filled(database: Database, count: int, late: dict[int, timedelta] | None = None) -> None:
    """One event a minute, of two merchants in turn; a `late` event is so much older than its position says."""
    names = [payment_id(serial) for serial in range(count)]
    merchants = [("shop", "other")[serial % 2] for serial in range(count)]
    times = [START + timedelta(minutes=serial) - (late or {}).get(serial, timedelta()) for serial in range(count)]
    bodies = [msgspec.json.encode({"id": f"{name}.1"}) for name in names]
    await database.execute(PAYMENTS, names, merchants)
    await database.execute(EVENTS, names, merchants, times, bodies)
    await database.execute("UPDATE events SET place = right(payment_id, 9)::int + 1")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 257])
async def test_the_place_of_a_time_is_that_before_its_first_event(database: Database, count: int) -> None:
    await filled(database, count)
    for minute in (-1, 0, 0.5, 1, 2, 3, 100, 128, count - 2, count - 1, count):
        since = START + timedelta(minutes=minute)
        after = await position_before(database, "shop", since)
        first = [row["place"] - 1 for row in await read(database, "shop", after, 1000)]
        assert first == [serial for serial in range(0, count, 2) if serial >= minute], minute


async def test_events_that_were_committed_late_are_not_missed(database: Database) -> None:
    dice = random.Random(7)
    late = {serial: timedelta(seconds=dice.randrange(280)) for serial in range(400) if dice.random() < 0.3}
    await filled(database, 400, late)
    for minute in range(0, 400, 7):
        since = START + timedelta(minutes=minute, seconds=30)
        after = await position_before(database, "shop", since)
        wanted = [
            serial
            for serial in range(0, 400, 2)
            if START + timedelta(minutes=serial) - late.get(serial, timedelta()) >= since
        ]
        assert set(wanted) <= {row["place"] - 1 for row in await read(database, "shop", after, 1000)}
        assert after <= (wanted[0] if wanted else 399)


@pytest.mark.parametrize("sql", [READ, FIRST_AFTER, FIRST_SINCE, NEWEST])
async def test_a_merchant_who_has_been_quiet_is_found_by_the_index_of_merchants(database: Database, sql: str) -> None:
    """Half of the older events are its own, so Postgres also expects them among the newer events."""
    await filled(database, 4_000)
    await database.execute("UPDATE events SET merchant = 'other' WHERE place > 2000")
    await database.execute("ANALYZE events")
    for merchant, after in (("shop", 1_999), ("shop", 3), ("other", 3), ("nobody", 3)):
        more = {READ: [100], FIRST_SINCE: [START]}.get(sql, [])
        plan = await database.fetch(f"EXPLAIN (FORMAT JSON) {sql}", merchant, after, *more)
        node: Any = msgspec.json.decode(plan[0][0])[0]["Plan"]
        while "Plans" in node:
            (node,) = node["Plans"]
        assert node.get("Index Name") == "events_merchant", node
    assert await newest_position(database, "shop") == 1_999
    assert await newest_position(database, "nobody") == 0


async def test_whoever_dies_while_placing_leaves_no_gap(dsn: str, database: Database) -> None:
    """The dead process's transaction is rolled back, and the next process gives the same positions."""
    await filled(database, 20)
    await database.execute("UPDATE events SET place = NULL")
    async with connect(dsn, size=1) as doomed, doomed.connection() as connection:
        await connection.execute("BEGIN")
        await connection.execute("SELECT place_left_events(10)")
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            placing = group.create_task(assign_positions(database, 1000))
            await until(lambda: waits(database), what="the next process waits for the first")
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await database.execute("SELECT pg_terminate_backend($1)", pid)
        assert placing.result() == 20
    rows = await database.fetch("SELECT place FROM events ORDER BY place")
    assert [row["place"] for row in rows] == list(range(1, 21))


async def waits(database: Database) -> bool:
    """Whether a session waits for a lock."""
    rows = await database.fetch(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(rows)
