"""A flood of large bodies, from the request to the archive: every claim counts, and few bodies are stored."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.integration.shops import CONFIG, Shops
from tests.integration.test_archive import take_in
from tests.integration.test_kept import WISH, queued, taken
from tests.processes import until
from worker.ingress.byte_budgets import PAYMENT, SIGNED, SMALL, ByteBudgets
from worker.ingress.ingress import ingress_of
from worker.ingress.waiters import PaymentWaiters
from worker.ingress.webhooks import Webhooks
from worker.ops.doctor.installation import archive_fills
from worker.postgres.archive import digest_only, read_archived
from worker.postgres.database import Database
from worker.postgres.spent_bytes import archive_bytes, forget_spent
from worker.runtime.cancellation import end_one
from worker.runtime.encryption import ArchiveCipher
from worker.telemetry.metrics import Metrics

HITS, BODY_BYTES, SECRET = 400, 48 * 1024, b"key-of-shop-shop-bag"
DIGEST_BYTES = 1500
"""More than the row of a digest takes."""

Door = TestClient[Any, Any]


@pytest.fixture
def budgets(shops: Shops) -> ByteBudgets:
    return ByteBudgets(10**9, shops.database.clock.now)


@pytest.fixture
async def door(shops: Shops, budgets: ByteBudgets) -> AsyncIterator[Door]:
    parts = PaymentWaiters(), budgets, Metrics()
    ingress = ingress_of(CONFIG, shops.api.ledger, shops.api.bus, shops.database.clock, *parts)
    app = web.Application(client_max_size=64 * 1024)
    app.add_routes(Webhooks(ingress).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


def large(reference: str, **more: str) -> bytes:
    """A body that no compression makes small."""
    return json.dumps({"order_id": reference, **more, "pad": secrets.token_urlsafe(BODY_BYTES)[:BODY_BYTES]}).encode()


async def wal(database: Database) -> int:
    (row,) = await database.fetch("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS bytes")
    return int(row["bytes"])


async def archived(database: Database) -> tuple[int, int]:
    """How many rows the archive has, and the bytes in them."""
    (row,) = await database.fetch("SELECT count(*) AS rows, coalesce(sum(octet_length(body)), 0) AS bytes FROM archive")
    return int(row["rows"]), int(row["bytes"])


async def test_a_flood_of_unsigned_bodies_fills_neither_queue_nor_archive_nor_wal(shops: Shops, door: Door) -> None:
    payment = (await shops.post("/v1/payments/track", WISH)).body
    before = await wal(shops.database)
    for number in range(HITS):
        path = "/ipn/shop-bag" if number % 2 else f"/ipn/shop-bag/{payment['payment_id']}"
        body = large(payment["reference"], transaction_id=f"T-{number}")
        assert (await door.post(path, data=body)).status == 200
    (row,) = await shops.database.fetch("SELECT sum(octet_length(body)) AS bytes FROM queue")
    claims = await queued(shops)
    for first in range(0, HITS, 50):
        await take_in(shops.database, *claims[first : first + 50], cipher=ArchiveCipher())
    rows, stored = await archived(shops.database)
    written = await wal(shops.database) - before
    print(
        f"{HITS} bodies of {BODY_BYTES >> 10} KiB: queue {row['bytes'] / 1e6:.2f} MB, archive {stored / 1e6:.2f} MB "
        f"({await archive_bytes(shops.database) / 1e6:.2f} on disk), WAL {written / 1e6:.2f} MB"
    )
    assert (len(claims), rows) == (HITS, HITS), "no claim is dropped for its size"
    assert (await shops.database.fetch("SELECT count(*) AS n FROM claims"))[0]["n"] == HITS
    most = 1.5 * PAYMENT.size + HITS * DIGEST_BYTES
    assert row["bytes"] < most
    assert stored < most
    assert written < 6 * most


async def test_a_gateways_signed_bodies_have_a_larger_budget_and_an_end_too(shops: Shops, door: Door) -> None:
    payment = (await shops.post("/v1/payments/track", WISH)).body
    body, at = large(payment["reference"]), str(int(time.time()))
    signature = hmac.new(SECRET, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"X-Webhook-Signature": f"sha256={signature}", "X-Webhook-Timestamp": at}
    for _ in range(60):
        assert (await door.post("/webhooks/shop-bag", data=body, headers=headers)).status == 200
    claims = await queued(shops)
    whole = [claim for claim in claims if claim.callback is not None and claim.callback.omitted is None]
    assert len(claims) == 60
    assert 15 <= len(whole) <= SIGNED.size // BODY_BYTES


async def test_a_claim_about_no_payment_of_ours_carries_no_body(shops: Shops, door: Door) -> None:
    assert (await door.post("/ipn/shop-bag", data=large("order-unknown"))).status == 200
    (claim,) = await queued(shops)
    assert claim.callback is not None
    assert claim.callback.omitted is not None
    assert (claim.callback.omitted.because, claim.callback.body) == ("unknown", b"")


async def test_processes_share_what_they_take(shops: Shops, database: Database) -> None:
    one, other = (ByteBudgets(10**9, database.clock.now) for _ in range(2))
    assert one.take([(PAYMENT, "a")], PAYMENT.size) is None
    await one.add(database)
    assert other.take([(PAYMENT, "a")], PAYMENT.size // SMALL) is None, "it does not know yet"
    await other.add(database)
    assert other.take([(PAYMENT, "a")], 1) == PAYMENT
    (row,) = await database.fetch("SELECT name, bytes FROM byte_budgets")
    assert row["bytes"] == PAYMENT.size + PAYMENT.size // SMALL
    assert row["name"] != "a"


async def test_a_process_adds_what_it_took_and_sees_the_archive_fill(shops: Shops, database: Database) -> None:
    budgets = ByteBudgets(1, database.clock.now)
    budgets.take([(PAYMENT, "a")], PAYMENT.size)
    running = asyncio.create_task(budgets.run(database))

    async def added() -> bool:
        return bool(await database.fetch("SELECT FROM byte_budgets")) and budgets.archive_full

    try:
        await until(added, what="the bytes in the table")
    finally:
        await end_one(running)


async def test_rows_of_days_that_are_over_are_deleted(database: Database) -> None:
    since = database.clock.now() - timedelta(days=2)
    await database.execute(
        "INSERT INTO byte_budgets VALUES ($1, 'payment', 'old', 1), (now(), 'payment', 'new', 1)", since
    )
    await forget_spent(database, 100)
    assert [row["name"] for row in await database.fetch("SELECT name FROM byte_budgets")] == ["new"]


async def test_the_archive_says_that_it_has_a_digest_and_why(shops: Shops, door: Door) -> None:
    payment = (await shops.post("/v1/payments/track", WISH)).body
    for _ in range(4):
        await door.post(f"/ipn/shop-bag/{payment['payment_id']}", data=large(payment["reference"]))
    claims = await queued(shops)
    await taken(shops, *claims)
    shown = await read_archived(shops.database, claims[-1].id, ArchiveCipher())
    assert shown is not None
    assert digest_only(shown) == (
        "digest only, because the unsigned callbacks about its payment had used up their bytes of that hour"
    )
    first = await read_archived(shops.database, claims[0].id, ArchiveCipher())
    assert first is not None
    assert digest_only(first) is None


def test_the_doctor_tells_of_an_archive_that_fills() -> None:
    assert archive_fills(90, 100) is None
    found = archive_fills(4_600_000_000, 5_000_000_000)
    assert found is not None
    assert (found.mark, found.words) == ("!!", "callbacks as received have 4.6 of 5.0 GB")
