"""The benchmark's payments in the tables: SQL and Python give each payment the same ids."""

from __future__ import annotations

import asyncpg

from tests.bench.installation import open_payments
from tests.bench.multiplied import multiply
from tests.bench.numbered import OLDEST, account_of, number_in, payment_id, payment_id_sql, reference, session_id

SETTLED = 3_000


async def test_payments_are_opened_under_the_ids_that_their_claims_name(dsn: str) -> None:
    first, last = 20_000_001, 20_000_100
    await open_payments(dsn, first, last)
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT id, account, reference, order_ref, session_id FROM payments")
        sessions = await connection.fetch("SELECT account, session_id, payment_id FROM sessions")
        events = await connection.fetch("SELECT payment_id, id, place FROM events ORDER BY place")
        told = await connection.fetchval("SELECT place FROM relays WHERE name = 'rabbitmq'")
    finally:
        await connection.close()
    numbers = range(first, last + 1)
    assert {tuple(row) for row in rows} == {
        (payment_id(n), account_of(n), reference(n), reference(n), session_id(n)) for n in numbers
    }
    assert {tuple(row) for row in sessions} == {(account_of(n), session_id(n), payment_id(n)) for n in numbers}
    assert [tuple(row) for row in events] == [
        (payment_id(n), f"{payment_id(n)}.1", place) for place, n in enumerate(numbers, 1)
    ]
    assert told == len(numbers)


async def test_settled_payments_are_copied_under_ids_of_their_own(dsn: str) -> None:
    """Every table names the new payment only: no row keeps the id that it was copied with."""
    await open_payments(dsn, OLDEST - 3, OLDEST - 1)
    await multiply(dsn, SETTLED, print)
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT id, account, reference, session_id, checkout_url FROM payments")
        sessions = await connection.fetch("SELECT account, session_id, payment_id FROM sessions")
        entries = await connection.fetch("SELECT payment_id, data ->> 'id' AS event FROM entries")
        bodies = await connection.fetch("SELECT payment_id, convert_from(body, 'UTF8') AS body FROM events")
    finally:
        await connection.close()
    numbers = range(OLDEST, OLDEST + SETTLED)
    assert {tuple(row) for row in rows} == {
        (payment_id(n), account_of(n), reference(n), session_id(n), f"https://gateway.example/pay/{session_id(n)}")
        for n in numbers
    }
    assert {tuple(row) for row in sessions} == {(account_of(n), session_id(n), payment_id(n)) for n in numbers}
    assert {tuple(row) for row in entries} == {(payment_id(n), f"{payment_id(n)}.1") for n in numbers}
    assert len(bodies) == SETTLED
    assert all(f'"id":"{payment_id(number_in(row["payment_id"]))}.1"' in row["body"] for row in bodies)


async def test_sql_calls_payments_of_every_week_as_python_does(dsn: str) -> None:
    numbers = [1, OLDEST - 1, *(OLDEST + week * 302_400 + more for week in (0, 1, 35, 36, 1000) for more in (-1, 0, 7))]
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(f"SELECT {payment_id_sql()} AS id FROM unnest($1::bigint[]) AS n", numbers)
    finally:
        await connection.close()
    assert [row["id"] for row in rows] == [payment_id(n) for n in numbers]
