"""Publishing the log: every event, in order, once while nothing fails, again after a crash; from memory where it can.

An event that a test puts into a publisher's memory has another body than in the log, so that the broker can tell the
two apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from msgspec.structs import replace

from consumers.ports.unavailable import BusUnavailable
from tests.integration.conformance_ledger import NOON
from tests.integration.endpoints import happen
from tests.processes import until
from worker.amqp.messages import OutgoingMessage
from worker.deliver.event_publisher import REMEMBERED, SAVE_SECONDS, EventPublisher
from worker.postgres.database import Database
from worker.postgres.events.event_log import SequencedEvent
from worker.postgres.events.publish_cursor import PUBLISHER_LOCK, start_publishing
from worker.postgres.events.publish_cursor import publish_cursor as standing_still
from worker.runtime.cancellation import end_one
from worker.telemetry.metrics import Metrics
from worker.telemetry.tracing import OFF

SECONDS = 20
END_THE_CARRIER = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    JOIN pg_database d ON d.oid = database AND d.datname = current_database()
    WHERE locktype = 'advisory' AND objid = $1
"""


class Broker:
    """Takes events while it is there, and notes which of them came from memory."""

    def __init__(self) -> None:
        self.ids, self.from_memory = list[str](), set[str]()
        self.away, self.confirms = False, asyncio.Event()
        self.confirms.set()
        self.asked = 0

    async def publish(self, messages: Sequence[OutgoingMessage], *, seconds: float) -> None:
        self.asked += 1
        async with asyncio.timeout(seconds):
            await self.confirms.wait()
        if self.away:
            raise BusUnavailable("as the test wants it")
        for message in messages:
            message_id = str(message.properties.message_id)
            self.ids.append(message_id)
            if message.body == b"remembered":
                self.from_memory.add(message_id)

    async def heard(self, ids: Sequence[str]) -> None:
        """Wait until these came; they came in this order, and no other event did."""
        await until(lambda: len(self.ids) >= len(ids), what=f"{len(ids)} events came", seconds=SECONDS)
        assert self.ids == list(ids)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
async def begun(database: Database) -> None:
    await start_publishing(database)


@asynccontextmanager
async def event_publisher(
    database: Database, broker: Broker, ticking: Callable[[], float] = monotonic
) -> AsyncIterator[EventPublisher]:
    one = EventPublisher(database, broker, Metrics(), OFF, ticking)
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        await end_one(task)


async def place_of(database: Database) -> int:
    (row,) = await database.fetch("SELECT place FROM relays")
    place: int = row["place"]
    return place


async def remembered(database: Database, ids: Sequence[str]) -> list[SequencedEvent]:
    rows = await database.fetch(
        "SELECT place, id, type, merchant, account FROM events WHERE id = ANY($1) ORDER BY place", ids
    )
    return [SequencedEvent(**dict(row), body=b"remembered") for row in rows]


async def written(database: Database, one: EventPublisher, count: int = 1) -> list[str]:
    """Events that this publisher's process wrote, and reported to it."""
    ids = await happen(database, count)
    one.remember(await remembered(database, ids))
    return ids


async def carrying(database: Database, broker: Broker, one: EventPublisher, so_far: Sequence[str] = ()) -> list[str]:
    """Wait until this publisher publishes and has read the log: it publishes an event that was written just now."""
    ids = [*so_far, *await happen(database)]
    one.wake()
    await broker.heard(ids)
    return ids


@pytest.mark.usefixtures("begun")
async def test_what_this_process_wrote_is_carried_from_memory(database: Database, broker: Broker) -> None:
    async with event_publisher(database, broker) as one:
        ids = await carrying(database, broker, one)
        for count in (1, 3, 1):
            ids += await written(database, one, count)
            await broker.heard(ids)
    assert broker.from_memory == set(ids[1:])


@pytest.mark.usefixtures("begun")
async def test_what_does_not_follow_on_is_read_from_the_log(database: Database, broker: Broker) -> None:
    async with event_publisher(database, broker) as one:
        ids = await carrying(database, broker, one)
        others, ours = await happen(database, 3), await happen(database, 2)
        one.remember(await remembered(database, ours))
        await broker.heard([*ids, *others, *ours])
        assert broker.from_memory == set()
        last = await happen(database)
        one.remember(await remembered(database, [*ours, *last]))  # some of them are read by now
        await broker.heard([*ids, *others, *ours, *last])
    assert broker.from_memory == set(last)


@pytest.mark.usefixtures("begun")
async def test_what_another_server_wrote_in_a_place_is_not_what_this_one_has_there(
    database: Database, broker: Broker
) -> None:
    """A server that was wrongly taken for dead writes on.

    Its events get positions that its successor gives to others.
    """
    async with event_publisher(database, broker) as one:
        ids = await carrying(database, broker, one)
        new = await happen(database)
        (event,) = await remembered(database, new)
        one.remember([replace(event, id="pay_lost.1", since=NOON)])
        await broker.heard([*ids, *new])
        last = await written(database, one)
        await broker.heard([*ids, *new, *last])
    assert broker.from_memory == set(last)


@pytest.mark.usefixtures("begun")
async def test_what_is_told_out_of_order_is_carried_in_order_and_once(database: Database, broker: Broker) -> None:
    async with event_publisher(database, broker) as one:
        ids = await carrying(database, broker, one)
        new = await happen(database, 4)
        events = await remembered(database, new)
        for event in (events[3], events[1], events[0], events[2]):
            one.remember([event])
        await broker.heard([*ids, *new])


@pytest.mark.usefixtures("begun")
async def test_another_processs_events_are_carried_when_they_are_heard_of(database: Database, broker: Broker) -> None:
    async with event_publisher(database, broker) as one:
        await carrying(database, broker, one, await carrying(database, broker, one))


@pytest.mark.usefixtures("begun")
async def test_a_carrier_that_ends_writes_down_its_place_and_the_next_one_goes_on_from_there(
    database: Database, broker: Broker
) -> None:
    ids = list[str]()
    for _ in range(3):
        async with event_publisher(database, broker) as one:
            ids = await carrying(database, broker, one, ids)
            ids += await written(database, one, 2)
            await broker.heard(ids)
        assert await place_of(database) == len(ids)
        ids += await happen(database, 2)  # while no publisher runs


@pytest.mark.usefixtures("begun")
async def test_a_crash_sends_again_what_was_not_written_down_and_loses_nothing(
    database: Database, broker: Broker
) -> None:
    async with event_publisher(database, broker) as one:
        ids = await carrying(database, broker, one)
        broker.confirms.clear()  # the broker never confirms the next events
        new = await written(database, one, 2)
        await until(lambda: broker.asked > 1, what="they are sent")
    assert await place_of(database) == 1
    broker.confirms.set()
    async with event_publisher(database, broker):
        await broker.heard([*ids, *new])
    assert await place_of(database) == 3


@pytest.mark.usefixtures("begun")
async def test_a_carrier_whose_session_ends_publishes_nothing_more_until_it_is_the_one_again(
    database: Database, broker: Broker
) -> None:
    async with event_publisher(database, broker) as one:
        ids = await carrying(database, broker, one)
        await until(lambda: carried_to(database, 1), what="it wrote down how far it came")
        await database.execute(END_THE_CARRIER, PUBLISHER_LOCK)
        second = Broker()
        async with event_publisher(database, second) as other:
            new = await written(database, one, 2)
            other.wake()
            await until(lambda: len(broker.ids) + len(second.ids) >= 3, what="either publisher publishes")
            assert [*broker.ids[1:], *second.ids] == new
    assert broker.ids[0] == ids[0]


@pytest.mark.usefixtures("begun")
async def test_a_carrier_that_stands_still_gives_way_to_the_next(database: Database, broker: Broker) -> None:
    async with standing_still(database, still_seconds=0.5), event_publisher(database, broker):
        await broker.heard(await happen(database))


@pytest.mark.usefixtures("begun")
async def test_what_the_broker_did_not_take_is_read_again(database: Database, broker: Broker) -> None:
    """A publisher that waits for the broker reads the log repeatedly, so the database does not end its session."""
    async with event_publisher(database, broker) as one:
        ids = await carrying(database, broker, one)
        broker.away = True
        new = await written(database, one)
        await until(lambda: broker.asked > 2, what="it tries again")
        broker.away = False
        await broker.heard([*ids, *new])
    assert broker.from_memory == set(), "it was read"


@pytest.mark.usefixtures("begun")
async def test_one_carries_at_a_time_and_the_next_takes_over(database: Database, broker: Broker) -> None:
    second = Broker()
    async with event_publisher(database, broker) as one:
        ids = await carrying(database, broker, one)
        async with event_publisher(database, second) as other:
            new = await happen(database, 3)
            for each in (one, other):
                each.remember(await remembered(database, new))
                each.wake()
            await broker.heard([*ids, *new])
            assert second.ids == []
    async with event_publisher(database, second):
        last = await happen(database)
        await second.heard(last)


@pytest.mark.usefixtures("begun")
async def test_what_is_remembered_while_the_broker_is_away_is_bounded_and_read_again(
    database: Database, broker: Broker
) -> None:
    async with event_publisher(database, broker) as one:
        ids = await carrying(database, broker, one)
        broker.away = True
        new = await written(database, one, REMEMBERED + 1)
        one.wake()
        await until(lambda: broker.asked > 1, what="the broker is found away")
        broker.away = False
        await broker.heard([*ids, *new])
        assert broker.from_memory == set(), "it was too much to be remembered"
        last = await written(database, one)
        await broker.heard([*ids, *new, *last])
    assert broker.from_memory == set(last)


@pytest.mark.usefixtures("begun")
async def test_the_place_is_written_down_once_in_a_while_and_not_for_every_event(
    database: Database, broker: Broker
) -> None:
    """Each write of the position makes a new version of its row."""
    now = 0.0
    async with event_publisher(database, broker, lambda: now) as one:
        ids, rows = await carrying(database, broker, one), set[str]()
        for _ in range(20):
            ids += await written(database, one)
            await broker.heard(ids)
            rows |= {row["xmin"] for row in await database.fetch("SELECT xmin::text FROM relays")}
        assert len(rows) == 1, "no time has passed"
        now = SAVE_SECONDS
        await until(lambda: carried_to(database, len(ids)), what="the last place is written down")


async def carried_to(database: Database, place: int) -> bool:
    return await place_of(database) == place
