"""A real standby takes over, asynchronous or synchronous: what a process does that was connected to the primary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from consumers.commands.reopen import ReadyToOpen
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.ports.writes import Write
from schemas.callbacks import Claim
from schemas.changes import Change
from schemas.payments import Payment
from schemas.words import Authenticity, EventType, Status
from tests.integration.conformance_ledger import a_claim, a_payment, keys, told
from tests.processes import directory
from tests.standby import Pair
from worker.failover import ask_again, find_lost, meet_anew, publish_lost_claims
from worker.postgres.database import Database, connect
from worker.postgres.events.event_log import assign_positions, newest_position, read
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.primary import MetServer
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.server.migrate import apply_migrations


@pytest.fixture
async def servers() -> AsyncIterator[Pair]:
    with directory() as place:
        servers = Pair(place)
        try:
            await asyncio.to_thread(servers.start)
            await apply_migrations(servers.moved_url)
            yield servers
        finally:
            await asyncio.to_thread(servers.stop)


async def opened(database: Database) -> Payment:
    payment = a_payment()
    await PostgresLedger(database).create(payment, {}, timedelta(seconds=45))
    return payment


async def completed(database: Database, payment: Payment) -> str:
    """Write an event that the payment is completed, or held if that was told before. Returns the event's id."""
    ledger = PostgresLedger(database, sequenced=lambda _: None)
    reading = (await ledger.look([], [payment.id])).readings[payment.id]
    before, floor = reading.case.payment, reading.case.version_floor
    after = replace(before, status=Status.COMPLETED, version=max(before.version, floor) + 1, completed_told=True)
    kind = EventType.HELD if before.completed_told else EventType.COMPLETED
    write = Write(reading=reading, change=told(after, kind), keys=keys(payment))
    assert (await ledger.write([write])).done == {payment.id}
    return f"{payment.id}.{after.version}"


async def lost(database: Database) -> dict[str, str]:
    rows = await database.fetch("SELECT id, reference FROM lost_events")
    return {row["id"]: row["reference"] for row in rows}


async def test_an_asynchronous_standby_gives_no_version_and_no_position_again(servers: Pair) -> None:
    async with connect(servers.url) as database:
        kept, forgotten = await opened(database), await opened(database)
        await completed(database, kept)
        await asyncio.to_thread(servers.caught_up)
        before = await newest_position(database, "shop")
        await asyncio.to_thread(servers.cut)
        never, told_twice = await opened(database), await completed(database, forgotten)
        gone = await completed(database, never)
        cursor = await newest_position(database, "shop")
        assert cursor == before + 2
        await asyncio.to_thread(servers.kill)
        await asyncio.to_thread(servers.promote)

        with capture_logs() as logged:
            await until_it_answers(database)
            await meet_anew(database)
            assert await find_lost(database) == 2
            assert await find_lost(database) == 0
        said = [one["event"] for one in logged]
        assert said.count("server.taken_over") == 1
        assert said.count("event.lost") == 2
        assert await lost(database) == {told_twice: forgotten.reference, gone: never.reference}

        again = await completed(database, forgotten)
        assert again == f"{forgotten.id}.1001"
        (row, *_) = [one for one in await read(database, "shop", cursor, 10) if again in one["body"].decode()]
        assert row["place"] > cursor
        assert len(await read(database, "shop", cursor, 10)) == 2, "the newest event before is seen again"


async def test_all_that_was_open_is_asked_again_and_what_was_lost_of_others(servers: Pair) -> None:
    async with connect(servers.url) as database:
        pending, finished, touched = await opened(database), await opened(database), await opened(database)
        for payment in (finished, touched):
            await completed(database, payment)
        await database.execute("UPDATE payments SET next_check_at = NULL")
        await asyncio.to_thread(servers.caught_up)
        await asyncio.to_thread(servers.cut)
        await completed(database, touched)
        await asyncio.to_thread(servers.kill)
        await asyncio.to_thread(servers.promote)
        await until_it_answers(database)
        await meet_anew(database)
        assert (await find_lost(database), await ask_again(database), await ask_again(database)) == (1, 1, 0)
        rows = await database.fetch("SELECT id FROM payments WHERE next_check_at <= clock_timestamp()")
        assert {row["id"] for row in rows} == {pending.id, touched.id}


async def test_a_synchronous_standby_has_lost_nothing_and_no_alarm_is_raised(servers: Pair) -> None:
    await asyncio.to_thread(servers.synchronous)
    async with connect(servers.url) as database:
        payments = [await opened(database) for _ in range(5)]
        written = [await completed(database, payment) for payment in payments]
        await asyncio.to_thread(servers.kill)
        await asyncio.to_thread(servers.promote)
        with capture_logs() as logged:
            await until_it_answers(database)
            await meet_anew(database)
            assert await find_lost(database) == 0
        assert "error" not in {one["log_level"] for one in logged}
        assert await lost(database) == {}
        rows = await database.fetch("SELECT id FROM events")
        assert {row["id"] for row in rows} >= set(written)


async def test_a_process_leaves_the_old_primary_as_soon_as_it_meets_the_new_one(servers: Pair) -> None:
    """The old primary lives on, as after a network was cut: what is committed there is lost, and found to be."""
    async with connect(servers.moved_url) as database:
        payment = await opened(database)
        await asyncio.to_thread(servers.caught_up)
        session = await database.session("turns")
        await asyncio.to_thread(servers.cut)
        await asyncio.to_thread(servers.promote)
        servers.move(servers.standby)
        on_the_old = await completed(database, payment)
        assert (await server_of(database)).endswith("/00000001")

        await meet_anew(database)
        assert session.is_closed(), "its locks would be on the old server"
        await until_it_answers(database)
        assert (await server_of(database)).endswith("/00000002")
        assert await find_lost(database) == 1
        assert list(await lost(database)) == [on_the_old]
        assert await completed(database, payment) == f"{payment.id}.1001"

        servers.move(servers.primary)
        with pytest.raises(DatabaseUnavailable):
            await meet_anew(database)
        assert (await server_of(database)).endswith("/00000002")
    async with connect(servers.moved_url) as fresh:
        assert (await server_of(fresh)).endswith("/00000001"), "a new process cannot know: the old primary is fenced"


async def test_events_that_had_no_position_yet_get_one_after_all_lost_ones(servers: Pair) -> None:
    async with connect(servers.url) as database:
        payment, other = await opened(database), await opened(database)
        ledger = PostgresLedger(database)  # leaves positions to a relay
        reading = (await ledger.look([], [payment.id])).readings[payment.id]
        after = replace(reading.case.payment, status=Status.COMPLETED, version=1, completed_told=True)
        await ledger.write([Write(reading=reading, change=told(after, EventType.COMPLETED), keys=keys(payment))])
        await asyncio.to_thread(servers.caught_up)
        await asyncio.to_thread(servers.cut)
        await completed(database, other)
        await assign_positions(database, 10)
        cursor = await newest_position(database, "shop")
        await asyncio.to_thread(servers.kill)
        await asyncio.to_thread(servers.promote)
        await until_it_answers(database)
        await assign_positions(database, 10)
        rows = await database.fetch("SELECT place FROM events")
        assert [row["place"] > cursor for row in rows] == [True]


async def test_a_claim_that_was_lost_is_published_again_and_waits_for_a_payment_that_is_gone(servers: Pair) -> None:
    """A gateway does not send a callback again that was answered."""
    async with connect(servers.url) as database:
        ledger, queue = PostgresLedger(database), PostgresBus(database, holder)
        payment = await opened(database)
        survives = await heard(ledger, payment)
        await asyncio.to_thread(servers.caught_up)
        await asyncio.to_thread(servers.cut)
        lost_of_it, queued = await heard(ledger, payment), a_claim(payment_id=payment.id)
        await queue.publish([queued])
        gone = await opened(database)
        lost_with_it = await heard(ledger, gone)
        await asyncio.to_thread(servers.kill)
        await asyncio.to_thread(servers.promote)
        await until_it_answers(database)
        await meet_anew(database)

        assert await publish_lost_claims(database, queue) == 2
        assert await publish_lost_claims(database, queue) == 0
        assert await claims_in(database) == {lost_of_it.id, queued.id}
        await ledger.create(gone, {}, timedelta(seconds=45))
        assert await publish_lost_claims(database, queue) == 1
        assert await publish_lost_claims(database, queue) == 0
        assert await claims_in(database) == {lost_of_it.id, queued.id, lost_with_it.id}
        assert survives.id not in await claims_in(database)


class MeetsAnother:
    """A pool. The process meets another server after each commit, before its writer goes on."""

    def __init__(self, database: Database, server: MetServer) -> None:
        self._database, self._pool, self._server = database, database._pool, server

    async def acquire(self) -> Any:
        return await self._pool.acquire()

    async def release(self, connection: Any, **options: Any) -> None:
        self._database.primary.server = self._server
        await self._pool.release(connection, **options)


@pytest.mark.parametrize("write", ["publish", "set_aside", "keep"])
async def test_a_claim_counts_for_the_server_that_took_it_though_the_next_is_met_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    since = datetime(2027, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(database, "_pool", MeetsAnother(database, MetServer("1/2", since, 1000)))
    ledger, queue = PostgresLedger(database), PostgresBus(database, holder)
    claim = a_claim(session_id="S-1", authenticity=Authenticity.SIGNED, received_at=datetime.now(UTC))
    await {"publish": queue.publish, "set_aside": ledger.set_aside, "keep": ledger.keep}[write]([claim])
    assert [one.claim.id for one in database.witness.claims.before(since)] == [claim.id]


async def holder() -> int:
    return 0


async def heard(ledger: PostgresLedger, payment: Payment) -> Claim:
    """Write a claim about the payment, as a worker does that takes it."""
    now, signed = datetime.now(UTC), Authenticity.SIGNED
    claim = a_claim(payment_id=payment.id, account=payment.account, authenticity=signed, received_at=now)
    reading = (await ledger.look([claim], [payment.id])).readings[payment.id]
    write = Write(reading=reading, change=Change(payment=reading.case.payment), keys=keys(payment), claims=(claim,))
    assert (await ledger.write([write])).done == {payment.id}
    return claim


async def claims_in(database: Database) -> set[str]:
    return {row["claim_id"] for row in await database.fetch("SELECT claim_id FROM queue")}


async def test_a_lost_payment_that_is_posted_again_has_its_id_again(servers: Pair) -> None:
    """The shop has stored that id, and the gateway sends the buyer's browser to its address."""
    async with connect(servers.url) as database:
        await asyncio.to_thread(servers.caught_up)
        await asyncio.to_thread(servers.cut)
        gone = await opened(database)
        await completed(database, gone)
        await asyncio.to_thread(servers.kill)
        await asyncio.to_thread(servers.promote)
        await until_it_answers(database)
        await meet_anew(database)
        assert await find_lost(database) == 1
        ledger = PostgresLedger(database)
        other_id = a_payment().id
        made = await ledger.create(replace(gone, id=other_id), {}, timedelta(seconds=45))
        assert isinstance(made, ReadyToOpen)
        assert made.payment.id == gone.id
        assert await completed(database, gone) == f"{gone.id}.1001"


async def server_of(database: Database) -> str:
    (row,) = await database.fetch("SELECT server_name() AS name")
    return str(row["name"])


async def until_it_answers(database: Database) -> None:
    """Use up the pool's broken connections."""
    async with asyncio.timeout(20):
        while True:
            try:
                await PostgresLedger(database).look([])
            except DatabaseUnavailable:
                await asyncio.sleep(0.05)
            else:
                return
