"""What only the tables can guarantee of a revision, and the wakeups of a write."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, get_type_hints

import asyncpg
import pytest
from msgspec.structs import replace

from consumers.ports.readings import Reading
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.ports.writes import Write
from schemas.changes import Change
from schemas.payments import Candidate, Payment
from schemas.words import EventType, Hold, Risk, Status
from tests.integration.conformance_ledger import (
    NOON,
    SECONDS,
    Left,
    a_claim,
    a_fact,
    a_payment,
    an_entry,
    keys,
    told,
)
from tests.integration.wire import wire
from tests.processes import until
from worker.postgres.database import Database, connect
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.ledger.rows import MOVING
from worker.postgres.wakeups import Wakeup

Changes = list[tuple[Payment, Change]]
COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'payments'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""
END_WHO_WAITS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
TOUCHED = """
    SELECT n_tup_upd AS updated, n_tup_hot_upd AS in_place, seq_scan AS read_whole
    FROM pg_stat_user_tables WHERE relname = 'payments'
"""
READ = """
    SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)
"""
CROWD = """
    WITH many AS (
        SELECT r.* FROM payments p CROSS JOIN generate_series(1, $1) AS n
        CROSS JOIN LATERAL jsonb_populate_record(p, jsonb_build_object(
            'id', 'pay_' || lpad('x' || n, 26, '0'), 'reference', 'many-' || n, 'order_ref', 'many-' || n,
            'session_id', 'many-' || n, 'transaction_id', 'many-' || n)) AS r
        WHERE p.id = (SELECT min(id) FROM payments)),
    rows AS (INSERT INTO payments ({columns}) SELECT {columns} FROM many),
    a AS (INSERT INTO sessions SELECT account, session_id, id FROM many),
    b AS (INSERT INTO transactions SELECT account, transaction_id, id FROM many),
    c AS (INSERT INTO orders (merchant, order_ref, paid_by, executing) SELECT merchant, order_ref, id, id FROM many),
    d AS (INSERT INTO claims (id, account, event_id, received_at) SELECT id, account, id, opened_at FROM many),
    e AS (INSERT INTO facts SELECT id, 'key', '{{}}' FROM many),
    f AS (INSERT INTO resolutions (payment_id, at, resolution) SELECT id, opened_at, '{{}}' FROM many)
    INSERT INTO entries (payment_id, at, kind, data) SELECT id, opened_at, 'answer', '{{}}' FROM many
"""
OTHER = {
    "status": Status.COMPLETED,
    "holds": (Hold.AMOUNT_MISMATCH,),
    "refunded_amount": Decimal("1.50"),
    "accepted_amount": Decimal("90.00"),
    "fee": Decimal("1.2345"),
    "risk": Risk.HIGH,
    "schedule": "refunds",
    "returned_by": "own",
    "execute_state": "kept",
    "candidates": (Candidate(transaction_id="T-1", signed=True, heard_at=NOON),),
}
OF_TYPE: Mapping[Any, Any] = {
    int: 3,
    int | None: 3,
    str | None: "other",
    datetime: NOON + timedelta(seconds=1),
    datetime | None: NOON,
    tuple[str, ...]: ("other",),
    tuple[datetime, ...]: (NOON,),
}


@pytest.fixture
def changes() -> Changes:
    return []


@pytest.fixture
def ledger(database: Database, changes: Changes) -> PostgresLedger:
    return PostgresLedger(database, changed=lambda before, change: changes.append((before, change)))


@pytest.fixture
async def row(ledger: PostgresLedger) -> Payment:
    payment = a_payment()
    await ledger.create(payment, {}, timedelta(seconds=45))
    return payment


async def paid(ledger: PostgresLedger, row: Payment) -> Write:
    """The write of a payment that turned out to be paid."""
    reading = (await ledger.look([], [row.id])).readings[row.id]
    done = replace(reading.case.payment, status=Status.COMPLETED, version=1, completed_told=True, next_check_at=NOON)
    return Write(reading=reading, change=told(done, EventType.COMPLETED), claims=(a_claim(),), keys=keys(row))


async def test_a_statement_that_names_any_column_but_the_next_look_raises_the_revision(
    database: Database, row: Payment
) -> None:
    """As a program of the release before writes, which knows no revision. It also fails when a column is added."""
    columns = {record["attname"] for record in await database.fetch(COLUMNS)} - {"revision"}
    assert {"status", "lease_until", "next_check_at"} < columns
    for column in sorted(columns):
        (before,) = await database.fetch("SELECT revision FROM payments")
        await database.execute(f"UPDATE payments SET {column} = {column}")
        (after,) = await database.fetch("SELECT revision FROM payments")
        assert after["revision"] - before["revision"] == (column != "next_check_at"), column


async def test_a_write_raises_the_revision_by_one(database: Database, ledger: PostgresLedger, row: Payment) -> None:
    write = await paid(ledger, row)
    assert (await ledger.write([write])).done == {row.id}
    (found,) = await database.fetch("SELECT revision FROM payments")
    assert found["revision"] == write.reading.revision + 1


async def test_what_was_written_is_told_once_and_what_lost_is_not(
    database: Database, ledger: PostgresLedger, row: Payment, changes: Changes
) -> None:
    heard, listening = list[Wakeup](), asyncio.Event()

    async def connected() -> None:
        listening.set()

    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        task = group.create_task(database.listen(heard.append, connected=connected))
        await listening.wait()
        write = await paid(ledger, row)
        assert changes == []
        for _ in range(2):
            await ledger.write([write])
        task.cancel()
    assert changes == [(row_as_read(write), write.change)]
    assert [(one.outcomes, one.events, one.look_at) for one in heard] == [([row.id], True, NOON)]


async def test_what_a_batch_committed_is_told_even_where_its_block_fails_afterwards(
    ledger: PostgresLedger, row: Payment, changes: Changes
) -> None:
    write = await paid(ledger, row)

    async def fails() -> None:
        async with ledger.batch([row.id]) as batch:
            await batch.store([write.change])
            assert changes == []
            await batch.commit()
            raise Left

    with pytest.raises(Left):
        await fails()
    assert changes == [(row_as_read(write), write.change)]


async def test_what_was_written_under_a_lock_is_told_when_it_is_committed(
    ledger: PostgresLedger, row: Payment, changes: Changes
) -> None:
    write = await paid(ledger, row)
    async with ledger.locked([row.id]) as locked:
        assert (await locked.write([write])).done == {row.id}
        assert changes == []
    assert changes == [(row_as_read(write), write.change)]


async def test_what_was_written_under_a_lock_is_undone_by_an_exception(
    ledger: PostgresLedger, row: Payment, changes: Changes
) -> None:
    write = await paid(ledger, row)

    async def fails() -> None:
        async with ledger.locked([row.id]) as locked:
            await locked.write([write])
            raise Left

    with pytest.raises(Left):
        await fails()
    assert changes == []
    assert (await ledger.look([], [row.id])).readings[row.id] == write.reading
    assert (await ledger.write([write])).done == {row.id}


async def test_limits_are_nothing_to_wait_for_the_disk_for(database: Database, ledger: PostgresLedger) -> None:
    """Only within their own transaction: the outcome of a payment waits for the disk as before."""
    async with ledger.limits(["shop-a"]):
        pass
    async with database.connection() as connection:
        assert await connection.fetchval("SHOW synchronous_commit") == "on"


async def test_a_write_that_gives_places_is_one_statement_whatever_it_writes(dsn: str, ledger: PostgresLedger) -> None:
    """That statement wakes the others.

    A write that gives no positions wakes them by a statement that waits for no disk.
    """
    async with wire(dsn) as between, connect(between.dsn, size=1) as far:
        near = PostgresLedger(far, sequenced=lambda _: None)
        for expected in (None, 1):  # the first asks for the types in the database
            payment = a_payment(order_ref=f"b-{expected}")
            await ledger.create(payment, {}, timedelta(seconds=45))
            write = await paid(ledger, payment)
            claimed = keys(payment, transactions=frozenset({payment.id}), sessions=frozenset({payment.id}))
            write = replace(
                write,
                change=replace(write.change, facts=(a_fact(),), entries=(an_entry(), an_entry()), order_freed=True),
                keys=claimed,
            )
            before = between.statements
            assert (await near.write([write])).done == {payment.id}
            await far.notified()
            assert expected in (None, between.statements - before)


async def test_of_a_write_whose_answer_is_lost_nobody_knows_and_it_may_be_done(
    dsn: str, ledger: PostgresLedger, row: Payment
) -> None:
    async with wire(dsn) as between, connect(between.dsn, size=1) as far:
        near = PostgresLedger(far)
        assert (await near.write([plain(await paid(ledger, row))])).done == {row.id}
        write = await paid(ledger, row)
        between.lose_answers()
        with pytest.raises(DatabaseUnavailable):
            await near.write([write])
    reading = (await ledger.look(write.claims, [row.id])).readings[row.id]
    assert reading.case.payment == write.change.payment
    assert (await ledger.write([write])).done == frozenset(), "it is not written twice"


async def test_a_write_that_waits_while_its_session_ends_is_nobodys_and_nothing_is_left(
    database: Database, ledger: PostgresLedger, row: Payment
) -> None:
    write = await paid(ledger, row)
    async with asyncio.timeout(SECONDS), ledger.locked([row.id]):
        waiting = asyncio.create_task(ledger.write([write]))

        async def ended() -> bool:
            return bool(await database.fetch(END_WHO_WAITS))

        await until(ended, what="a write that waits", seconds=SECONDS)
        with pytest.raises(DatabaseUnavailable):
            await waiting
    looked = await ledger.look(write.claims, [row.id])
    assert (looked.readings[row.id], set(looked.admissions.values())) == (write.reading, {"new"})


async def test_writes_find_payments_by_their_keys_and_leave_the_indexes_of_what_stays_as_it_was(
    dsn: str, database: Database, ledger: PostgresLedger
) -> None:
    """Planned while the table is nearly empty. A row is written without its indexes where no indexed column changes."""
    payments = [a_payment() for _ in range(3)]
    for payment in payments:
        await ledger.create(payment, {}, timedelta(seconds=45))
    async with connect(dsn, size=1) as alone:
        near = PostgresLedger(alone)
        (before,) = await database.fetch(TOUCHED)
        for _ in range(2):
            for payment in payments:
                reading = (await near.look([], [payment.id])).readings[payment.id]
                changed = replace(reading.case.payment, asked_at=NOON + timedelta(seconds=reading.revision), step=1)
                change = Change(payment=changed, facts=(a_fact(),), entries=(an_entry(),))
                write = Write(reading=reading, change=change, claims=(a_claim(),), keys=keys(payment))
                assert (await near.write([write])).done == {payment.id}

    async def counted() -> bool:
        (now,) = await database.fetch(TOUCHED)
        return bool(now["updated"] - before["updated"] == 6)

    await until(counted, what="the ended session's counts", seconds=SECONDS)
    (after,) = await database.fetch(TOUCHED)
    assert after["in_place"] - before["in_place"] == 6
    assert after["read_whole"] == before["read_whole"]


async def test_what_was_planned_while_the_tables_were_empty_reads_as_little_when_they_are_full(
    dsn: str, database: Database
) -> None:
    """Looks and writes: plain, with a lost key, with a known claim, with an order let go, with a repeated answer."""
    async with connect(dsn, size=1) as alone:
        near = PostgresLedger(alone)
        for _ in range(8):  # until the plans are kept
            await all_of_it(near)
        before = await rows_read(alone, dsn)
        await all_of_it(near)
        few = await rows_read(alone, dsn) - before
        await database.execute(CROWD.format(columns=", ".join(Payment.__struct_fields__)), 3000)
        before = await rows_read(alone, dsn)
        await all_of_it(near)
        assert await rows_read(alone, dsn) - before < few + 100


async def all_of_it(ledger: PostgresLedger) -> None:
    first, second = [a_payment(order_ref="b-1") for _ in range(2)]
    for payment in (first, second):
        await ledger.create(payment, {}, timedelta(seconds=45))
    claimed = {"transactions": frozenset({first.id}), "sessions": frozenset({first.id})}
    own = keys(first, **claimed, references=frozenset({first.reference}), order_ref=first.order_ref)
    write = await paid(ledger, first)
    assert (await ledger.write([replace(write, keys=own)])).done == {first.id}
    others = keys(second, **claimed, references=frozenset({first.reference}), order_ref="b-1")
    seen = Write(reading=await sight_of(ledger, second), change=Change(payment=second), keys=keys(second))
    assert (await ledger.write([replace(seen, keys=others)])).taken.keys() == {second.id}
    assert (await ledger.write([replace(seen, claims=write.claims)])).done == frozenset()
    reading = await sight_of(ledger, first)
    back = replace(reading.case.payment, status=Status.REFUNDED, version=2, refunded_amount=first.amount)
    returned = Write(reading=reading, change=Change(payment=back, order_freed=True), keys=replace(own, returned=True))
    assert (await ledger.write([returned])).done == {first.id}
    for _ in range(2):
        reading = await sight_of(ledger, first)
        again = Change(payment=reading.case.payment, entries=(an_entry(),), repeats=True)
        assert (await ledger.write([Write(reading=reading, change=again, keys=keys(first))])).done == {first.id}


async def sight_of(ledger: PostgresLedger, payment: Payment) -> Reading:
    return (await ledger.look([], [payment.id])).readings[payment.id]


async def rows_read(database: Database, dsn: str) -> int:
    """The rows read by this connection and all others so far."""
    await database.execute("SELECT pg_stat_force_next_flush()")
    connection = await asyncpg.connect(dsn)
    try:
        read: int = await connection.fetchval(READ)
        return read
    finally:
        await connection.close()


async def test_every_column_that_moves_is_written(ledger: PostgresLedger, row: Payment) -> None:
    """A migration that adds a column makes store_payments() anew."""
    reading = (await ledger.look([], [row.id])).readings[row.id]
    types = get_type_hints(Payment)
    other = {name: OTHER.get(name, OF_TYPE.get(types[name])) for name in MOVING}
    other |= {name: not getattr(row, name) for name in MOVING if types[name] is bool}
    assert [name for name, value in other.items() if value in (None, getattr(row, name))] == []
    changed = replace(reading.case.payment, **other)
    own = keys(row, sessions=frozenset({changed.session_id}), transactions=frozenset({changed.transaction_id}))
    assert (await ledger.write([Write(reading=reading, change=Change(payment=changed), keys=own)])).done == {row.id}
    assert (await ledger.look([], [row.id])).readings[row.id].case.payment == changed


def plain(write: Write) -> Write:
    """A write of the payment as it was read, without changes, events and claims."""
    return replace(write, change=Change(payment=write.reading.case.payment), claims=())


def row_as_read(write: Write) -> Payment:
    return write.reading.case.payment
