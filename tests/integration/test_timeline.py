"""A timeline under a flood: fifty thousand entries about one payment, which must never be in memory at once."""

from __future__ import annotations

import pytest

from consumers.explain.explain import explain_payment
from schemas.checks import Checks
from tests.integration.shops import CONFIG, Shops
from worker.postgres.database import Database
from worker.postgres.reads.snapshots import read_dossier
from worker.postgres.reads.timeline import AT_EACH_END, PAGE, timeline_pages

FLOOD = 50_000


async def flooded(database: Database, payment_id: str, claims: int) -> None:
    """A buyer's claim, a flood, and in the midst of it the one answer and the decision that matter."""
    half = claims // 2
    await claimed(database, payment_id, half, said="success")
    await database.execute(
        """INSERT INTO entries (payment_id, at, kind, data) VALUES
               ($1, clock_timestamp(), 'answer', '{"question": "status", "status": "completed", "word": "PAID"}'),
               ($1, clock_timestamp(), 'decision', '{"change": "pending rose to completed", "hold": null}'),
               ($1, clock_timestamp(), 'event', '{"id": "x.2", "type": "payment.completed"}')""",
        payment_id,
    )
    await claimed(database, payment_id, claims - half, said="failure")


async def claimed(database: Database, payment_id: str, claims: int, *, said: str) -> None:
    await database.execute(
        """INSERT INTO entries (payment_id, at, kind, data)
           SELECT $1, clock_timestamp(), 'claim', jsonb_build_object('claim_id', 'c' || n, 'source', 'return',
               'authenticity', 'unsigned', 'verdict', 'asks', 'said', $3::text) FROM generate_series(1, $2::int) n""",
        payment_id,
        claims,
        said,
    )


@pytest.mark.parametrize("entries", [1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, FLOOD])
async def test_the_api_tells_every_entry_in_order_however_many(shops: Shops, entries: int) -> None:
    payment_id = (await shops.opened())["payment_id"]
    (before,) = await shops.database.fetch("SELECT count(*) AS count FROM entries")
    await claimed(shops.database, payment_id, entries - before["count"], said="success")
    got = await shops.get(f"/v1/payments/{payment_id}/timeline")
    assert got.status == 200
    assert [one.get("claim_id") for one in got.body["entries"][1:]] == [f"c{n}" for n in range(1, entries)]
    assert got.headers["Content-Type"].startswith("application/json")
    assert got.headers["Cache-Control"] == "no-store"


async def test_no_page_holds_more_than_it_may(shops: Shops) -> None:
    payment_id = (await shops.opened())["payment_id"]
    await flooded(shops.database, payment_id, 3 * PAGE)
    assert [len(page) async for page in timeline_pages(shops.database, payment_id)] == [PAGE, PAGE, PAGE, 4]


async def test_what_moved_a_flooded_payment_is_told_on_one_screen_and_the_flood_is_counted(shops: Shops) -> None:
    payment_id = (await shops.opened())["payment_id"]
    await flooded(shops.database, payment_id, FLOOD)
    snapshot = await read_dossier(shops.database, payment_id, CONFIG.account("shop-ipay"), Checks())
    assert snapshot is not None
    assert snapshot.left_out is not None
    assert len(snapshot.entries) == 2 * AT_EACH_END + 4, "the answer, its decision and event, and a claim of success"
    shown = len(snapshot.entries) + sum(one.count for one in snapshot.left_out.counted)
    assert shown == FLOOD + 4
    told = [one.words for one in explain_payment(snapshot).story]
    assert len(told) < 15
    (left_out,) = [words for words in told if "more happened than fits here" in words]
    assert f"{FLOOD - 2 * AT_EACH_END:,} × a browser that came back" in left_out
    assert any(words.startswith("Decided: pending rose to completed") for words in told)


async def test_a_short_timeline_leaves_nothing_out(shops: Shops) -> None:
    payment_id = (await shops.opened())["payment_id"]
    await claimed(shops.database, payment_id, 2 * AT_EACH_END - 1, said="failure")
    snapshot = await read_dossier(shops.database, payment_id, CONFIG.account("shop-ipay"), Checks())
    assert snapshot is not None
    assert (len(snapshot.entries), snapshot.left_out) == (2 * AT_EACH_END, None)
