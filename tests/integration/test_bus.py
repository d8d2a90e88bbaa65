"""One contract, three implementations: the bus in memory, the queue in Postgres, RabbitMQ with that as its spool."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import asyncpg
import pytest
from msgspec import Struct

from consumers.ports.bus import Bus
from consumers.ports.unavailable import BusUnavailable, DatabaseUnavailable
from consumers.timing import TIMING
from schemas.callbacks import Callback, Claim
from schemas.words import Authenticity, Said, Source
from tests.fakes.bus import FakeBus
from tests.fakes.clock import NOON, FakeClock
from tests.integration.rabbit import attached
from tests.processes import until
from worker.postgres.database import Database, connect
from worker.postgres.queue import claim_queue as bus
from worker.postgres.queue.claim_looks import _FREE, _TAKE
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.queue.turns import PostgresTurns
from worker.postgres.wakeups import Wakeup
from worker.postgres.watermark import START
from worker.runtime.cancellation import end_one
from worker.runtime.retries import ATTEMPTS, SUSPECT

SECONDS = 30.0


class Bench(Struct):
    """A bus, a way to redeliver the claims of dead workers, and a way to read the dead letters.

    `arrived` tells whether a published claim is where a worker would find it.
    """

    bus: Bus
    workers_die: Callable[[], Awaitable[object]]
    dead: Callable[[], Awaitable[list[str]]]
    arrived: Callable[[], bool] = lambda: True


@pytest.fixture(params=["fake", "postgres", "rabbitmq"])
async def bench(request: pytest.FixtureRequest, dsn: str) -> AsyncIterator[Bench]:
    if request.param == "fake":
        fake = FakeBus(FakeClock())

        async def dead() -> list[str]:
            return [reason for _, reason in fake.dead]

        yield Bench(fake, fake.end_leases, dead)
        return
    async with connect(dsn) as database:

        async def end_leases() -> None:
            await database.execute("UPDATE queue SET available_at = clock_timestamp()")

        async def dead_letters() -> list[str]:
            return [row["reason"] for row in await database.fetch("SELECT reason FROM dead ORDER BY id")]

        if request.param == "postgres":
            yield Bench(PostgresBus(database), end_leases, dead_letters)
            return
        broker = request.getfixturevalue("broker")
        async with attached(broker, database) as rabbit:

            async def workers_die() -> None:
                await end_leases()
                rabbit.bus.wake(["ipay"])
                await rabbit.reconnect()

            yield Bench(rabbit.bus, workers_die, rabbit.dead_letters, lambda: rabbit.pool.has_buffered("ipay"))


def a_claim(provider: str = "ipay") -> Claim:
    body = bytes(range(256))
    callback = Callback(
        source=Source.IPN, account="a", method="POST", query=(("a", "ক"),), headers=(), body=body, received_at=NOON
    )
    return Claim(
        id=uuid.uuid4().hex,
        account="a",
        provider=provider,
        source=Source.IPN,
        authenticity=Authenticity.UNSIGNED,
        received_at=NOON,
        said=Said.SUCCESS,
        callback=callback,
    )


async def receive(bus: Bus, provider: str = "ipay", most: int = 10) -> list[Claim]:
    async with asyncio.timeout(SECONDS):
        return [message.claim for message in await bus.receive(provider, most)]


async def nothing_for(bus: Bus, provider: str = "ipay") -> bool:
    """Whether nothing is delivered: a claim published afterwards for another gateway comes first."""
    waiting = asyncio.ensure_future(bus.receive(provider, 10))
    await bus.publish([a_claim("other")])
    await receive(bus, "other")
    idle = not waiting.done()
    await end_one(waiting)
    return idle


async def test_a_claim_arrives_byte_for_byte(bench: Bench) -> None:
    claim = a_claim()
    await bench.bus.publish([claim])
    assert await receive(bench.bus) == [claim]


async def test_a_worker_that_waits_is_woken(bench: Bench) -> None:
    waiting = asyncio.ensure_future(receive(bench.bus))
    claim = a_claim()
    await bench.bus.publish([claim])
    assert await waiting == [claim]


async def test_claims_of_one_gateway_do_not_reach_the_workers_of_another(bench: Bench) -> None:
    await bench.bus.publish([a_claim("moneybag")])
    assert await nothing_for(bench.bus, "ipay")


async def test_no_more_than_asked_for_are_delivered_and_none_is_lost(bench: Bench) -> None:
    claims = [a_claim() for _ in range(5)]
    await bench.bus.publish(claims)
    first, second = await receive(bench.bus, most=3), await receive(bench.bus, most=3)
    assert len(first) == 3
    assert {claim.id for claim in first + second} == {claim.id for claim in claims}


async def test_claims_for_later_come_after_all_others_and_are_not_lost(bench: Bench) -> None:
    repeats, prompt = [a_claim() for _ in range(5)], [a_claim()]
    await bench.bus.publish(repeats, low_priority=True)
    assert sum((await bench.bus.depths()).values()) == 0, "the sweep does not wait for them"
    await bench.bus.publish(prompt)

    async def arrived() -> bool:
        return bench.arrived()

    await until(arrived, what="the claim at the worker's", seconds=SECONDS)
    assert await receive(bench.bus, most=1) == prompt
    heard: set[str] = set()
    while len(heard) < len(repeats):
        heard |= {claim.id for claim in await receive(bench.bus)}
    assert heard == {claim.id for claim in repeats}


async def test_two_workers_do_not_get_the_same_claim(bench: Bench) -> None:
    claims = [a_claim() for _ in range(40)]
    await bench.bus.publish(claims)
    batches = await asyncio.gather(*(receive(bench.bus, most=10) for _ in range(4)))
    got = [claim.id for batch in batches for claim in batch]
    assert len(got) == len(set(got)) == 40


async def test_what_is_done_does_not_come_back(bench: Bench) -> None:
    await bench.bus.publish([a_claim()])
    await bench.bus.ack(await bench.bus.receive("ipay", 10))
    await bench.workers_die()
    assert await nothing_for(bench.bus)


async def test_the_claim_of_a_dead_worker_comes_back(bench: Bench) -> None:
    claim = a_claim()
    await bench.bus.publish([claim])
    await bench.bus.receive("ipay", 10)
    await bench.workers_die()
    assert await receive(bench.bus) == [claim]


async def test_the_attempts_at_a_claim_that_fails_by_itself_are_counted(bench: Bench) -> None:
    claim = a_claim()
    await bench.bus.publish([claim])
    for attempt in (1, 2, 3):
        async with asyncio.timeout(SECONDS):
            (message,) = await bench.bus.receive("ipay", 10)
        assert (message.claim, message.attempts) == (claim, attempt)
        await bench.bus.retry(message)
        await bench.workers_die()


async def test_that_its_workers_died_is_no_attempt_at_a_claim(bench: Bench) -> None:
    """Otherwise one fault, after unrelated kills, would dead-letter it."""
    await bench.bus.publish([claim := a_claim()])
    for handed_out in range(1, ATTEMPTS):
        (message,) = await asyncio.wait_for(bench.bus.receive("ipay", 10), SECONDS)
        assert (message.claim, message.attempts, message.handed_out) == (claim, 1, handed_out)
        await bench.workers_die()
    (message,) = await asyncio.wait_for(bench.bus.receive("ipay", 10), SECONDS)
    await bench.bus.retry(message)
    await bench.workers_die()
    (message,) = await asyncio.wait_for(bench.bus.receive("ipay", 10), SECONDS)
    assert message.attempts == 2
    assert message.handed_out >= SUSPECT


async def test_a_claim_published_twice_is_delivered_once_or_twice_and_as_itself(bench: Bench) -> None:
    claim = a_claim()
    await bench.bus.publish([claim])
    await bench.bus.publish([claim])
    async with asyncio.timeout(SECONDS):
        messages = await bench.bus.receive("ipay", 10)
    assert {message.claim.id for message in messages} == {claim.id}


async def test_a_parked_claim_is_kept_with_its_reason_and_not_delivered(bench: Bench) -> None:
    await bench.bus.publish([a_claim()])
    [message] = await bench.bus.receive("ipay", 10)
    await bench.bus.dead_letter(message, "it fails by itself")
    await bench.workers_die()
    assert await bench.dead() == ["it fails by itself"]
    assert await nothing_for(bench.bus)


@pytest.mark.parametrize(
    "body", [b'{"newer": 1}', b"\xff", b'{"newer": ' + b"[" * 100_000], ids=["lacks", "utf8", "deep"]
)
async def test_a_claim_that_cannot_be_read_is_put_aside(database: Database, body: bytes) -> None:
    bus, claim = PostgresBus(database), a_claim()
    await database.execute("INSERT INTO queue (claim_id, provider, body) VALUES ('x', 'ipay', $1)", body)
    await bus.publish([claim])
    assert await receive(bus) == [claim]
    assert [row["claim_id"] for row in await database.fetch("SELECT claim_id FROM dead")] == ["x"]
    assert await bus.depths() == {"ipay": 1}


async def test_a_claim_that_cannot_be_put_aside_yet_keeps_no_other_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, claim = PostgresBus(database), a_claim()
    await bus.publish([claim])
    await database.execute("INSERT INTO queue (claim_id, provider, body) VALUES ('x', 'ipay', '')")

    async def away(*_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(bus, "_dead_letter", away)
    assert await receive(bus) == [claim]
    assert await bus.depths() == {"ipay": 2}


async def test_a_claim_that_cannot_be_made_durable_is_refused(database: Database) -> None:
    bus = PostgresBus(database)
    await database._pool.close()
    with pytest.raises(BusUnavailable):
        await bus.publish([a_claim()])


async def test_a_value_that_cannot_be_stored_is_no_outage(database: Database) -> None:
    """Otherwise a claim that fails by itself would be tried for ever, as if the database were away."""
    for sql, value in (("SELECT $1::int", "seven"), ("SELECT $1::text", "a\x00b"), ("SELECT 1 / $1::int", 0)):
        with pytest.raises(asyncpg.PostgresError):
            await database.fetch(sql, value)


@pytest.mark.parametrize("known", [True, False], ids=["analysed", "unknown"])
async def test_no_more_is_taken_than_was_asked_for_whatever_plan_is_chosen(database: Database, known: bool) -> None:
    """A nested loop would look for the oldest again for each row, and find others, as those it has are its own."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO queue (claim_id, provider, body) SELECT i::text, 'ipay', '' FROM generate_series(1, 200) AS i"
        )
        if known:
            await connection.execute("ANALYZE queue")
        for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
            await connection.execute(f"SET enable_{way} = off")
        assert len(await connection.fetch(_TAKE, "ipay", 5, None, [False], [START])) == 5
        await connection.execute("RESET ALL")


async def test_what_is_left_for_another_worker_comes_later_and_no_attempt_counts(bench: Bench) -> None:
    await bench.bus.publish([claim := a_claim()])
    for _ in range(8):
        (message,) = await asyncio.wait_for(bench.bus.receive("ipay", 10), 20)
        assert message.claim == claim
        await bench.bus.postpone([message])
        assert (await bench.bus.depths())["ipay"] == 1
        await bench.workers_die()
    (message,) = await asyncio.wait_for(bench.bus.receive("ipay", 10), 20)
    assert message.attempts == 1
    assert message.queued_at is not None


async def test_what_is_given_back_comes_again_at_once_and_no_attempt_counts(bench: Bench) -> None:
    await bench.bus.publish([claim := a_claim()])
    for _ in range(8):
        (message,) = await asyncio.wait_for(bench.bus.receive("ipay", 10), SECONDS)
        assert (message.claim, message.attempts, message.handed_out) == (claim, 1, 1)
        await bench.bus.requeue([message])


async def test_who_ends_can_still_settle_what_is_in_hand(bench: Bench) -> None:
    await bench.bus.publish([a_claim()])
    messages = await asyncio.wait_for(bench.bus.receive("ipay", 10), SECONDS)
    await bench.bus.stop_receiving("ipay")
    await bench.bus.ack(messages)
    assert (await bench.bus.depths()).get("ipay", 0) == 0


class Worker:
    """One process with the queue in Postgres, reduced to claims and its session."""

    def __init__(self, database: Database) -> None:
        self.turns = PostgresTurns(database)
        self.bus = PostgresBus(database, self.turns.holder)
        self._watching = asyncio.create_task(self.bus.free_lost())

    async def kill(self) -> None:
        """End as by the kernel: its connections are closed without a word."""
        await end_one(self._watching)
        if self.turns._session is not None:
            self.turns._session.terminate()


@pytest.fixture
async def workers(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Worker]]:
    """Three workers that look for claims only when they are woken, so that a lost wakeup is noticed."""
    monkeypatch.setattr(bus, "POLL_SECONDS", 3600.0)
    workers = [Worker(database) for _ in range(3)]

    def hear(wakeup: Wakeup) -> None:
        for one in workers:
            one.bus.wake(wakeup.claims)

    async def connected() -> None:
        hear(Wakeup(claims=["ipay"]))

    listening = asyncio.create_task(database.listen(hear, connected=connected))
    yield workers
    await end_one(listening)
    for one in workers:
        await one.kill()
        await one.turns.close()


async def test_the_claims_of_a_worker_that_is_killed_are_free_at_once_and_those_of_others_are_not(
    database: Database, workers: list[Worker]
) -> None:
    alive, dying, heir = workers
    claims = [a_claim() for _ in range(2)]
    await alive.bus.publish(claims[:1])
    assert await receive(alive.bus) == claims[:1]
    await dying.bus.publish(claims[1:])
    assert await receive(dying.bus) == claims[1:]
    assert await heir.bus.lease("ipay", 10) == []
    await dying.kill()
    (message,) = await asyncio.wait_for(heir.bus.receive("ipay", 10), SECONDS)
    assert (message.claim, message.handed_out) == (claims[1], 2)
    rows = await database.fetch("SELECT claim_id, holder FROM queue ORDER BY id")
    assert [row["claim_id"] for row in rows] == [claim.id for claim in claims]
    assert [row["holder"] for row in rows] == [await alive.turns.holder(), await heir.turns.holder()]


async def test_when_a_session_breaks_its_claims_come_again_and_who_has_them_can_still_settle_them(
    database: Database, workers: list[Worker]
) -> None:
    one, _, _ = workers
    await one.bus.publish([claim := a_claim()])
    (first,) = await asyncio.wait_for(one.bus.receive("ipay", 10), SECONDS)
    holder = await one.turns.holder()
    await database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'payproof turns'"
    )
    (second,) = await asyncio.wait_for(one.bus.receive("ipay", 10), SECONDS)
    assert (second.claim, second.tag) == (claim, first.tag)

    async def noticed() -> bool:
        return await one.turns.holder() != holder

    await until(noticed, what="a session of its own, which has a lock of its own", seconds=SECONDS)
    await one.bus.ack([first])
    assert await one.bus.depths() == {}


async def test_a_worker_that_stands_still_keeps_its_claims_until_their_lease_ends(
    database: Database, workers: list[Worker]
) -> None:
    stopped, dying, heir = workers
    await stopped.bus.publish([claim := a_claim()])
    assert await receive(stopped.bus) == [claim]
    await dying.bus.publish([other := a_claim()])
    assert await receive(dying.bus) == [other]
    await dying.kill()
    assert await receive(heir.bus) == [other]
    (row,) = await database.fetch("SELECT available_at - clock_timestamp() AS left FROM queue ORDER BY id LIMIT 1")
    assert 25 < row["left"].total_seconds() <= TIMING.claim_lease.total_seconds(), "longer than a question takes"
    await database.execute("UPDATE queue SET available_at = clock_timestamp() WHERE claim_id = $1", claim.id)
    assert await receive(heir.bus) == [claim]


async def test_workers_of_the_release_before_leave_our_claims_and_we_leave_theirs_until_a_lease_ends(
    database: Database, workers: list[Worker]
) -> None:
    """They know no holder: they lease claims for ten seconds, and renew the lease while they live."""
    old = """
        UPDATE queue SET available_at = clock_timestamp() + interval '10 s', attempts = attempts + 1
        WHERE id = ANY(ARRAY(SELECT id FROM queue WHERE provider = 'ipay' AND available_at <= clock_timestamp()
            ORDER BY later, available_at, id LIMIT 10 FOR UPDATE SKIP LOCKED))
        RETURNING claim_id
    """
    ours, dying, heir = workers
    await ours.bus.publish([theirs := a_claim()])
    assert [row["claim_id"] for row in await database.fetch(old)] == [theirs.id]
    await ours.bus.publish([mine := a_claim()])
    assert await receive(ours.bus) == [mine]
    assert await database.fetch(old) == []
    await dying.bus.publish([other := a_claim()])
    assert await receive(dying.bus) == [other]
    await dying.kill()
    assert await receive(heir.bus) == [other], "and not theirs"
    await database.execute("UPDATE queue SET available_at = clock_timestamp()")
    assert {claim.id for claim in await receive(heir.bus)} == {theirs.id, mine.id, other.id}


class Forgetful(PostgresBus):
    """The database is away when the first claims are given back."""

    told = 0

    async def _postpone(self, tags: Iterable[object], seconds: float, uncounted: int, failed: int = 0) -> None:
        self.told += 1
        if self.told == 1:
            raise DatabaseUnavailable
        await super()._postpone(tags, seconds, uncounted, failed)


async def test_what_could_not_be_given_back_is_as_soon_as_the_database_is_there_again(
    database: Database, workers: list[Worker]
) -> None:
    holding, _, other = workers
    bus = Forgetful(database, holding.turns.holder)
    watching = asyncio.create_task(bus.free_lost())
    await bus.publish([claim := a_claim()])
    await bus.requeue(await asyncio.wait_for(bus.receive("ipay", 10), SECONDS))
    (message,) = await asyncio.wait_for(other.bus.receive("ipay", 10), SECONDS)
    assert (message.claim, message.handed_out) == (claim, 1)
    await end_one(watching)


async def test_claims_whose_giving_back_was_cut_off_are_given_back_with_the_next(
    database: Database, workers: list[Worker]
) -> None:
    holding, _, other = workers
    await holding.bus.publish([one := a_claim()])
    (message,) = await asyncio.wait_for(holding.bus.receive("ipay", 10), SECONDS)

    async def waits() -> bool:
        return bool(await database.fetch("SELECT FROM pg_locks WHERE NOT granted"))

    async with database.connection() as connection, connection.transaction():
        await connection.execute("SELECT FROM queue FOR UPDATE")
        giving_back = asyncio.create_task(holding.bus.requeue([message]))
        await until(waits, what="it is on its way", seconds=SECONDS)
        await end_one(giving_back)
    await holding.bus.requeue([])
    (again,) = await asyncio.wait_for(other.bus.receive("ipay", 10), SECONDS)
    assert again.claim == one


@pytest.mark.parametrize("known", [True, False], ids=["analysed", "unknown"])
async def test_who_looks_for_lost_claims_reads_only_what_is_in_hand(database: Database, known: bool) -> None:
    async with database.connection() as connection:
        await connection.execute(
            """INSERT INTO queue (claim_id, provider, body, holder, available_at)
               SELECT i::text, 'ipay', '', CASE WHEN held THEN -1 - i % 7 END,
                   now() + CASE WHEN held THEN interval '40 s' ELSE interval '0' END
               FROM (SELECT i, i % 500 = 0 AS held FROM generate_series(1, 50000) AS i) AS one"""
        )
        if known:
            await connection.execute("ANALYZE queue")
        for _ in range(8):  # a statement that is prepared keeps its plan from its sixth run on
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {_FREE}", ["ipay"], START))
            assert "Seq Scan on queue" not in plan, plan
        [freed] = await connection.fetch(_FREE, ["ipay"], START)
        assert len(freed["providers"]) == 100
