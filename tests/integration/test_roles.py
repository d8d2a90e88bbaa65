"""The groups of schemas/sql/0009_roles.sql: what each may do, what it may not, and that every table is decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from consumers.early_claims import PER_ID
from consumers.pipeline import take_claims
from consumers.ports.openings import OpeningRefused
from tests.fakes.ledger import FakeTurns
from tests.integration.shops import CONFIG, RULES, TRACKED, Shops, serving
from tests.integration.test_kept import early
from tests.logins import LOGINS, as_user, make_logins
from tests.records import RECORD
from worker.config.shapes import Retained
from worker.postgres.archive import maintain_archive
from worker.postgres.database import Database, connect
from worker.postgres.ledger.kept_claims import forget_kept
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.ledger.rows import MOVING
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.queue.dead_table import PostgresDead
from worker.postgres.retention_runs import begin_run, end_run
from worker.postgres.server.dbmate import MigrationError
from worker.postgres.server.migrate import apply_migrations
from worker.postgres.server.schema import SchemaOlder, bring_up_to_date, expect_present, granted
from worker.retention import tasks_of

EVERYBODY = [
    "CREATE TABLE mine (n int)",
    "DROP TABLE payments",
    "TRUNCATE payments",
    "ALTER TABLE payments DISABLE TRIGGER ALL",
    "CREATE OR REPLACE FUNCTION payment_rank(status text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "UPDATE access SET reader = 'all'",
    "SELECT grant_access()",
    "DELETE FROM schema_migrations",
    "SELECT body FROM archive_default",
    "DELETE FROM archive",
    "UPDATE archive SET body = ''",
    "UPDATE payments SET account = 'other', merchant = 'other'",
    "UPDATE events SET body = ''",
    "DELETE FROM events",
    "UPDATE resolutions SET resolution = '{}'",
    "DELETE FROM resolutions",
    "DELETE FROM facts",
    "UPDATE transactions SET payment_id = ''",
    "UPDATE sessions SET payment_id = ''",
    "DELETE FROM orders",
    "UPDATE claims SET event_id = NULL",
    "DELETE FROM claims",
]
AGREED = [
    "UPDATE payments SET amount = 1",
    "UPDATE payments SET reference = 'other', order_ref = 'other'",
    "UPDATE payments SET return_url = 'https://elsewhere.example'",
]
REFUSED = {
    "ingress": [
        *EVERYBODY,
        "SELECT body FROM archive",
        "DELETE FROM transactions",
        "INSERT INTO facts VALUES ('pay', 'key', '{}')",
        "UPDATE facts SET fact = '{}'",
        "INSERT INTO claims (id, account, received_at) VALUES ('a', 'b', now())",
        "INSERT INTO archive VALUES ('a', now(), NULL, '')",
        "SELECT archive_keep('90 days')",
        "UPDATE entries SET data = '{}'",
        "UPDATE events SET place = 1",
        "SELECT body FROM queue",
        "DELETE FROM queue",
        "INSERT INTO kept (claim_id, account, provider, signed) VALUES ('a', 'b', 'c', true)",
        "SELECT body FROM dead",
        "INSERT INTO dead (claim_id, provider, body, reason) VALUES ('a', 'b', '', '')",
        "UPDATE allowances SET calls = 0",
        "UPDATE relays SET place = 1",
        "SELECT url FROM endpoints",
        "UPDATE deliveries SET next_at = now()",
        "SELECT last_attempt FROM deliveries",
    ],
    "worker": [
        *EVERYBODY,
        "SELECT body FROM archive",
        *AGREED,
        "INSERT INTO payments (id) VALUES ('pay')",
        "DELETE FROM payments",
        "INSERT INTO resolutions (payment_id, at, resolution) VALUES ('pay', now(), '{}')",
        "SELECT request FROM openings",
        "INSERT INTO openings VALUES ('pay', '{}')",
        "SELECT body FROM idempotency",
        "DELETE FROM idempotency",
        "DELETE FROM sessions",
        "UPDATE claims SET payment_id = NULL",
    ],
    "reader": [
        *EVERYBODY,
        "SELECT body FROM archive",
        *AGREED,
        "DELETE FROM transactions",
        "SELECT archive_keep('90 days')",
        "SELECT token FROM tokens",
        "SELECT request FROM openings",
        "SELECT body FROM idempotency",
        "SELECT body FROM queue",
        "SELECT body FROM kept",
        "SELECT body FROM dead",
        "UPDATE payments SET status = 'completed'",
        "INSERT INTO queue (claim_id, provider, body) VALUES ('a', 'b', '')",
        "DELETE FROM dead",
        "INSERT INTO facts VALUES ('pay', 'key', '{}')",
        "SELECT token_hash FROM console_sessions",
        "SELECT id_hash FROM console_confirmations",
        "SELECT last_attempt FROM deliveries",
        "SELECT resend_delivery('wh', 'pay')",
    ],
    "console": [
        *EVERYBODY,
        *AGREED,
        "UPDATE payments SET status = 'completed'",
        "INSERT INTO facts VALUES ('pay', 'key', '{}')",
        "DELETE FROM entries",
        "UPDATE events SET body = ''",
        "SELECT token FROM tokens",
        "SELECT request FROM openings",
        "SELECT body FROM idempotency",
        "SELECT body FROM queue",
        "DELETE FROM queue",
        "DELETE FROM archive",
        "DELETE FROM console_codes",
        "UPDATE deliveries SET delivered_at = now(), next_at = NULL",
        "UPDATE deliveries SET attempts = 0",
        "UPDATE deliveries SET answer = 'it answered 200'",
        "DELETE FROM deliveries",
        "UPDATE console_confirmations SET asked_at = clock_timestamp()",
    ],
}


@pytest.fixture
async def logins(dsn: str) -> dict[str, str]:
    """The URL of the test's database for each of the users."""
    await make_logins(dsn)
    return {group: as_user(dsn, login) for group, login in LOGINS.items()}


@pytest.fixture
async def ingress(logins: dict[str, str]) -> AsyncIterator[Database]:
    async with connect(logins["ingress"], size=4) as database:
        yield database


@pytest.fixture
async def worker(logins: dict[str, str]) -> AsyncIterator[Database]:
    async with connect(logins["worker"], size=4) as database:
        yield database


@pytest.fixture
async def shop(ingress: Database) -> AsyncIterator[Shops]:
    """The merchant API as the user of ingress."""
    async with serving(ingress) as shops:
        yield shops


@pytest.mark.parametrize("signed", [True, False])
async def test_workers_keep_what_comes_before_its_payment_and_ingress_has_it_heard(
    shop: Shops, worker: Database, signed: bool
) -> None:
    kept = PostgresLedger(worker)
    for number in range(PER_ID + 1):
        await take_claims(
            kept, RULES, [early(shop, f"claim-{number}", signed=signed, event_id=f"E-{number}")], FakeTurns()
        )
    wish = {**TRACKED, "account": "shop-bag", "session_id": "TR-1"}
    assert (await shop.post("/v1/payments/track", wish)).status == 201
    heard = await PostgresBus(worker).lease("moneybag", 100)
    assert len(heard) == PER_ID + signed
    taken = await take_claims(kept, RULES, [delivery.claim for delivery in heard], FakeTurns())
    assert len(taken.questions) == 1
    assert await forget_kept(worker, 10) == 0


async def test_what_a_group_must_not_do_is_refused(logins: dict[str, str], database: Database) -> None:
    now = database.clock.now()
    partition = f"SELECT body FROM archive_{now:%Y_%m}"
    for group, url in logins.items():
        connection = await asyncpg.connect(url)
        try:
            for statement in [*REFUSED[group], partition]:
                try:
                    await connection.execute(statement)
                except asyncpg.InsufficientPrivilegeError:
                    continue
                pytest.fail(f"{group} may: {statement}")
        finally:
            await connection.close()


async def test_ingress_changes_nothing_that_was_agreed_on_but_of_money_nobody_had_announced(shop: Shops) -> None:
    await shop.opened()
    for statement in AGREED:
        with pytest.raises(asyncpg.CheckViolationError, match="would change what was agreed on"):
            await shop.database.execute(statement)
    await shop.database.execute("UPDATE payments SET unexpected_at = now()")
    await shop.database.execute("UPDATE payments SET amount = 1")
    await shop.database.execute("UPDATE payments SET adopted_at = now()")
    with pytest.raises(asyncpg.CheckViolationError):
        await shop.database.execute("UPDATE payments SET amount = 2")


async def test_what_cannot_be_kept_apart_is_known(logins: dict[str, str]) -> None:
    """Ingress opens and resolves payments, so it can write their status; the threat model says so."""
    for group in ("ingress", "worker"):
        connection = await asyncpg.connect(logins[group])
        try:
            await connection.execute("UPDATE payments SET status = 'completed' WHERE false")
        finally:
            await connection.close()


async def test_every_table_has_a_decision_and_every_decision_a_table(database: Database) -> None:
    """A migration that adds a table also adds its row to `access`, and then runs grant_access().

    So does one that adds a sequence that no column owns.
    """
    tables = await database.fetch(
        """SELECT relname FROM pg_class
           WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
           AND relname !~ '^archive_[0-9]{4}_[0-9]{2}$'
           AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'i' AND relkind = 'S')"""
    )
    decided = await database.fetch("SELECT relation FROM access")
    assert {row["relname"] for row in tables} == {row["relation"] for row in decided}


async def test_nobody_holds_what_was_not_decided(database: Database) -> None:
    rows = await database.fetch(
        """SELECT table_name, grantee, privilege_type FROM information_schema.role_table_grants
           WHERE table_schema = current_schema() AND (grantee = 'PUBLIC' OR grantee LIKE 'payproof\\_%')"""
    )
    decided = {row["relation"]: row for row in await database.fetch("SELECT * FROM access")}
    assert rows
    for row in rows:
        words = decided[row["table_name"]][row["grantee"].removeprefix("payproof_")]
        assert row["privilege_type"].lower() in words, dict(row)
    made = await maintain_archive(database, timedelta(days=90))
    assert made.made, "later partitions are closed to every group too"
    rows = await database.fetch(
        """SELECT relname FROM pg_class CROSS JOIN unnest($1::text[]) AS g (name)
           WHERE relispartition AND relkind = 'r'
           AND has_table_privilege('payproof_' || g.name, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')""",
        list(LOGINS),
    )
    assert not rows


@pytest.mark.parametrize("group", ["ingress", "worker"])
async def test_all_that_moves_of_a_payment_may_be_moved(database: Database, group: str) -> None:
    for column in MOVING:
        allowed = "SELECT has_column_privilege($1, 'payments', $2, 'UPDATE') AS allowed"
        (row,) = await database.fetch(allowed, f"payproof_{group}", column)
        assert row["allowed"], column


async def test_ingress_opens_refuses_repeats_tracks_and_reads(shop: Shops) -> None:
    opened = await shop.opened(reference="one", order="order")
    assert (await shop.open(reference="one")).status == 409
    assert (await shop.open(reference="two", key="key")).status == 201
    assert (await shop.open(reference="two", key="key")).status == 201
    shop.checkout.script(OpeningRefused(message="no"))
    assert (await shop.open(reference="three")).status == 422
    for path in ("", f"/{opened['payment_id']}", f"/{opened['payment_id']}/timeline"):
        assert (await shop.get(f"/v1/payments{path}")).status == 200
    assert (await shop.get("/v1/events")).status == 200
    assert (await shop.post(f"/v1/payments/{opened['payment_id']}/verify", {})).status == 202
    assert await PostgresBus(shop.database).depths() == {"onepaybd": 1}
    for task in tasks_of(CONFIG):
        if task.role == "ingress":
            await task.delete_batch(shop.database, 10)
            assert await begin_run(shop.database, task.name, timedelta(hours=1))
            await end_run(shop.database, task.name)


async def test_a_worker_puts_aside_replays_and_keeps_the_archive(worker: Database, database: Database) -> None:
    bus = PostgresBus(worker)
    await bus.dead_letter_raw("claim", "ipay", b"{}", "unreadable")
    dead = PostgresDead(worker)
    async for opened in dead.read():
        await dead.replay(opened, RECORD)
    assert await bus.depths() == {"ipay": 1}
    kept = await maintain_archive(worker, timedelta(days=90))
    assert kept.made
    day = 86_400
    for task in tasks_of(replace(CONFIG, retention=Retained(events=30 * day, payments=366 * day))):
        if task.role == "consume":
            assert await task.delete_batch(worker, 10) == 0, task.name
            assert await begin_run(worker, task.name, timedelta(hours=1))
            await end_run(worker, task.name)
    taken_keys = await database.fetch(
        "SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relispartition"
    )
    assert [row["owner"] for row in taken_keys] == ["payproof"], "partitions made by a worker are the owner's too"


async def test_each_group_sees_that_the_schema_is_present(logins: dict[str, str]) -> None:
    for url in logins.values():
        assert await bring_up_to_date(url) == ()
        await expect_present(url)


async def test_whoever_may_not_migrate_is_told_who_has_to(logins: dict[str, str], database: Database) -> None:
    await database.execute("DELETE FROM schema_migrations WHERE version = '0009'")
    with pytest.raises(SchemaOlder, match=r"without 0009.*run `payproof migrate` as payproof"):
        await bring_up_to_date(logins["worker"])
    stranger = as_user(next(iter(logins.values())).replace(LOGINS["ingress"], "payproof"), "app_stranger")
    await database.execute("CREATE ROLE app_stranger LOGIN")
    try:
        with pytest.raises(MigrationError, match="make it a member of payproof_ingress"):
            await bring_up_to_date(stranger)
    finally:
        await database.execute("DROP ROLE app_stranger")


async def test_any_number_may_grant_while_the_archive_is_kept(database: Database) -> None:
    """Every pod migrates before it starts."""
    jobs = [granted(database) if n % 2 else maintain_archive(database, timedelta(days=90)) for n in range(10)]
    told = await asyncio.gather(*jobs)
    assert [one for one in told if isinstance(one, list)] == [[]] * 5


async def test_where_roles_cannot_be_created_the_rest_is_migrated_and_grants_follow(dsn: str) -> None:
    """The owner of the new database is an ordinary user, and one of the groups is missing from the server."""
    admin = await asyncpg.connect(dsn)
    try:
        await admin.execute("CREATE ROLE plain_owner LOGIN CREATEDB")
        await admin.execute("ALTER ROLE payproof_reader RENAME TO reader_set_aside")
        url = as_user(dsn, "plain_owner").replace("/test_", "/plain_")
        try:
            assert "0009_roles.sql" in await apply_migrations(url)
            async with connect(url, size=2) as database:
                assert await granted(database) == ["payproof_reader"]
        finally:
            await admin.execute("ALTER ROLE reader_set_aside RENAME TO payproof_reader")
        async with connect(url, size=2) as database:
            assert await granted(database) == []
            reads = "SELECT has_table_privilege('payproof_reader', 'payments', 'SELECT') AS reads"
            assert (await database.fetch(reads))[0]["reads"]
            assert (await maintain_archive(database, timedelta(days=90))).dropped == 0
    finally:
        await admin.close()
