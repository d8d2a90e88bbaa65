"""Positions that the writing statement gives: in the order of commits, without a gap, and without waiting."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from consumers.money.write_event import write_event
from consumers.ports.writes import Write
from schemas.changes import Change
from schemas.payments import Payment
from schemas.words import EventType, Status
from tests.contract import released
from tests.integration.conformance_ledger import OVER, SECONDS, a_payment, keys
from tests.integration.test_paging import filled, payment_id, waits
from tests.processes import until
from tests.schema import archived, commit_of, has_history
from worker.postgres.database import Database, connect
from worker.postgres.events.event_log import SEQUENCING_LOCK, SequencedEvent, assign_positions, position_before, read
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.ledger.write import put
from worker.postgres.wakeups import Wakeup
from worker.runtime.encryption import ArchiveCipher

WRITERS, EACH = 6, 25


class Told:
    """A ledger, and the events that it reported when they got their positions."""

    def __init__(self, database: Database) -> None:
        self.placed = list[SequencedEvent]()
        self.ledger = PostgresLedger(database, sequenced=self.placed.extend)


@pytest.fixture
def telling(database: Database) -> Told:
    return Told(database)


def told(payment: Payment, kind: EventType, before: timedelta = timedelta()) -> Change:
    """A change with an event of now, or of so long before."""
    return Change(payment=payment, event=write_event(payment, kind, datetime.now(UTC) - before, "https://pay.example"))


async def opened(ledger: PostgresLedger, *, told_of: bool = False, **fields: object) -> Payment:
    """A payment. `told_of`: it has its first event, written by a batch and so without a position."""
    payment = a_payment(**fields)
    await ledger.create(payment, {}, OVER)
    if told_of:
        async with ledger.batch([payment.id]) as batch:
            before = batch.cases[payment.id].payment
            await batch.store([told(replace(before, version=1, opened=True), EventType.OPENED)])
            await batch.commit()
    return payment


async def next_of(ledger: PostgresLedger, payment: Payment, before: timedelta = timedelta()) -> Write:
    """A write with the event of the payment's next version: completed the first time, held after that; see told()."""
    reading = (await ledger.look([], [payment.id])).readings[payment.id]
    now = reading.case.payment
    kind = EventType.HELD if now.completed_told else EventType.COMPLETED
    after = replace(now, status=Status.COMPLETED, version=now.version + 1, completed_told=True)
    return Write(reading=reading, change=told(after, kind, before), keys=keys(payment))


async def places(database: Database) -> dict[str, int | None]:
    rows = await database.fetch("SELECT id, place FROM events ORDER BY payment_id, version")
    return {row["id"]: row["place"] for row in rows}


async def test_a_write_gives_its_events_their_places_and_tells_them(database: Database, telling: Told) -> None:
    payments = [await opened(telling.ledger) for _ in range(3)]
    await telling.ledger.write([await next_of(telling.ledger, one) for one in payments[:2]])
    await telling.ledger.write([await next_of(telling.ledger, payments[2])])
    assert await places(database) == {f"{one.id}.1": nth for nth, one in enumerate(payments, 1)}
    log = [row["body"] for row in await read(database, "shop", 0, 10)]
    assert [(one.place, one.id, one.body) for one in telling.placed] == [
        (nth, f"{one.id}.1", log[nth - 1]) for nth, one in enumerate(payments, 1)
    ]


async def test_a_write_without_an_event_gives_no_place(database: Database, telling: Told) -> None:
    payment = await opened(telling.ledger)
    write = await next_of(telling.ledger, payment)
    await telling.ledger.write([replace(write, change=replace(write.change, event=None))])
    assert (await places(database), telling.placed) == ({}, [])


async def test_a_locked_write_and_a_batch_leave_the_places_to_the_relay(database: Database, telling: Told) -> None:
    payment = await opened(telling.ledger, told_of=True)
    async with telling.ledger.locked([payment.id]) as locked:
        await locked.write([await next_of(telling.ledger, payment)])
    assert set((await places(database)).values()) == {None}
    assert telling.placed == []


async def test_a_write_leaves_its_place_to_the_relay_while_another_commits_slowly(
    database: Database, telling: Told
) -> None:
    payment, heard = await opened(telling.ledger), list[Wakeup]()
    write, connected = await next_of(telling.ledger, payment), asyncio.Event()

    async def listening() -> None:
        connected.set()

    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        task = group.create_task(database.listen(heard.append, connected=listening))
        await connected.wait()
        async with database.connection() as slow, slow.transaction():
            await slow.execute("SELECT pg_advisory_xact_lock($1)", SEQUENCING_LOCK)
            assert (await telling.ledger.write([write])).done == {payment.id}
            assert await places(database) == {f"{payment.id}.1": None}
        task.cancel()
    assert telling.placed == []
    assert any(one.events for one in heard), "a relay is told that an event has no position"
    assert await assign_positions(database, 10) == 1
    assert await places(database) == {f"{payment.id}.1": 1}


async def test_a_write_does_not_wait_for_a_committer_whose_standby_says_nothing(dsn: str, database: Database) -> None:
    (row,) = await database.fetch("SELECT quote_ident(current_database()) AS name")
    await database.execute(f"ALTER DATABASE {row['name']} SET synchronous_commit = 'local'")
    async with connect(dsn) as here, asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        telling = Told(here)
        payment = await opened(telling.ledger)
        write = await next_of(telling.ledger, payment)
        async with without_a_standby(database):
            group.create_task(committing(here))
            await until(lambda: a_commit_waits(database), what="a write waits for the standby")
            assert (await telling.ledger.write([write])).done == {payment.id}
            assert (await places(database))[f"{payment.id}.1"] is None
    assert telling.placed == []


async def committing(database: Database) -> None:
    """Write repeatedly: the first writes may come before the server knows that it has a standby."""
    ledger = PostgresLedger(database)
    async with database.connection() as connection:
        await connection.execute("SET synchronous_commit = on")

        async def told() -> bool:
            return bool(await connection.fetchval("SHOW synchronous_standby_names"))

        await until(told, what="this session has read the settings anew")
        while await connection.fetchval("SHOW synchronous_standby_names"):
            write = await next_of(ledger, await opened(ledger))
            await put(connection, [write], ArchiveCipher(), placing=True, wakeups=["{}"])


@asynccontextmanager
async def without_a_standby(database: Database) -> AsyncIterator[None]:
    """While the block runs, commits wait for a standby that is not there, unless their session commits locally."""
    await database.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await database.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        await database.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await database.execute("SELECT pg_reload_conf()")


async def a_commit_waits(database: Database) -> bool:
    return bool(await database.fetch("SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_no_place_is_given_twice_whatever_isolation_the_database_comes_with(
    dsn: str, database: Database, level: str
) -> None:
    (row,) = await database.fetch("SELECT quote_ident(current_database()) AS name")
    await database.execute(f"ALTER DATABASE {row['name']} SET default_transaction_isolation = '{level}'")
    async with connect(dsn) as later, asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        ledger = PostgresLedger(later)
        left, other = await opened(ledger, told_of=True), await opened(ledger)
        write = await next_of(ledger, other)
        async with later.connection() as connection, connection.transaction():
            await put(connection, [write], ArchiveCipher(), placing=True)
            placing = group.create_task(assign_positions(later, 10))
            await until(lambda: waits(later), what="the relay waits for the writer")
        assert await placing == 1
    assert await places(database) == {f"{left.id}.1": 2, f"{other.id}.1": 1}


async def test_the_place_of_a_time_holds_where_no_relay_ran_for_long(database: Database, telling: Told) -> None:
    """The first event is left without a position. A relay comes after two others were written."""
    now = datetime.now(UTC)
    ages = [timedelta(minutes=age) for age in (90, 50, 40, 30, 0)]
    ledgers = [PostgresLedger(database)] + [telling.ledger] * 4
    for nth, (age, ledger) in enumerate(zip(ages, ledgers, strict=True)):
        if nth == 3:
            await assign_positions(database, 10)
        await ledger.write([await next_of(ledger, await opened(ledger), before=age)])
    for minutes in (35, 45, 60):
        since = now - timedelta(minutes=minutes)
        after = await position_before(database, "shop", since)
        assert [row["body"] for row in await read(database, "shop", after, 10)] == [
            row["body"] for row in await database.fetch("SELECT body FROM events WHERE time >= $1 ORDER BY time", since)
        ]


async def test_a_write_leaves_its_place_while_many_older_events_have_none(database: Database, telling: Told) -> None:
    await filled(database, 600)
    await database.execute("UPDATE events SET place = NULL")
    one, two = [await opened(telling.ledger, id=payment_id(serial)) for serial in (600, 601)]
    await telling.ledger.write([await next_of(telling.ledger, one)])
    assert (await places(database))[f"{one.id}.1"] is None
    await telling.ledger.write([await next_of(telling.ledger, two)])
    given = await places(database)
    assert (given[f"{one.id}.1"], given[f"{two.id}.1"]) == (601, 602)
    rows = await database.fetch("SELECT time FROM events WHERE place <= 600 ORDER BY place")
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert len(rows) == 600


async def test_a_payments_next_event_waits_for_the_place_of_the_one_before(database: Database, telling: Told) -> None:
    late, other = await opened(telling.ledger, told_of=True), await opened(telling.ledger)
    await telling.ledger.write([await next_of(telling.ledger, one) for one in (late, other)])
    assert await places(database) == {f"{late.id}.1": None, f"{late.id}.2": None, f"{other.id}.1": 1}
    assert [one.id for one in telling.placed] == [f"{other.id}.1"]
    await assign_positions(database, 10)
    assert await places(database) == {f"{late.id}.1": 2, f"{late.id}.2": 3, f"{other.id}.1": 1}
    await telling.ledger.write([await next_of(telling.ledger, late)])
    assert (await places(database))[f"{late.id}.3"] == 4


@pytest.mark.parametrize("most", [1, 4, 100])
async def test_events_are_placed_later_by_the_versions_of_each_payment_whatever_their_times(
    database: Database, telling: Told, most: int
) -> None:
    """The clock of another server may be behind, and as a text version 10 comes before version 2."""
    payments = [await opened(telling.ledger) for _ in range(2)]
    silent = PostgresLedger(database)
    for _ in range(11):
        await silent.write([await next_of(silent, one) for one in payments])
    await database.execute(
        "UPDATE events SET time = time - make_interval(mins => version) WHERE payment_id = $1", payments[0].id
    )
    while await assign_positions(database, most):
        pass
    for one in payments:
        rows = await database.fetch("SELECT version FROM events WHERE payment_id = $1 ORDER BY place", one.id)
        assert [row["version"] for row in rows] == list(range(1, 12))
    assert sorted((await places(database)).values(), key=lambda one: one or 0) == list(range(1, 23))


@pytest.fixture
def placers(tmp_path: Path) -> list[Callable[[Database, int], Awaitable[int]]]:
    """Today's way of a relay to give positions, and in a clone with its history that of the last release."""
    if not has_history():
        return [assign_positions]
    file = archived(commit_of(released()[-1]), tmp_path) / "worker/postgres/log.py"
    spec = importlib.util.spec_from_file_location("released_log", file)
    assert spec is not None
    assert spec.loader is not None
    log = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(log)
    return [assign_positions, log.place]


async def test_a_reader_never_sees_a_place_before_the_one_below_it(
    database: Database, placers: list[Callable[[Database, int], Awaitable[int]]]
) -> None:
    """Writers, a slow committer and relays of both releases give positions; some writers leave theirs to relays."""
    telling = [Told(database) for _ in range(WRITERS)]
    over = asyncio.Event()
    snapshots = 0

    async def writing(nth: int, mine: Told) -> None:
        dice = random.Random(nth)
        for _ in range(EACH):
            payment = await opened(mine.ledger, told_of=dice.random() < 0.3)
            for _ in range(2):
                await mine.ledger.write([await next_of(mine.ledger, payment)])

    async def committing_slowly() -> None:
        ledger = PostgresLedger(database)
        while not over.is_set():
            payment = await opened(ledger)
            write = await next_of(ledger, payment)
            async with database.connection() as connection, connection.transaction():
                await put(connection, [write], ArchiveCipher(), placing=True)
                await connection.execute("SELECT pg_sleep(0.02)")

    async def relaying() -> None:
        while not over.is_set() or await assign_positions(database, 5):
            for give in placers:
                await give(database, 5)

    async def reading() -> None:
        nonlocal snapshots
        while not over.is_set():
            rows = await database.fetch("SELECT place FROM events WHERE place IS NOT NULL ORDER BY place")
            assert [row["place"] for row in rows] == list(range(1, len(rows) + 1))
            snapshots += 1

    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        for work in (committing_slowly, relaying, reading):
            group.create_task(work())
        writers = [group.create_task(writing(nth, mine)) for nth, mine in enumerate(telling)]
        await asyncio.wait(writers)
        over.set()
    assert snapshots > 10
    while await assign_positions(database, 5):  # the slow committer may be last and leave its event
        pass
    left = await database.fetch("SELECT id FROM events WHERE place IS NULL")
    assert left == []
    wrong = await database.fetch(
        "SELECT a.id FROM events a JOIN events b USING (payment_id) WHERE a.version < b.version AND a.place > b.place"
    )
    assert wrong == []
    for mine in telling:
        assert _rising(mine.placed)
    got = sum(len(mine.placed) for mine in telling)
    assert 0 < got < WRITERS * EACH * 2, "some events got positions when they were written, and some did not"


def _rising(placed: Sequence[SequencedEvent]) -> bool:
    return all(one.place < two.place for one, two in itertools.pairwise(placed))
