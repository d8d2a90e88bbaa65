"""Events past their retention: what goes, what stays as it is needed, and what a reader of the log is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from schemas.secret import Secret
from schemas.words import Status
from tests.integration.endpoints import SECRET
from tests.integration.shops import Shops
from worker.config import Webhook
from worker.config.webhook_endpoints import endpoint_of
from worker.postgres.database import Database
from worker.postgres.events.deliveries import GONE, lease_deliveries
from worker.postgres.events.endpoint_rows import begin_endpoints
from worker.postgres.events.old_events import forget_events, log_floor, missing_since
from worker.postgres.watermark import Watermark
from worker.retention import _forget_events

KEPT = timedelta(days=100)
ENDPOINT = "wh_000000000001"
OTHER = "wh_000000000002"


async def forget(database: Database, *, most: int = 100, readers: tuple[str, ...] = (ENDPOINT,)) -> int:
    return await forget_events(KEPT, readers, database, most)


async def told(shops: Shops, reference: str, *statuses: Status, shop: str = "shop", **more: Any) -> dict[str, Any]:
    """A payment whose events all have their places: `opened`, and one for each status."""
    got = await shops.open(reference=reference, shop=shop, **more)
    assert got.status == 201, got
    for status in statuses:
        await shops.answered(got.body, status)
    await shops.placed()
    return dict(got.body)


async def aged(database: Database, by: timedelta = 2 * KEPT) -> None:
    await database.execute("UPDATE events SET time = time - $1::interval", by)


async def left(database: Database) -> list[tuple[str, str]]:
    """The events that are there, as (reference, type), in the order of the log."""
    rows = await database.fetch(
        "SELECT reference, type FROM events e JOIN payments p ON p.id = e.payment_id ORDER BY e.place, e.version"
    )
    return [(row["reference"], row["type"].removeprefix("payment.")) for row in rows]


async def endpoint(database: Database, name: str = ENDPOINT, *, place: int = 10**9) -> None:
    await database.execute(
        "INSERT INTO endpoints (id, merchant, url, place) VALUES ($1, 'shop', 'https://shop.example', $2)", name, place
    )


async def test_of_each_payment_the_newest_event_stays(shops: Shops) -> None:
    await told(shops, "paid", Status.COMPLETED)
    await told(shops, "open")
    await aged(shops.database)
    await told(shops, "new", Status.COMPLETED)
    assert await forget(shops.database) == 3
    assert await left(shops.database) == [
        ("paid", "completed"),
        ("open", "opened"),
        ("new", "opened"),
        ("new", "completed"),
    ]
    assert await forget(shops.database) == 0, "it walks the log once"


async def test_an_endpoint_that_moved_holds_back_what_it_has_not_read(shops: Shops) -> None:
    """Its row keeps the id of its first URL, under which retention must look for it."""
    secret = Secret(SECRET)
    (before,) = await begin_endpoints(
        shops.database, [endpoint_of("shop", Webhook(id="erp", url="https://old.example/", secret=secret))]
    )
    moved = endpoint_of("shop", Webhook(id="erp", url="https://new.example/", secret=secret))
    assert moved.id != before.id, "a new endpoint at this URL would have another row"
    await told(shops, "paid", Status.COMPLETED)
    await aged(shops.database)
    await _forget_events(KEPT, [moved], shops.database, 100)
    assert await left(shops.database) == [("paid", "opened"), ("paid", "completed")]
    await shops.database.execute("UPDATE endpoints SET place = 1000000000 WHERE id = $1", before.id)
    await _forget_events(KEPT, [moved], shops.database, 100)
    assert await left(shops.database) == [("paid", "completed")]


async def test_what_was_the_newest_goes_once_a_newer_one_is_old(shops: Shops) -> None:
    payment = await told(shops, "paid")
    await aged(shops.database)
    await told(shops, "another")
    await forget(shops.database)
    assert ("paid", "opened") in await left(shops.database)
    await shops.answered(payment, Status.COMPLETED)
    await shops.placed()
    await aged(shops.database)
    await told(shops, "last")
    await forget(shops.database)
    assert [event for event in await left(shops.database) if event[0] == "paid"] == [("paid", "completed")]


async def test_without_retention_everything_stays(shops: Shops) -> None:
    await told(shops, "paid", Status.COMPLETED)
    await aged(shops.database)
    assert await forget_events(None, [], shops.database, 100) == 0
    assert len(await left(shops.database)) == 2


@pytest.mark.parametrize("kept", [timedelta(0), timedelta(days=29), timedelta(days=-1)])
async def test_nobody_deletes_what_is_young(database: Database, kept: timedelta) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await forget_events(kept, [], database, 10)


@pytest.mark.parametrize(
    "needed",
    [
        "UPDATE events SET time = time + interval '200 days'",
        "UPDATE events SET place = NULL WHERE version = 1",
        "INSERT INTO relays VALUES ('rabbitmq', 0)",
        f"INSERT INTO endpoints (id, merchant, url, place) VALUES ('{ENDPOINT}', 'shop', 'https://shop.example', 0)",
        f"""INSERT INTO endpoints (id, merchant, url, place, disabled_at)
            VALUES ('{ENDPOINT}', 'shop', 'https://shop.example', 0, now())""",
        f"""WITH e AS (INSERT INTO endpoints (id, merchant, url, place)
                VALUES ('{OTHER}', 'shop', 'https://shop.example', 1000000))
            INSERT INTO deliveries (endpoint, event_id, place, next_at)
            SELECT '{OTHER}', id, place, now() FROM events""",
    ],
    ids=["young", "unplaced", "not at the broker", "unread", "disabled", "waiting"],
)
async def test_an_event_that_is_still_needed_stays(shops: Shops, needed: str) -> None:
    """`waiting` is of an endpoint that is not configured any more, and may be moved to another."""
    await told(shops, "paid", Status.COMPLETED)
    await aged(shops.database)
    await shops.database.execute(needed)
    await forget(shops.database)
    assert len(await left(shops.database)) == 2
    assert (await log_floor(shops.database, "shop")).place == 0


async def test_an_endpoint_that_has_read_all_or_is_another_shops_keeps_nothing(shops: Shops) -> None:
    await told(shops, "paid", Status.COMPLETED)
    (newest,) = await shops.database.fetch("SELECT max(place) AS place FROM events")
    await endpoint(shops.database, place=newest["place"])
    await shops.database.execute(
        "INSERT INTO endpoints (id, merchant, url, place) VALUES ($1, 'other', 'https://other.example', 0)", OTHER
    )
    await aged(shops.database)
    await told(shops, "last")
    await forget(shops.database, readers=(ENDPOINT, OTHER))
    assert ("paid", "opened") not in await left(shops.database)


async def test_deliveries_go_with_their_events(shops: Shops) -> None:
    await told(shops, "paid", Status.COMPLETED)
    await endpoint(shops.database)
    await shops.database.execute(
        """INSERT INTO deliveries (endpoint, event_id, place, delivered_at, given_up_at)
           SELECT $1, id, place, CASE WHEN version = 1 THEN now() END, CASE WHEN version > 1 THEN now() END
           FROM events""",
        ENDPOINT,
    )
    await aged(shops.database)
    await told(shops, "last")
    await forget(shops.database)
    rows = await shops.database.fetch("SELECT version FROM deliveries d JOIN events e ON e.id = d.event_id")
    assert [row["version"] for row in rows] == [2]
    assert len(await shops.database.fetch("SELECT FROM deliveries")) == 1


async def test_it_goes_on_where_it_ended_in_batches(shops: Shops) -> None:
    for number in range(5):
        await told(shops, f"paid-{number}", Status.COMPLETED)
    await aged(shops.database)
    await told(shops, "last")
    assert [await forget(shops.database, most=4) for _ in range(4)] == [4, 4, 2, 0]
    assert await left(shops.database) == [*((f"paid-{number}", "completed") for number in range(5)), ("last", "opened")]


async def test_a_cursor_from_before_the_floor_is_gone_and_others_go_on(shops: Shops) -> None:
    await told(shops, "first")
    old = (await shops.get("/v1/events")).body["next"]
    others = (await shops.get("/v1/events", shop="other")).body["next"]
    await told(shops, "paid", Status.COMPLETED)
    await aged(shops.database)
    last = (await shops.get("/v1/events")).body["next"]
    await told(shops, "new")
    await forget(shops.database)
    assert (await shops.get("/v1/events", after=old)).problem == (410, "cursor_expired", "after")
    assert [one["data"]["reference"] for one in (await shops.get("/v1/events", after=last)).body["events"]] == ["new"]
    assert (await shops.get("/v1/events", shop="other", after=others)).status == 200


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_whoever_begins_without_a_cursor_reads_what_is_left_and_goes_on(shops: Shops, limit: int) -> None:
    for reference in ("a", "b"):
        await told(shops, reference, Status.COMPLETED)
    await aged(shops.database)
    await told(shops, "new")
    await forget(shops.database)
    heard, page = [], (await shops.get("/v1/events", limit=str(limit))).body
    while page["events"]:
        heard += [(one["data"]["reference"], one["type"]) for one in page["events"]]
        page = (await shops.get("/v1/events", limit=str(limit), after=page["next"])).body
    assert heard == [("a", "payment.completed"), ("b", "payment.completed"), ("new", "payment.opened")]
    await told(shops, "newer")
    page = (await shops.get("/v1/events", after=page["next"])).body
    assert [one["data"]["reference"] for one in page["events"]] == ["newer"]


async def test_a_log_of_which_nothing_is_left_is_begun_at_its_end(shops: Shops) -> None:
    """So a reader without a cursor never gets one that is refused."""
    await told(shops, "first")
    await shops.database.execute("INSERT INTO log_floors VALUES ('shop', 1000, now())")
    await shops.database.execute("DELETE FROM events")
    after = (await shops.get("/v1/events")).body["next"]
    assert (await shops.get("/v1/events", after=after)).status == 200


async def test_what_is_deleted_is_told_in_words_to_whoever_asks_for_a_time(shops: Shops) -> None:
    await told(shops, "paid", Status.COMPLETED)
    await aged(shops.database)
    await told(shops, "new")
    now = shops.database.clock.now()
    assert missing_since(await log_floor(shops.database, "shop"), now - 3 * KEPT) is None
    await forget(shops.database)
    floor = await log_floor(shops.database, "shop")
    assert missing_since(floor, now) is None
    assert "are deleted ([retention] events)" in str(missing_since(floor, now - 3 * KEPT))


async def test_a_delivery_whose_event_is_gone_is_given_up_in_words(shops: Shops) -> None:
    """A replay may make it due while its event is deleted."""
    await told(shops, "paid", Status.COMPLETED)
    await endpoint(shops.database)
    now = shops.database.clock.now()
    await shops.database.execute(
        "INSERT INTO deliveries (endpoint, event_id, place, next_at) SELECT $1, id, place, $2 FROM events",
        ENDPOINT,
        now,
    )
    await shops.database.execute("DELETE FROM events WHERE version = 1")
    async with shops.database.connection() as connection:
        leased = await lease_deliveries(connection, ENDPOINT, 10, now, Watermark(), probe=False)
    assert [one.type for one in leased] == ["payment.completed"]
    (gone,) = await shops.database.fetch("SELECT answer, next_at FROM deliveries WHERE given_up_at IS NOT NULL")
    assert (gone["answer"], gone["next_at"]) == (GONE, None)
