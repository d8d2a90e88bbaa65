"""The worker of an endpoint over a real database and server: what it sends, records, retries and leaves alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from consumers.timing import TIMING
from consumers.webhook_policy import DELAYS, ENDPOINT_BREAKER
from tests.integration.endpoints import (
    OLDER,
    SECRET,
    Hook,
    deliveries,
    endpoint_at,
    happen,
    hooking,
    worker_of,
)
from tests.processes import until
from tests.records import RECORD
from worker.deliver.endpoint_worker import EndpointWorker
from worker.deliver.sender import Sender, sender
from worker.failover import find_lost, meet_anew
from worker.postgres.database import Database, connect
from worker.postgres.events.deliveries import _DUE, _RECORD, _TAKE, payments_here
from worker.postgres.events.endpoint_rows import _ENQUEUE, enable_endpoint, list_endpoints
from worker.postgres.reads.timeline import timeline_pages
from worker.postgres.watermark import START
from worker.runtime.cancellation import end_one


@pytest.fixture
async def sending(database: Database) -> AsyncIterator[Sender]:
    async with sender(database.clock.now, private=True) as sending:
        yield sending


@asynccontextmanager
async def at_work(*workers: EndpointWorker) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run())
        try:
            yield
        finally:
            for worker in workers:
                worker.stop()


async def turned(worker: EndpointWorker) -> None:
    """Run the worker until everything that it sent is recorded."""
    async with asyncio.TaskGroup() as group:
        await worker.cycle(group)
        while worker.busy:
            await worker.woken(5)
            await worker.cycle(group)


async def test_an_event_arrives_as_it_was_written_and_the_standard_library_verifies_it(
    database: Database, sending: Sender
) -> None:
    async with hooking(Hook()) as hook:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending)
        (event_id,) = await happen(database)
        await turned(worker)
    ((headers, body),) = hook.requests
    stored = (await database.fetch("SELECT body FROM events WHERE id = $1", event_id))[0]["body"]
    assert body == stored
    assert headers["webhook-id"] == event_id
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["user-agent"].startswith("payproof/")
    assert Verifier(SECRET).verify(body, headers)["id"] == event_id
    assert await deliveries(database, endpoint) == {event_id: "delivered"}


async def test_while_a_secret_is_changed_both_verify_and_a_strangers_does_not(
    database: Database, sending: Sender
) -> None:
    async with hooking(Hook()) as hook:
        worker = await worker_of(endpoint_at(hook.url, previous=(OLDER,)), database, sending)
        await happen(database)
        await turned(worker)
    ((headers, body),) = hook.requests
    assert len(headers["webhook-signature"].split(" ")) == 2
    Verifier(SECRET).verify(body, headers)
    Verifier(OLDER).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + "c3RyYW5nZXI=" * 3).verify(body, headers)


async def test_only_what_happened_since_the_endpoint_is_known_and_only_what_it_wants_is_sent(
    database: Database, sending: Sender
) -> None:
    await happen(database, 3)
    async with hooking(Hook()) as hook:
        worker = await worker_of(endpoint_at(hook.url, events=("payment.completed",)), database, sending)
        (wanted,) = await happen(database)
        await happen(database, kind="payment.opened")
        await happen(database, merchant="somebody-else")
        await turned(worker)
        assert hook.taken == [wanted]


async def test_each_attempt_is_an_entry_of_the_payments_timeline(database: Database, sending: Sender) -> None:
    async with hooking(Hook(503)) as hook:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending)
        (event_id,) = await happen(database)
        await turned(worker)
        hook.answers = 204
        await database.execute("UPDATE deliveries SET next_at = now() - interval '1 second'")
        await turned(worker)
    timeline = [entry async for page in timeline_pages(database, event_id.removesuffix(".1")) for entry in page]
    first, second = timeline
    assert {name: first[name] for name in ("kind", "endpoint", "host", "event_id", "type", "attempt", "status")} == {
        "kind": "delivery",
        "endpoint": endpoint.id,
        "host": "127.0.0.1",
        "event_id": event_id,
        "type": "payment.completed",
        "attempt": 1,
        "status": 503,
    }
    assert (first["result"], second["result"], second["attempt"]) == ("failed", "delivered", 2)
    assert first["milliseconds"] >= 0
    assert "next_at" in first
    assert hook.url not in str(timeline)


async def test_an_attempt_after_another_keeps_its_id_and_is_signed_anew(database: Database, sending: Sender) -> None:
    async with hooking(Hook(500)) as hook:
        worker = await worker_of(endpoint_at(hook.url), database, sending)
        (event_id,) = await happen(database)
        await turned(worker)
        hook.answers = 200
        await database.execute("UPDATE deliveries SET next_at = now() - interval '1 second'")
        await turned(worker)
    assert hook.heard == [(event_id, 500), (event_id, 200)]
    for headers, body in hook.requests:
        Verifier(SECRET).verify(body, headers)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500])
async def test_whatever_is_no_2xx_is_sent_again_and_no_redirect_is_followed(
    database: Database, sending: Sender, status: int
) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/hook"})

    async with hooking(Hook(elsewhere)) as hook:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending)
        (event_id,) = await happen(database)
        await turned(worker)
        assert hook.heard == [(event_id, status)]
        assert await deliveries(database, endpoint) == {event_id: "waiting"}


async def test_an_endpoint_that_is_gone_is_told_nothing_more_until_a_person_enables_it(
    database: Database, sending: Sender
) -> None:
    async with hooking(Hook(410)) as hook:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending)
        first = await happen(database)
        await turned(worker)
        hook.answers = 204
        later = await happen(database, 3)
        await turned(worker)
        assert hook.heard == [(first[0], 410)]
        (listed,) = await list_endpoints(database)
        assert listed.health.disabled_at is not None
        assert (listed.waiting, listed.ahead) == (1, 3)
        assert await enable_endpoint(database, endpoint.id, database.clock.now(), RECORD)
        await turned(worker)
        assert sorted(hook.taken) == sorted([*first, *later])


async def test_after_five_failures_one_delivery_at_a_time_probes_and_the_rest_go_when_it_arrives(
    database: Database, sending: Sender
) -> None:
    async with hooking(Hook(500)) as hook:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending)
        events = await happen(database, 40)
        await turned(worker)
        tried = len(hook.heard)
        assert ENDPOINT_BREAKER.threshold <= tried < 40
        await turned(worker)
        assert len(hook.heard) == tried, "its breaker is open"
        await database.execute("UPDATE endpoints SET shut_until = now() - interval '1 minute'")
        await turned(worker)
        assert len(hook.heard) == tried + 1, "one delivery probes it"
        (listed,) = await list_endpoints(database)
        assert listed.health.failures == ENDPOINT_BREAKER.threshold + 1
        hook.answers = 204
        await database.execute("UPDATE endpoints SET shut_until = now() - interval '1 minute'")
        await turned(worker)
        waiting = [event for event, state in (await deliveries(database, endpoint)).items() if state == "waiting"]
        assert len(waiting) == tried + 1, "all that were never attempted are there"
        rows = await database.fetch("SELECT max(next_at) - now() AS longest FROM deliveries WHERE next_at IS NOT NULL")
        assert rows[0]["longest"] < timedelta(minutes=1)
        await database.execute("UPDATE deliveries SET next_at = now() - interval '1 second' WHERE next_at IS NOT NULL")
        await turned(worker)
        assert set((await deliveries(database, endpoint)).values()) == {"delivered"}
        assert set(hook.taken) == set(events)


async def test_what_waits_while_an_endpoint_is_shut_is_not_touched(database: Database, sending: Sender) -> None:
    async with hooking(Hook(500)) as hook:
        worker = await worker_of(endpoint_at(hook.url), database, sending)
        await happen(database, 30)
        await turned(worker)
        await turned(worker)
        rows = await database.fetch("SELECT attempts, step FROM deliveries ORDER BY place")
        untouched = [tuple(row) for row in rows[len(hook.heard) :]]
        assert set(untouched) == {(0, 0)}


async def test_the_last_attempt_gives_up_and_says_so(database: Database, sending: Sender) -> None:
    async with hooking(Hook(500)) as hook:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending)
        (event_id,) = await happen(database)
        await turned(worker)
        await database.execute("UPDATE deliveries SET next_at = now() - interval '1 second', step = $1", len(DELAYS))
        await turned(worker)
        assert await deliveries(database, endpoint) == {event_id: "given up"}
        timeline = [entry async for page in timeline_pages(database, event_id.removesuffix(".1")) for entry in page]
        assert timeline[-1]["result"] == "given_up"


async def test_what_a_dead_process_was_sending_is_sent_by_another_after_its_lease(
    database: Database, sending: Sender
) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with hooking(Hook(never)) as hook:
        endpoint = endpoint_at(hook.url)
        dying = await worker_of(endpoint, database, sending)
        (event_id,) = await happen(database)

        async def die() -> None:
            async with asyncio.TaskGroup() as group:
                await dying.cycle(group)

        task = asyncio.create_task(die())
        await until(lambda: bool(hook.requests), what="it is being sent")
        await end_one(task)
        hook.answers = 204
        heir = await worker_of(endpoint, database, sending)
        await turned(heir)
        assert hook.taken == []
        heir._now = lambda: database.clock.now() + TIMING.delivery_lease
        await turned(heir)
        assert hook.taken == [event_id]


async def test_two_processes_share_the_work_and_send_nothing_twice(database: Database, sending: Sender) -> None:
    async with hooking(Hook()) as hook:
        endpoint = endpoint_at(hook.url)
        workers = [await worker_of(endpoint, database, sending) for _ in range(3)]
        events = await happen(database, 300)
        async with at_work(*workers):

            async def all_there() -> bool:
                return len(hook.taken) >= 300

            await until(all_there, what="every event arrived")
    assert Counter(hook.taken) == Counter(events)


async def test_a_payment_that_somebody_holds_keeps_no_other_from_being_recorded(
    database: Database, sending: Sender
) -> None:
    async with hooking(Hook()) as hook:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending)
        events = await happen(database, 20)
        async with at_work(worker):
            async with database.connection() as holding, holding.transaction():
                await holding.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", events[3].removesuffix(".1"))

                async def others_done() -> bool:
                    return list((await deliveries(database, endpoint)).values()).count("delivered") == 19

                await until(others_done, what="all others are recorded", seconds=4)

            async def done() -> bool:
                return set((await deliveries(database, endpoint)).values()) == {"delivered"}

            await until(done, what="it is recorded too")
    assert Counter(hook.taken) == Counter(events)


async def test_an_attempt_that_ends_while_others_are_recorded_is_recorded_too(
    database: Database, sending: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second event is answered while the worker asks whether the first one's payment, which is held, exists."""
    answer = asyncio.Event()

    async def second_waits(_: web.Request) -> web.Response:
        if len(hook.requests) == 2:
            await answer.wait()
        return web.Response(status=204)

    async def here_late(*asked: Any) -> set[str]:
        answer.set()
        await until(lambda: len(worker._ended) == 2, what="the second attempt ended")
        return await payments_here(*asked)

    async with hooking(Hook(second_waits)) as hook:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending)
        events = await happen(database, 2)
        async with asyncio.TaskGroup() as group:
            await worker.cycle(group)
            await until(lambda: len(worker._ended) == 1, what="the first attempt ended")
            first = worker._ended[0].taken.payment_id
            monkeypatch.setattr("worker.deliver.recording.payments_here", here_late)
            async with database.connection() as holding, holding.transaction():
                await holding.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", first)
                await worker.cycle(group)
            while worker.busy:
                await worker.cycle(group)
        assert await deliveries(database, endpoint) == dict.fromkeys(events, "delivered")


async def test_an_attempt_about_a_payment_that_a_failover_lost_is_dropped_and_its_event_is_found_missing(
    database: Database, sending: Sender
) -> None:
    """The event and its payment vanish while the endpoint answers."""

    async def vanish(_: web.Request) -> web.StreamResponse:
        for table in ("deliveries", "events", "payments"):
            await database.execute(f"DELETE FROM {table}")
        return web.Response()

    async with hooking(Hook(vanish)) as hook:
        worker = await worker_of(endpoint_at(hook.url), database, sending)
        (event,) = await happen(database)
        async with asyncio.timeout(10):
            await turned(worker)
        assert not worker.busy
        await database.execute("UPDATE servers SET name = '7000000000000000000/00000001'")
        await meet_anew(database)
        assert await find_lost(database) == 1
        (lost,) = await database.fetch("SELECT id, account FROM lost_events")
    assert (lost["id"], lost["account"]) == (event, "a")


async def test_what_is_being_sent_when_the_process_is_asked_to_end_is_recorded(
    database: Database, sending: Sender
) -> None:
    release = asyncio.Event()

    async def slowly(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response(status=204)

    async with hooking(Hook(slowly)) as hook:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending)
        events = await happen(database, 3)
        running = asyncio.create_task(worker.run())
        await until(lambda: len(hook.requests) == 3, what="they are being sent")
        worker.stop()
        release.set()
        await asyncio.wait_for(running, 5)
        assert await deliveries(database, endpoint) == dict.fromkeys(events, "delivered")


async def test_a_process_that_is_asked_to_end_while_the_database_is_away_ends_and_nothing_counts_as_delivered(
    dsn: str, database: Database
) -> None:
    release = asyncio.Event()

    async def slowly(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response(status=204)

    async with hooking(Hook(slowly)) as hook, connect(dsn) as ending:
        endpoint = endpoint_at(hook.url)
        async with sender(ending.clock.now, private=True) as sending:
            worker = await worker_of(endpoint, ending, sending)
            (event_id,) = await happen(database)
            running = asyncio.create_task(worker.run())
            await until(lambda: len(hook.requests) == 1, what="it is being sent")
            worker.stop()
            ending._pool.terminate()
            release.set()
            await asyncio.wait_for(running, 5)
        assert (await deliveries(database, endpoint))[event_id] != "delivered"


async def test_a_great_backlog_is_worked_off_by_its_indexes(database: Database, sending: Sender) -> None:
    async with hooking(Hook()) as hook:
        endpoint = endpoint_at(hook.url)
        worker = await worker_of(endpoint, database, sending)
        await happen(database, 10_000, merchant="somebody-else")
        (event_id,) = await happen(database)
        await turned(worker)
    await database.execute(
        """INSERT INTO deliveries (endpoint, event_id, place, next_at)
           SELECT $1, id, place, now() FROM events WHERE merchant <> 'm'""",
        endpoint.id,
    )
    await database.execute("ANALYZE")
    now = database.clock.now()
    values = {
        _RECORD: [endpoint.id, [event_id], [now], [0], [None], [now], [None], ["it answered 204"], [{}]],
        _DUE: [endpoint.id, now, 8, START],
        _TAKE: [endpoint.id, [event_id], now],
        _ENQUEUE: [endpoint.id, "m", 0, 500, ["payment.completed"], now],
    }
    for sql, given in values.items():
        async with database.connection() as connection:
            plan = await connection.fetch(f"EXPLAIN {sql}", *given)
        assert not any("Seq Scan" in row[0] for row in plan), (sql, plan)
