"""The state metrics over full tables: cheap, read at most once in a while, and never healthy by default."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry

from schemas.secret import Secret
from tests.fakes.providers import PLAIN, account
from tests.integration.old_snapshot import old_snapshot
from worker.config import Webhook
from worker.config.webhook_endpoints import endpoint_of
from worker.ops.state_metrics import StateMetrics
from worker.postgres.database import Database, connect
from worker.postgres.reads import account_state
from worker.postgres.reads import installation_state as state
from worker.postgres.watermark import START

HOOK = endpoint_of("shop", Webhook(url="https://shop.example/", secret=Secret("whsec_")))
ENDPOINT = HOOK.id
MUCH = (
    "SET session_replication_role = replica",
    """INSERT INTO payments (
           id, merchant, account, provider, reference, amount, currency, description, metadata, status, holds, version,
           late, amount_verified, refunded_amount, aliases, opened_at, expires_at, opened, completed_told, closing_told,
           hint_asks, step, execute_tries, execute_unanswered, candidates, candidate_dropped, next_check_at)
       SELECT 'pay_' || lpad(i::text, 26, '0'), 'shop', 'shop-' || i % 5, 'ipay', i::text, 100, 'BDT', '', '{}',
           CASE WHEN i % 100 < 95 THEN 'completed' ELSE 'pending' END,
           CASE WHEN i % 100 = 99 THEN '{amount_mismatch}'::text[] ELSE '{}' END, 1,
           false, true, 0, '{}', clock_timestamp() - make_interval(secs => i), clock_timestamp(), true, true, false,
           '{}', 0, 0, false, '[]', false, clock_timestamp() + interval '1 h'
       FROM generate_series(1, 20000) AS i""",
    """INSERT INTO events (id, payment_id, version, type, merchant, account, time, body, place)
       SELECT i::text, 'pay_' || lpad(i::text, 26, '0'), 1, 'payment.opened', 'shop', 'shop-1',
           clock_timestamp() - make_interval(secs => 20000 - i), '{}', i
       FROM generate_series(1, 20000) AS i""",
    "INSERT INTO relays VALUES ('rabbitmq', 19000)",
    """INSERT INTO queue (claim_id, provider, body, later)
       SELECT i::text, 'ipay', '{}', i % 2 = 0 FROM generate_series(1, 20000) AS i""",
    f"INSERT INTO endpoints (id, merchant, url, place) VALUES ('{ENDPOINT}', 'shop', 'https://shop.example/', 19000)",
    f"""INSERT INTO deliveries (endpoint, event_id, place, next_at, delivered_at)
        SELECT '{ENDPOINT}', i::text, i, CASE WHEN i > 18000 THEN clock_timestamp() END,
            CASE WHEN i <= 18000 THEN clock_timestamp() END
        FROM generate_series(1, 19000) AS i""",
)
"""These rows need no keys, and nothing here looks one up."""


WAITING = (
    """ALTER TABLE proposals DISABLE TRIGGER ALL""",
    """INSERT INTO proposals (id, payment_id, merchant, version, basis, status, reason, proposed_by, proposed_via,
           proposed_at, state, decided_by, decided_at)
       SELECT i::text, i::text, 'shop', 1, '', 'completed', 'x', 'a', 'console', clock_timestamp() - interval '1 h',
           CASE i WHEN 1 THEN 'open' ELSE 'approved' END, CASE i WHEN 2 THEN 'b' END,
           CASE i WHEN 2 THEN clock_timestamp() - interval '10 min' END
       FROM generate_series(1, 2) AS i""",
    """INSERT INTO statement_uploads (id, merchant, account, name, sha256, size, uploaded_by, wanted, wanted_at)
       SELECT 'upl_' || lpad(i::text, 26, '0'), 'shop', 'a', 'a', 'a', i, 'a', 'run',
           clock_timestamp() - make_interval(mins => 5 * i) FROM generate_series(1, 3) AS i""",
)


@pytest.fixture
async def crowded(database: Database) -> Database:
    async with database.connection() as connection:
        for statement in MUCH:
            await connection.execute(statement)
        await connection.execute("RESET session_replication_role")
        await connection.execute("ANALYZE")
    return database


@pytest.mark.parametrize(
    ("query", "about"),
    [
        (state._HELD, ()),
        (account_state._ACCOUNTS, (["shop-0", "shop-1"], [START] * 2, [START] * 2)),
        (state._QUEUE, (["ipay", "moneybag"], [False, True], [START] * 2)),
        (state._LOG, ("rabbitmq",)),
        (state._STOPPED, ()),
        (state._ENDPOINTS, ([ENDPOINT], [START])),
        (state._ORPHANS, ([],)),
        (state._DECISIONS, ()),
    ],
)
async def test_no_table_that_grows_is_read_as_a_whole(crowded: Database, query: str, about: tuple[object, ...]) -> None:
    plan = "\n".join(row[0] for row in await crowded.fetch(f"EXPLAIN {query}", *about))
    assert not re.search(r"Seq Scan on (payments|events|queue|deliveries)", plan), plan


async def test_what_waits_is_told_with_its_age_and_counted_up_to_a_bound(crowded: Database) -> None:
    accounts = [account(f"shop-{number}", PLAIN.provider.capabilities) for number in range(5)]
    found = await state.read_state(crowded, accounts, [HOOK])
    assert found.held == {("ipay", "amount_mismatch"): 200}
    assert max(one.unresolved for one in found.accounts) == pytest.approx(19_998, abs=60)
    assert found.unpublished == pytest.approx(999, abs=60)
    (endpoint,) = found.endpoints
    assert (endpoint.waiting, endpoint.given_up, endpoint.disabled, endpoint.breaker_open) == (1000, 0, False, False)
    assert endpoint.oldest == pytest.approx(1999, abs=60)
    assert found.orphans == {}
    assert (await state.read_state(crowded, accounts, [])).orphans == {ENDPOINT: 1000}
    assert sum(found.queued.values()) <= state.MOST


async def test_what_two_people_or_a_statement_wait_for_is_told_with_its_age(database: Database) -> None:
    none = await state.read_state(database, [], [])
    assert (none.open_proposal, none.approved_proposal, none.statement) == (0, 0, 0)
    for statement in WAITING:
        await database.execute(statement)
    found = await state.read_state(database, [], [])
    told = (found.open_proposal, found.approved_proposal, found.statement)
    assert told == pytest.approx((3600, 600, 900), abs=60)
    await database.execute("UPDATE statement_uploads SET beaten_at = clock_timestamp() WHERE size = 1")
    assert (await state.read_state(database, [], [])).statement == 0, (
        "a process is at work; the other has its turn next"
    )


async def test_the_oldest_snapshot_is_told_in_transactions(dsn: str, database: Database) -> None:
    async with old_snapshot(dsn):
        for _ in range(60):
            await database.execute("SELECT pg_current_xact_id()")
        assert (await state.read_state(database, [], [])).snapshot >= 60
    assert (await state.read_state(database, [], [])).snapshot < 60


@pytest.mark.parametrize(("kept", "told"), [(600.0, 399.0), (10_000.0, 0.0), (None, 0.0)])
async def test_events_that_the_broker_holds_back_are_told_also_without_a_broker(
    crowded: Database, kept: float | None, told: float
) -> None:
    """The cursor of a broker that is used no more stands still."""
    state_metrics = StateMetrics(crowded, None, [], [], 60, 10**9, kept)
    assert await state_metrics.refresh()
    registry = CollectorRegistry()
    registry.register(state_metrics)
    found = registry.get_sample_value("payproof_events_held_back_seconds")
    assert found == pytest.approx(told, abs=60)


async def test_it_is_read_once_however_often_it_is_scraped(database: Database) -> None:
    state_metrics = StateMetrics(database, None, [account("shop-a", PLAIN.provider.capabilities)], [], 60, 10**9)
    assert await state_metrics.refresh()
    first = state_metrics._state
    assert await state_metrics.refresh()
    assert state_metrics._state is first


async def test_without_the_database_nothing_is_told_of_it_but_that_it_is_away(dsn: str) -> None:
    async with connect(dsn) as database:
        state_metrics = StateMetrics(database, None, [account("shop-a", PLAIN.provider.capabilities)], [], 60, 10**9)
        assert await state_metrics.refresh()
        state_metrics._until = 0  # as if that reading had expired
    assert not await state_metrics.refresh()
    registry = CollectorRegistry()
    registry.register(state_metrics)
    assert registry.get_sample_value("payproof_database_up") == 0
    assert registry.get_sample_value("payproof_oldest_unsequenced_event_seconds") is None
