"""Whole payments past their retention: what goes, what keeps one here, and that its keys are never another's."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from consumers.pipeline import take_claims
from schemas.statements import LineOutcome
from schemas.words import Status
from tests.fakes.ledger import FakeTurns
from tests.integration.shops import CONFIG, ORDER, RULES, TRACKED, Shops
from tests.integration.statements import Books, line, refund
from tests.integration.test_adoption import found
from tests.integration.test_kept import early
from tests.integration.test_old_events import ENDPOINT, endpoint, told
from worker.config.shapes import Retained
from worker.postgres.database import Database
from worker.postgres.events.event_log import assign_positions
from worker.postgres.events.old_events import forget_events
from worker.postgres.past_payments import PART, PastPayments
from worker.retention import run_task, tasks_of

EVENTS, PAYMENTS = timedelta(days=100), timedelta(days=400)
HISTORY = ("payments", "events", "entries", "facts", "resolutions", "claims", "openings", "deliveries")
OF_OLD = "FROM payments WHERE reference = 'old'"


async def forget(database: Database, *, most: int = 100) -> int:
    """Delete old events, then old payments. Returns how many payments were deleted."""
    await forget_events(EVENTS, [ENDPOINT], database, 1000)
    walk = PastPayments(PAYMENTS)
    while await walk.delete_batch(database, most):
        pass
    return walk.deleted


async def aged(database: Database, by: timedelta = 2 * PAYMENTS) -> None:
    """As if all this had happened so long ago, and nothing were to be asked any more."""
    await database.execute(
        """UPDATE payments SET opened_at = opened_at - $1::interval, expires_at = expires_at - $1::interval,
               completed_at = completed_at - $1::interval, checked_at = checked_at - $1::interval,
               asked_at = asked_at - $1::interval, lease_until = NULL, next_check_at = NULL""",
        by,
    )
    await database.execute("UPDATE events SET time = time - $1::interval", by)
    await database.execute("UPDATE resolutions SET at = at - $1::interval", by)


async def past(shops: Shops, **more: Any) -> dict[str, Any]:
    """A paid payment that was deleted."""
    payment = await told(shops, "old", Status.COMPLETED, **more)
    await aged(shops.database)
    await told(shops, "new")
    assert await forget(shops.database) == 1
    return payment


async def here(database: Database) -> list[str]:
    rows = await database.fetch("SELECT reference FROM payments ORDER BY opened_at")
    return [row["reference"] for row in rows]


async def test_all_of_it_goes_and_its_keys_stay(shops: Shops) -> None:
    payment = await told(shops, "old", Status.COMPLETED, order="basket")
    await take_claims(
        shops.api.ledger,
        RULES,
        [early(shops, account="shop-one", provider="onepaybd", payment_id=payment["payment_id"], event_id=None)],
        FakeTurns(),
    )
    await endpoint(shops.database)
    await shops.database.execute(
        "INSERT INTO deliveries (endpoint, event_id, place, delivered_at) SELECT $1, id, place, now() FROM events",
        ENDPOINT,
    )
    await aged(shops.database)
    await told(shops, "new")
    assert await forget(shops.database) == 1
    for table in HISTORY[1:]:
        column = "event_id LIKE $1 || '%'" if table == "deliveries" else "payment_id = $1"
        assert not await shops.database.fetch(f"SELECT FROM {table} WHERE {column}", payment["payment_id"]), table
    assert await here(shops.database) == ["new"]
    (row,) = await shops.database.fetch("SELECT id, merchant, account, reference FROM past_payments")
    assert tuple(row) == (payment["payment_id"], "shop", "shop-one", "old")
    for table, key in (("sessions", payment["session_id"]), ("transactions", f"T-{payment['payment_id'][-6:]}")):
        name = table.removesuffix("s") + "_id"
        (kept,) = await shops.database.fetch(f"SELECT payment_id FROM {table} WHERE {name} = $1", key)
        assert kept["payment_id"] == payment["payment_id"]
    (order,) = await shops.database.fetch("SELECT paid_by FROM orders WHERE order_ref = 'basket'")
    assert order["paid_by"] == payment["payment_id"]


@pytest.mark.parametrize(
    "needed",
    [
        "UPDATE payments SET opened_at = now() - interval '399 days' WHERE reference = 'old'",
        "UPDATE payments SET checked_at = now() - interval '399 days' WHERE reference = 'old'",
        "UPDATE payments SET holds = '{contradiction}' WHERE reference = 'old'",
        "UPDATE payments SET next_check_at = now() + interval '30 days' WHERE reference = 'old'",
        "UPDATE payments SET lease_until = now() + interval '1 min' WHERE reference = 'old'",
        "UPDATE payments SET execute_state = 'wanted' WHERE reference = 'old'",
        f"INSERT INTO orders (merchant, order_ref, executing) SELECT 'shop', 'x', id {OF_OLD}",
        f"""INSERT INTO failures (payment_id, failures, first_at, last_at, reason)
            SELECT id, 5, now(), now(), '' {OF_OLD}""",
        f"INSERT INTO resolutions (payment_id, at, resolution) SELECT id, now() - interval '399 days', '{{}}' {OF_OLD}",
        "UPDATE events SET time = now() - interval '399 days'",
        """WITH e AS (INSERT INTO endpoints (id, merchant, url, place)
                VALUES ('wh_000000000009', 'shop', 'https://shop.example', 1000000))
            INSERT INTO deliveries (endpoint, event_id, place, next_at)
            SELECT 'wh_000000000009', id, place, now() FROM events WHERE type = 'payment.completed'""",
        f"INSERT INTO endpoints (id, merchant, url, place) VALUES ('{ENDPOINT}', 'shop', 'https://a.example', 0)",
        "INSERT INTO relays VALUES ('rabbitmq', 1)",
        """INSERT INTO statements (id, account, source, started_at, dry_run, seen_before, sums)
           VALUES ('rec_' || repeat('a', 26), 'shop-one', 'march.csv', now(), false, false, '{}')""",
    ],
    ids=[
        *("young", "answered", "held", "asked about", "in flight", "execute wished", "executing", "fails"),
        *("resolved", "event young", "webhook waits", "webhook not read", "not at the broker", "statement in work"),
    ],
)
async def test_a_payment_that_is_still_needed_stays(shops: Shops, needed: str) -> None:
    await told(shops, "old", Status.COMPLETED)
    await aged(shops.database)
    await shops.database.execute(needed)
    await told(shops, "new")
    assert await forget(shops.database) == 0
    assert await here(shops.database) == ["old", "new"]


async def test_a_pending_payment_stays_however_old_it_is(shops: Shops) -> None:
    await told(shops, "open")
    await aged(shops.database)
    await told(shops, "new")
    assert await forget(shops.database) == 0


@pytest.mark.parametrize("kept", [timedelta(0), timedelta(days=365), timedelta(days=-1)])
async def test_nobody_deletes_what_is_young(shops: Shops, kept: timedelta) -> None:
    await told(shops, "old")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await PastPayments(kept).delete_batch(shops.database, 10)
    assert await PastPayments(None).delete_batch(shops.database, 10) == 0


async def test_it_walks_past_what_is_needed_in_batches_over_every_merchant(shops: Shops) -> None:
    for number in range(5):
        await told(shops, f"paid-{number}", Status.COMPLETED)
    await told(shops, "held", Status.COMPLETED)
    await told(shops, "theirs", Status.COMPLETED, shop="other", account="other-one")
    await shops.database.execute("UPDATE payments SET holds = '{contradiction}' WHERE reference IN ('held', 'paid-0')")
    await aged(shops.database)
    await told(shops, "new")
    assert await forget(shops.database, most=2 * PART) == 5
    assert sorted(await here(shops.database)) == ["held", "new", "paid-0"]


# -- its keys are never another payment's ------------------------------------------------------------------------------


async def unchanged(shops: Shops) -> None:
    """No second payment, and nothing told of the first."""
    await shops.placed()
    assert await here(shops.database) == ["new"]
    assert await shops.database.fetch("SELECT FROM kept") == []


async def test_its_reference_is_used_for_good(shops: Shops) -> None:
    payment = await past(shops)
    for path, body in (
        ("/v1/payments", {**ORDER, "reference": "old"}),
        ("/v1/payments/track", {**TRACKED, "reference": "old", "session_id": "another"}),
    ):
        for key in (None, "key"):
            got = await shops.post(path, body, key=key and path)
            assert got.problem == (409, "reference_used", "reference")
            assert got.body["payment_id"] == payment["payment_id"]
    assert [len(shops.checkout.openings), await here(shops.database)] == [2, ["new"]]


async def test_its_session_is_tracked_as_nobodys(shops: Shops) -> None:
    payment = await past(shops)
    wish = {**TRACKED, "reference": "other", "session_id": payment["session_id"]}
    assert (await shops.post("/v1/payments/track", wish)).problem[:2] == (409, "session_used")
    await unchanged(shops)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("by", ["payment_id", "session_id", "transaction_id", "reference"])
async def test_a_late_claim_about_it_is_recorded_and_changes_nothing(shops: Shops, by: str, signed: bool) -> None:
    payment = await past(shops)
    names = {
        "payment_id": payment["payment_id"],
        "session_id": payment["session_id"],
        "transaction_id": f"T-{payment['payment_id'][-6:]}",
        "reference": "old",
    }
    none = dict.fromkeys(names)
    about = early(
        shops,
        account="shop-one",
        provider="onepaybd",
        **{**none, by: names[by]},
        signed=signed,
        event_id="E" if signed else None,
    )
    for _ in range(2):
        taken = await take_claims(shops.api.ledger, RULES, [about], FakeTurns())
        assert taken.questions == []
        assert list(taken.waiting) == []
    await unchanged(shops)


async def test_its_transaction_pays_no_other_payment(shops: Shops) -> None:
    payment = await past(shops)
    again = await shops.opened(reference="again")
    await shops.answered(again, Status.COMPLETED, transaction_id=f"T-{payment['payment_id'][-6:]}")
    got = (await shops.get(f"/v1/payments/{again['payment_id']}")).body
    assert (got["status"], got["hold"]) == ("pending", "transaction_reused")


async def test_its_order_is_paid_for_good(shops: Shops) -> None:
    await past(shops, order="basket")
    again = await shops.opened(reference="again", order="basket")
    await shops.answered(again, Status.COMPLETED)
    got = (await shops.get(f"/v1/payments/{again['payment_id']}")).body
    assert (got["status"], got["hold"]) == ("completed", "duplicate_for_order")


@pytest.mark.parametrize("by", ["session_id", "transaction_id", "reference"])
async def test_a_statement_that_names_it_makes_no_payment(shops: Shops, by: str) -> None:
    payment = await past(shops)
    names = {
        "session_id": payment["session_id"],
        "transaction_id": f"T-{payment['payment_id'][-6:]}",
        "reference": "old",
    }
    about = {**dict.fromkeys(names), by: names[by], "amount": Decimal(ORDER["amount"])}
    assert await found(shops, **about) == payment["payment_id"]
    await unchanged(shops)


async def test_it_is_not_here_in_words(shops: Shops) -> None:
    payment = await past(shops)
    for path in ("", "/timeline"):
        got = await shops.get(f"/v1/payments/{payment['payment_id']}{path}")
        assert got.problem == (404, "not_found", None)
        assert "its retention had ended" in got.body["detail"]
        other = await shops.get(f"/v1/payments/{payment['payment_id']}{path}", shop="other")
        assert "retention" not in other.body["detail"], "other merchants' payments do not exist"
    got = await shops.post(f"/v1/payments/{payment['payment_id']}/verify", {})
    assert got.problem == (404, "not_found", None)


async def test_a_line_of_a_statement_about_it_is_reported_and_followed_by_nothing(database: Database) -> None:
    books = Books(database)
    old = await books.paid("a")
    await assign_positions(database, 100)
    await aged(database)
    await books.paid("z")
    await assign_positions(database, 100)
    assert await forget(database) == 1
    before = await books.kept()
    lines = [
        line(2, transaction_id="t-a"),
        line(3, session_id="s-a"),
        line(4, reference="a"),
        refund(5, "1.00", reference="a"),
    ]
    run = await books.run(lines)
    rows = await books.rows(run)
    assert [(row.outcome, row.next.value, row.payment_id) for row in rows[:4]] == [
        (LineOutcome.MISSING_HERE, "reported", old.id)
    ] * 4
    assert "past its retention" in str(rows[0].why)
    assert await books.kept() == before


async def test_the_tasks_of_a_configuration_delete_as_it_says(shops: Shops) -> None:
    await told(shops, "old", Status.COMPLETED)
    await told(shops, "other", Status.COMPLETED)
    await aged(shops.database)
    await shops.database.execute("UPDATE payments SET holds = '{contradiction}' WHERE reference = 'other'")
    await told(shops, "new")
    retained = Retained(events=EVENTS.total_seconds(), payments=PAYMENTS.total_seconds())
    for task in tasks_of(replace(CONFIG, retention=retained)):
        await run_task(shops.database, task)
    assert await here(shops.database) == ["other", "new"]
    kinds = await shops.database.fetch("SELECT type FROM events ORDER BY place")
    assert [row["type"] for row in kinds] == ["payment.completed", "payment.opened"]
