"""Callbacks as received: encrypted, kept for a time by month, then deleted without a trace in permanent tables."""

from __future__ import annotations

import asyncio
import shutil
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

import schemas
from consumers.pipeline import take_claims
from consumers.record_replies import record_replies
from schemas.callbacks import Callback, Claim
from schemas.words import Authenticity, Source
from tests.fakes.ledger import FakeTurns
from tests.integration.shops import RULES, Shops
from worker.postgres.archive import (
    forget_callbacks,
    forget_personal_requests,
    forget_requests,
    maintain_archive,
    read_archived,
)
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.server.migrate import apply_migrations
from worker.runtime.encryption import ArchiveCipher
from worker.verify.own_claims import own_claim

KEPT = timedelta(days=90)
CIPHER = ArchiveCipher([b"k" * 32])
PHONE = "01700000000"


def claim(payment_id: str | None, received_at: datetime) -> Claim:
    callback = Callback(
        source=Source.RETURN,
        account="shop-ipay",
        method="POST",
        query=(),
        headers=(("user-agent", "gateway"),),
        body=f'{{"phone": "{PHONE}"}}'.encode(),
        received_at=received_at,
        payment_id=payment_id,
    )
    return Claim(
        id=uuid.uuid4().hex,
        account="shop-ipay",
        provider="ipay",
        source=Source.RETURN,
        authenticity=Authenticity.UNSIGNED,
        received_at=received_at,
        payment_id=payment_id,
        callback=callback,
    )


async def take_in(database: Database, *claims: Claim, cipher: ArchiveCipher = CIPHER) -> None:
    """Take claims, whose questions no gateway answers."""
    ledger = PostgresLedger(database, cipher)
    taken = await take_claims(ledger, RULES, claims, FakeTurns())
    if taken.questions:
        await record_replies(ledger, RULES, [(assigned, None) for assigned in taken.questions], database.clock.now())


async def stored(database: Database) -> list[tuple[str, str]]:
    """Where each callback is stored, by its claim."""
    rows = await database.fetch("SELECT claim_id, tableoid::regclass::text AS place FROM archive ORDER BY received_at")
    return [(row["claim_id"], row["place"]) for row in rows]


async def partitions(database: Database) -> set[str]:
    rows = await database.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'archive'::regclass"
    )
    return {row["name"] for row in rows}


def month(at: datetime) -> str:
    return f"archive_{at.astimezone(UTC):%Y_%m}"


async def test_a_callback_is_sealed_beside_its_claim_and_opened_with_the_key(shops: Shops) -> None:
    payment = await shops.opened(account="shop-ipay")
    now = shops.database.clock.now()
    one = claim(payment["payment_id"], now)
    await take_in(shops.database, one)
    assert await stored(shops.database) == [(one.id, month(now))]
    (row,) = await shops.database.fetch("SELECT key_id, body FROM archive")
    assert PHONE.encode() not in row["body"]
    assert row["key_id"]
    read = await read_archived(shops.database, one.id, CIPHER)
    assert read is not None
    assert b'"user-agent","gateway"' in read
    (known,) = await shops.database.fetch("SELECT id, payment_id FROM claims")
    assert (known["id"], known["payment_id"]) == (one.id, payment["payment_id"])
    assert await read_archived(shops.database, "no-such-claim", CIPHER) is None


async def test_a_claim_that_comes_again_is_archived_once_and_our_own_never(shops: Shops) -> None:
    payment = await shops.opened(account="shop-ipay")
    now = shops.database.clock.now()
    one = claim(payment["payment_id"], now)
    own = own_claim(Source.OPERATOR, payment["payment_id"], "shop-ipay", "ipay", now)
    await take_in(shops.database, one, own)
    await take_in(shops.database, one, own)
    assert [claim_id for claim_id, _ in await stored(shops.database)] == [one.id]
    assert len(await shops.database.fetch("SELECT id FROM claims")) == 2


async def test_without_a_key_it_is_stored_as_it_is_and_read_by_whoever_has_one_later(database: Database) -> None:
    one = claim(None, database.clock.now())
    await take_in(database, one, cipher=ArchiveCipher())
    read = await read_archived(database, one.id, CIPHER)
    assert read is not None
    assert one.id.encode() in read


async def test_partitions_are_made_ahead_once_by_however_many_try(database: Database) -> None:
    before = await partitions(database)
    made = await asyncio.gather(*(maintain_archive(database, KEPT) for _ in range(6)))
    now = database.clock.now().astimezone(UTC)
    ahead = {f"archive_{(now.year * 12 + now.month - 1 + n) // 12}_{(now.month - 1 + n) % 12 + 1:02}" for n in range(3)}
    assert await partitions(database) == before | ahead
    assert sum(one.made for one in made) == len(ahead - before)
    again = await maintain_archive(database, KEPT)
    assert (again.made, again.dropped, again.deleted) == (0, 0, 0)


async def test_a_month_without_a_partition_loses_no_claim_and_is_forgotten_in_its_time(database: Database) -> None:
    now = database.clock.now()
    old, older = claim(None, now - timedelta(days=80)), claim(None, now - timedelta(days=200))
    await take_in(database, old, older)
    assert await stored(database) == [(older.id, "archive_default"), (old.id, "archive_default")]
    assert await forget_callbacks(KEPT, database, 10) == 1
    assert [claim_id for claim_id, _ in await stored(database)] == [old.id]
    assert len(await database.fetch("SELECT id FROM claims")) == 2, "that they were taken is known for good"


async def test_a_month_whose_callbacks_lie_in_the_default_keeps_nobody_from_the_next(database: Database) -> None:
    await database.execute("DROP TABLE " + ", ".join(await partitions(database) - {"archive_default"}))
    one = claim(None, database.clock.now())
    await take_in(database, one)
    assert (await maintain_archive(database, KEPT)).made == 2
    assert await stored(database) == [(one.id, "archive_default")]
    await take_in(database, claim(None, database.clock.now()))
    assert {place for _, place in await stored(database)} == {"archive_default"}


async def test_a_month_that_is_over_long_enough_is_dropped_and_payments_stay(shops: Shops) -> None:
    database = shops.database
    payment = await shops.opened(account="shop-ipay")
    then = database.clock.now() - timedelta(days=130)
    await database.execute("SELECT archive_make($1)", then)
    one = claim(payment["payment_id"], then)
    await take_in(database, one)
    assert await stored(database) == [(one.id, month(then))]
    assert (await maintain_archive(database, timedelta(days=365))).dropped == 0
    assert (await maintain_archive(database, KEPT)).dropped == 1
    assert await stored(database) == []
    assert month(then) not in await partitions(database)
    entries = (await shops.get(f"/v1/payments/{payment['payment_id']}/timeline")).body["entries"]
    assert one.id in {entry.get("claim_id") for entry in entries}
    assert (await shops.get(f"/v1/payments/{payment['payment_id']}")).status == 200


@pytest.mark.alone
async def test_nobody_who_writes_waits_for_the_housekeeping_nor_it_for_them(database: Database) -> None:
    then = database.clock.now() - timedelta(days=130)
    await database.execute("SELECT archive_make($1)", then)
    async with database.connection() as connection, connection.transaction():
        await connection.execute("INSERT INTO archive VALUES ('open', clock_timestamp(), NULL, '')")
        began = time.monotonic()
        kept, _ = await asyncio.gather(maintain_archive(database, KEPT), take_in(database, claim(None, then)))
        assert time.monotonic() - began < 5
        assert kept.dropped == 0
    assert (await maintain_archive(database, KEPT)).dropped == 1


@pytest.mark.parametrize("kept", [timedelta(0), timedelta(hours=23), timedelta(days=-1)])
async def test_nobody_forgets_what_came_today(database: Database, kept: timedelta) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await maintain_archive(database, kept)
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await forget_callbacks(kept, database, 10)


async def test_the_request_of_a_checkout_is_forgotten_when_it_is_open_or_never_will_be(shops: Shops) -> None:
    database = shops.database

    async def row(reference: str, *, opened: bool, age: timedelta, **told: object) -> None:
        payment = await shops.opened(reference=reference, **told)
        await database.execute(
            """WITH aged AS (UPDATE openings SET recorded_at = clock_timestamp() - $3::interval WHERE payment_id = $1)
               UPDATE payments SET opened = $2, opened_at = clock_timestamp() - $3::interval WHERE id = $1""",
            payment["payment_id"],
            opened,
            age,
        )

    buyer = {"name": "Rahim Uddin"}
    await row("open", opened=True, age=timedelta(0), customer=buyer)
    await row("nobodys", opened=True, age=timedelta(0))
    await row("lost", opened=False, age=timedelta(days=2), customer=buyer)
    await row("given-up", opened=False, age=timedelta(days=91), customer=buyer)
    await row("old", opened=False, age=timedelta(days=91))
    assert await forget_personal_requests(KEPT, database, 10) == 2
    assert await forget_requests(KEPT, database, 10) == 1
    left = await database.fetch("SELECT reference FROM openings JOIN payments ON id = payment_id ORDER BY 1")
    assert [one["reference"] for one in left] == ["lost", "nobodys"]
    assert len(await database.fetch("SELECT id FROM payments")) == 5


async def test_a_checkout_whose_request_is_forgotten_is_still_known_by_its_reference(shops: Shops) -> None:
    await shops.opened(reference="again")
    await shops.database.execute("UPDATE openings SET recorded_at = recorded_at - $1::interval", KEPT)
    assert await forget_requests(KEPT, shops.database, 10) == 1
    assert (await shops.open(reference="again")).problem == (409, "reference_used", "reference")


async def test_what_claims_held_before_moves_into_its_months(server: str, tmp_path: Path) -> None:
    """The schema as it was before the archive, with claims of three months; then the migration."""
    sql = Path(schemas.__path__[0]) / "sql"
    dsn = urlunsplit(urlsplit(server)._replace(path="/before_the_archive"))
    before = tmp_path / "before"
    before.mkdir()
    for file in sorted(sql.glob("*.sql")):
        if file.name < "0008":
            shutil.copy(file, before)
    await apply_migrations(dsn, directory=before)
    connection = await asyncpg.connect(dsn)
    try:
        for days in (0, 40, 400):
            await connection.execute(
                """INSERT INTO claims (id, account, received_at, claim)
                   VALUES ('claim-' || $1::int, 'a', clock_timestamp() - make_interval(days => $1), $2)""",
                days,
                f"body-{days}".encode(),
            )
        await apply_migrations(dsn)
        rows = await connection.fetch("SELECT claim_id, body, key_id, tableoid::regclass::text AS place FROM archive")
        assert {(row["claim_id"], row["body"], row["key_id"]) for row in rows} == {
            (f"claim-{days}", f"body-{days}".encode(), None) for days in (0, 40, 400)
        }
        assert "archive_default" not in {row["place"] for row in rows}
        assert await connection.fetchval("SELECT count(*) FROM claims") == 3
    finally:
        await connection.close()
