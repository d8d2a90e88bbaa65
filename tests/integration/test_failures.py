"""Payments that fail by themselves, in Postgres: counted, stopped, kept, replayed; and a real fault from end to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace
from structlog.testing import capture_logs

from consumers.account import Account
from consumers.checks.repeated_failure import FAILURES_BEFORE_STOP, Failures, letter_of
from consumers.commands.open_payment import open_payment
from consumers.ports.openings import Opened
from consumers.rules import Rules
from schemas.answers import Expected, Question, QuestionOutcome
from schemas.checks import Checks
from schemas.payments import Payment
from schemas.words import Hold, Source, Status
from tests.fakes.consuming import about
from tests.fakes.drive import Drive, answered
from tests.fakes.failures import FakeFailures
from tests.fakes.ledger import FakeTurns
from tests.fakes.providers import PLAIN
from tests.processes import until
from tests.records import RECORD
from worker.dead_letters import NotReplayed, list_all
from worker.postgres.database import Database
from worker.postgres.ledger.failures import PostgresFailures, forget_healed
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.pools import LOCK_SECONDS
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.queue.dead_table import PostgresDead
from worker.postgres.reads.installation_state import read_state
from worker.telemetry.metrics import Metrics
from worker.verify.consume import Consumer
from worker.verify.own_claims import own_claim
from worker.verify.question_course import Calls
from worker.verify.replay_reply import replay_dead_reply

RULES = Rules(accounts={PLAIN.id: PLAIN}, checks=Checks(), public_url="https://pay.example")
FAULT = """
    CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'a fault' USING errcode = 'check_violation'; END $$;
    CREATE TRIGGER fault BEFORE INSERT OR UPDATE ON facts FOR EACH ROW EXECUTE FUNCTION fault()
"""


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    with capture_logs() as logged:
        yield logged


async def opened(database: Database, drive: Drive | None = None) -> Payment:
    payment = replace((drive or Drive()).new(PLAIN), opened_at=database.clock.now(), expires_at=database.clock.now())
    payment = replace(payment, expires_at=payment.opened_at + timedelta(minutes=30))

    async def call(_: Payment) -> Opened:
        return Opened(session_id=f"S-{payment.id}", checkout_url="https://gateway.example/pay")

    return await open_payment(PostgresLedger(database), RULES, payment, {}, call)


class Counted(Struct):
    """One implementation: its counts, a payment that it knows, and how an hour passes."""

    failures: Failures
    payment_id: str
    pass_an_hour: Callable[[], Awaitable[None]]


@pytest.fixture(params=["memory", "postgres"])
async def counted(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Counted]:
    if request.param == "memory":
        drive = Drive()
        payment_id = await drive.open(PLAIN)

        async def advance() -> None:
            drive.clock.advance(timedelta(hours=1, seconds=1))

        yield Counted(FakeFailures(drive.ledger), payment_id, advance)
        return
    payment = await opened(database)

    async def move() -> None:
        await database.execute(
            "UPDATE failures SET first_at = first_at - interval '3601 s', last_at = last_at - interval '3601 s'"
        )

    yield Counted(PostgresFailures(database), payment.id, move)


class TestCounting:
    async def test_each_is_counted_with_its_reason_and_one_without_leaves_the_last(self, counted: Counted) -> None:
        count = partial(counted.failures.count, counted.payment_id, PLAIN.id)
        first = await count("ValueError at a:1")
        assert first is not None
        assert (first.failures, first.reason, first.stopped_at) == (1, "ValueError at a:1", None)
        second = await count(None)
        assert second is not None
        assert (second.failures, second.reason, second.first_at) == (2, "ValueError at a:1", first.first_at)
        excused = await count(None, -1)
        assert excused is not None
        assert excused.failures == 1

    async def test_an_hour_without_one_begins_anew_but_not_for_what_was_stopped(self, counted: Counted) -> None:
        count = partial(counted.failures.count, counted.payment_id, PLAIN.id)
        await count("a")
        await count("a")
        await counted.pass_an_hour()
        anew = await count("a")
        assert anew is not None
        assert anew.failures == 1
        await counted.failures.stop(counted.payment_id, RULES.checks)
        await counted.pass_an_hour()
        stopped = await count("a")
        assert stopped is not None
        assert stopped.failures == 2
        assert stopped.stopped_at is not None

    @pytest.mark.parametrize(("payment_id", "account"), [("", "other"), ("pay_\x00", PLAIN.id), ("x", PLAIN.id)])
    async def test_nothing_is_counted_of_what_the_account_does_not_have(
        self, counted: Counted, payment_id: str, account: str
    ) -> None:
        assert await counted.failures.count(payment_id or counted.payment_id, account, "a") is None

    async def test_what_is_forgotten_is_counted_from_one(self, counted: Counted) -> None:
        await counted.failures.count(counted.payment_id, PLAIN.id, "a")
        await counted.failures.forget(counted.payment_id)
        again = await counted.failures.count(counted.payment_id, PLAIN.id, "a")
        assert again is not None
        assert again.failures == 1


async def test_one_that_is_pending_is_looked_at_after_a_day_until_we_give_up_and_a_closed_one_never(
    database: Database,
) -> None:
    payment, failures = await opened(database), PostgresFailures(database)

    async def looked_at(change: str) -> tuple[timedelta | None, object]:
        await database.execute(f"UPDATE payments SET lease_until = now(), {change}")
        await failures.stop(payment.id, RULES.checks)
        (row,) = await database.fetch("SELECT next_check_at - now() AS after, lease_until FROM payments")
        return row["after"], row["lease_until"]

    after, lease = await looked_at("opened_at = opened_at")
    assert after is not None
    assert (timedelta(hours=23) < after <= timedelta(days=1), lease) == (True, None)
    assert await looked_at("opened_at = now() - interval '6 days 1 hour'") == (None, None)
    assert await looked_at("opened_at = now(), status = 'expired'") == (None, None)


class Till:
    """A gateway that answers paid."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ask(
        self, account: Account, question: Question, expected: Expected, calls: Calls, *, asked_at: Any
    ) -> QuestionOutcome:
        self.asked.append(expected.payment_id)
        calls.made += 1
        return answered(about(account, question, expected, asked_at), Status.COMPLETED)


async def test_a_fault_from_end_to_end_and_its_mending(database: Database, logged: list[Any]) -> None:
    """The reply cannot be recorded; half a minute at a time is skipped. Then the fault is mended and it is replayed."""
    await database.execute(FAULT)
    payment = await opened(database)
    bus, till, clock = PostgresBus(database), Till(), database.clock
    gateways: Any = till
    failures = PostgresFailures(database)
    consumer = Consumer(bus, PostgresLedger(database), FakeTurns(), RULES, gateways, failures, clock, Metrics())
    working = asyncio.create_task(consumer.run())
    try:
        for asked in range(1, FAILURES_BEFORE_STOP + 1):
            await bus.publish([own_claim(Source.OPERATOR, payment.id, PLAIN.id, "fake", clock.now())])

            async def failed(so_often: int = asked) -> bool:
                rows = await database.fetch("SELECT FROM failures WHERE failures = $1", so_often)
                return bool(rows) and [one["event"] for one in logged].count("reply.failed") == so_often

            await until(failed, what="a reply that cannot be recorded")
            await database.execute("UPDATE failures SET first_at = first_at - interval '61 s'")
        await bus.publish([own_claim(Source.OPERATOR, payment.id, PLAIN.id, "fake", clock.now())])

        async def stopped() -> bool:
            return bool(await database.fetch("SELECT FROM failures WHERE stopped_at IS NOT NULL"))

        await until(stopped, what="an end of the asking")
    finally:
        consumer.stop()
        await asyncio.wait_for(working, 10)
    (row,) = await database.fetch("SELECT * FROM payments")
    assert (row["status"], row["hold"]) == (Status.PENDING, Hold.UNRESOLVED)
    assert row["next_check_at"] - clock.now() > timedelta(hours=23)
    types = [row["type"] for row in await database.fetch("SELECT type FROM events ORDER BY version")]
    assert types == ["payment.opened", "payment.held"]
    assert (await read_state(database, [PLAIN], [])).stopped == {"fake": 1}

    dead = PostgresDead(database, partial(replay_dead_reply, database, RULES))
    (letter,) = await list_all(dead)
    assert (letter.kind, letter.payment_id, letter.provider, letter.unreadable) == ("reply", payment.id, "fake", None)
    assert "CheckViolationError" in letter.reason
    with pytest.raises(NotReplayed, match="it fails still"):
        await replay(dead)
    await database.execute("DROP TRIGGER fault ON facts")
    await replay(dead)
    types = [row["type"] for row in await database.fetch("SELECT type FROM events ORDER BY version")]
    assert types == ["payment.opened", "payment.held", "payment.completed"]
    assert await list_all(dead) == []
    assert (await read_state(database, [PLAIN], [])).stopped == {}


async def replay(dead: PostgresDead) -> None:
    async with aclosing(dead.read()) as reading:
        async for opened in reading:
            await dead.replay(opened, RECORD)


async def test_an_equal_reply_is_kept_once_and_another_beside_it(database: Database) -> None:
    drive, failures = Drive(), PostgresFailures(database)
    payment_id = await drive.open(PLAIN)
    (assigned,) = await drive.take(drive.claim(payment_id, source=Source.OPERATOR))
    for status in (Status.COMPLETED, Status.COMPLETED, Status.PENDING):
        await failures.keep(*letter_of(drive.reply(assigned, answered(assigned, status)), PLAIN), "a reason")
    assert len(await list_all(PostgresDead(database))) == 2


async def test_what_was_recorded_since_by_whomever_is_stopped_no_more(database: Database) -> None:
    payment, failures = await opened(database), PostgresFailures(database)
    await failures.count(payment.id, PLAIN.id, "a")
    await failures.stop(payment.id, RULES.checks)
    await forget_healed(database, 10)
    assert (await read_state(database, [PLAIN], [])).stopped == {"fake": 1}
    await database.execute("UPDATE payments SET asked_at = clock_timestamp()")
    assert (await read_state(database, [PLAIN], [])).stopped == {}
    await forget_healed(database, 10)
    assert await database.fetch("SELECT FROM failures") == []


async def test_a_locked_payment_holds_up_no_other_of_its_gateway(database: Database) -> None:
    """Locks are waited for twice, once together and once for each payment, but not once for every claim."""
    drive = Drive()
    locked, other = await opened(database, drive), await opened(database, drive)
    bus, till, clock = PostgresBus(database), Till(), database.clock
    gateways: Any = till
    failures = PostgresFailures(database)
    consumer = Consumer(bus, PostgresLedger(database), FakeTurns(), RULES, gateways, failures, clock, Metrics())
    ids = [*[locked.id] * 4, other.id]
    await bus.publish([own_claim(Source.OPERATOR, one, PLAIN.id, "fake", clock.now()) for one in ids])
    async with database.connection() as connection, connection.transaction():
        await connection.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", locked.id)
        working = asyncio.create_task(consumer.run())

        async def told() -> bool:
            rows = await database.fetch("SELECT payment_id FROM events WHERE type = 'payment.completed'")
            return [row["payment_id"] for row in rows] == [other.id]

        async def left() -> bool:
            rows = await database.fetch("SELECT attempts FROM queue")
            return [row["attempts"] for row in rows] == [0] * 4

        await until(told, what="the end of the other", seconds=2 * LOCK_SECONDS)
        await until(left, what="the claims left for later", seconds=2 * LOCK_SECONDS)
    await database.execute("UPDATE queue SET available_at = clock_timestamp()")
    bus.wake(["fake"])

    async def both() -> bool:
        return len(await database.fetch("SELECT FROM events WHERE type = 'payment.completed'")) == 2

    await until(both, what="the end of the locked payment", seconds=2 * LOCK_SECONDS)
    consumer.stop()
    await asyncio.wait_for(working, 10)


async def test_counting_waits_for_nobody_who_holds_the_payment(database: Database) -> None:
    payment = await opened(database)
    async with database.connection() as connection, connection.transaction():
        await connection.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", payment.id)
        assert await asyncio.wait_for(PostgresFailures(database).count(payment.id, PLAIN.id, "a"), 2)
