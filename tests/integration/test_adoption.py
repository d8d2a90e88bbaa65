"""Money that came before its payment was opened: the shop's POST adopts it, and no second checkout is opened."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from consumers.explain.explain import explain_payment
from consumers.reconciliation.statement_facts import StatementSource
from consumers.reconciliation.unexpected import UnmatchedLine, record_unexpected
from schemas.requests import ListQuery
from schemas.statements import Line
from schemas.words import Hold, Status
from tests.integration.shops import CONFIG, ORDER, RULES, TRACKED, Shops
from worker.postgres.reads.find import find_payments
from worker.postgres.reads.snapshots import read_dossier
from worker.postgres.reads.work_list import read_work
from worker.runtime.ids import new_payment_id

REFERENCE = ORDER["reference"]


async def found(shops: Shops, account: str = "shop-one", **fields: Any) -> str:
    """A statement of the account names an unexpected payment. Returns the payment's id."""
    now = shops.database.clock.now()
    given: dict[str, Any] = {
        "row": 17,
        "kind": "payment",
        "status": Status.COMPLETED,
        "word": "Completed",
        "amount": Decimal(ORDER["amount"]),
        "transaction_id": "T-1",
        "reference": REFERENCE,
        "at": now - timedelta(days=3),
    }
    about = StatementSource(account=account, name="march.csv", newest=now)
    unmatched = [UnmatchedLine(line=Line(**(given | fields)))]
    made = await record_unexpected(shops.api.ledger, RULES, RULES.accounts[account], about, unmatched, new_payment_id)
    return made[0].payment_id


async def events(shops: Shops, payment_id: str) -> list[tuple[str, dict[str, Any]]]:
    await shops.placed()
    told = (await shops.get("/v1/events")).body["events"]
    return [(one["type"], one["data"]) for one in told if one["subject"] == payment_id]


async def test_it_is_listed_and_read_as_held(shops: Shops) -> None:
    payment_id = await found(shops)
    payment = (await shops.get(f"/v1/payments/{payment_id}")).body
    assert (payment["status"], payment["hold"], payment["version"]) == ("completed", "unexpected", 1)
    assert (payment["reference"], payment["transaction_id"], payment["checkout_url"]) == (REFERENCE, "T-1", None)
    assert payment["description"] == "paid at the gateway, unknown here"
    assert payment["opened_at"] == payment["expires_at"] == payment["completed_at"]
    page = (await shops.get("/v1/payments", hold="unexpected")).body
    assert [one["payment_id"] for one in page["payments"]] == [payment_id]
    assert page["summary"]["completed_count"] == 0, "held money is not counted as completed"
    entries = (await shops.get(f"/v1/payments/{payment_id}/timeline")).body["entries"]
    assert [(one["kind"], one.get("statement"), one.get("row")) for one in entries] == [
        ("answer", "march.csv", 17),
        ("decision", None, None),
        ("event", None, None),
    ]
    assert entries[1]["by"] == "row 17 of march.csv"
    assert await events(shops, payment_id) == [("payment.held", payment)]
    for path in (f"/v1/payments/{payment_id}", f"/v1/payments/{payment_id}/timeline"):
        assert (await shops.get(path, shop="other")).status == 404


async def test_a_person_finds_it_among_what_is_held(shops: Shops) -> None:
    payment_id = await found(shops)
    (held,) = (await read_work(shops.database, "shop", ListQuery(hold="any", limit=9))).held
    assert held.payment.id == payment_id
    assert held.since > held.payment.opened_at
    assert [one.id for one in await find_payments(shops.database, "T-1", ["shop"])] == [payment_id]
    snapshot = await read_dossier(shops.database, payment_id, CONFIG.account("shop-one"), CONFIG.checks)
    assert snapshot is not None
    explanation = explain_payment(snapshot)
    assert explanation.evidence is not None
    assert [one.by for one in explanation.evidence.answers] == ["row 17 of march.csv"]
    path = f"/v1/payments/{payment_id}/resolve"
    wish = {"status": "completed", "actor": "rahim", "reason": "a telephone order"}
    got = await shops.post(path, wish)
    assert (got.status, got.body["hold"], got.body["transaction_id"]) == (200, None, "T-1")
    assert (await shops.post(path, {**wish, "status": "failed"})).problem[1] == "not_held"
    assert [kind for kind, _ in await events(shops, payment_id)] == ["payment.held", "payment.completed"]
    assert (await shops.open()).problem == (409, "reference_used", "reference")


async def test_a_post_with_its_reference_adopts_it_and_opens_no_checkout(shops: Shops) -> None:
    payment_id = await found(shops)
    got = await shops.open(order="basket-9", metadata={"a": "b"}, failure_url="https://shop.example/no")
    assert got.status == 201
    payment = got.body
    assert (payment["payment_id"], payment["status"], payment["hold"], payment["version"]) == (
        payment_id,
        "completed",
        None,
        2,
    )
    assert (payment["order"], payment["metadata"], payment["description"]) == ("basket-9", {"a": "b"}, "Two saris")
    assert (payment["checkout_url"], payment["amount_verified"]) == (None, True)
    assert shops.checkout.openings == []
    assert (await shops.get(f"/v1/payments/{payment_id}")).body == payment
    told = await events(shops, payment_id)
    assert [kind for kind, _ in told] == ["payment.held", "payment.completed"]
    assert told[1][1] == payment
    entries = (await shops.get(f"/v1/payments/{payment_id}/timeline")).body["entries"]
    assert f"the shop announced it: 1500.50 BDT, reference {REFERENCE}, order basket-9" in [
        one.get("change") for one in entries
    ]


async def test_once_adopted_its_reference_is_used(shops: Shops) -> None:
    payment_id = await found(shops)
    assert (await shops.open()).status == 201
    for again in (await shops.open(), await shops.open(amount="9.00"), await shops.post("/v1/payments/track", TRACKED)):
        assert again.problem == (409, "reference_used", "reference")
        assert again.body["payment_id"] == payment_id
    assert shops.checkout.openings == []


@pytest.mark.parametrize("amount", ["1500.49", "1500.51"])
async def test_another_amount_is_held(shops: Shops, amount: str) -> None:
    payment_id = await found(shops)
    got = await shops.open(amount=amount)
    assert (got.status, got.body["hold"], got.body["amount"]) == (201, "amount_mismatch", amount)
    assert [(kind, data["hold"]) for kind, data in await events(shops, payment_id)] == [
        ("payment.held", "unexpected"),
        ("payment.held", "amount_mismatch"),
    ]
    wish = {"status": "completed", "actor": "rahim", "reason": "accepted"}
    assert (await shops.post(f"/v1/payments/{payment_id}/resolve", wish)).body["hold"] is None


async def test_an_order_that_is_paid_is_held_as_paid_twice(shops: Shops) -> None:
    first = await shops.opened(reference="first", order="basket-9")
    await shops.answered(first, Status.COMPLETED)
    payment_id = await found(shops)
    got = await shops.open(order="basket-9")
    assert (got.status, got.body["payment_id"], got.body["hold"]) == (201, payment_id, "duplicate_for_order")


async def test_money_that_went_back_is_no_checkout_of_another_amount(shops: Shops) -> None:
    payment_id = await found(shops, status=Status.REFUNDED)
    refused = await shops.open(amount="20.00")
    assert refused.problem == (409, "reference_used", "reference")
    assert refused.body["payment_id"] == payment_id
    got = await shops.open()
    assert (got.status, got.body["status"], got.body["refunded_amount"]) == (201, "refunded", "1500.50")
    assert [kind for kind, _ in await events(shops, payment_id)] == ["payment.held", "payment.released"]
    assert shops.checkout.openings == []


async def test_a_wrong_request_adopts_nothing(shops: Shops) -> None:
    payment_id = await found(shops)
    before = (await shops.get(f"/v1/payments/{payment_id}")).body
    assert (await shops.open(amount="0.00")).status == 422
    assert (await shops.open(account="other-one")).status == 422
    assert (await shops.open(shop="other", account="other-one")).status == 201
    assert (await shops.open(account="shop-ipay")).body["payment_id"] != payment_id, "references are per account"
    assert (await shops.get(f"/v1/payments/{payment_id}")).body == before


# -- track -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("session_id", ["TR-1", None])
async def test_it_is_tracked_by_its_reference(shops: Shops, session_id: str | None) -> None:
    payment_id = await found(shops, session_id=session_id)
    got = await shops.post("/v1/payments/track", TRACKED)
    assert (got.status, got.body["payment_id"], got.body["hold"]) == (201, payment_id, None)
    assert (got.body["session_id"], got.body["status"]) == ("TR-1", "completed")


async def test_it_is_tracked_by_its_session(shops: Shops) -> None:
    payment_id = await found(shops, session_id="TR-1", reference=None)
    got = await shops.post("/v1/payments/track", TRACKED)
    assert (got.status, got.body["payment_id"], got.body["hold"]) == (201, payment_id, None)
    assert got.body["reference"] == REFERENCE
    (kept,) = (await shops.get("/v1/payments", reference=REFERENCE)).body["payments"]
    assert kept == got.body
    await shops.opened(reference="unexpected.T-1")


async def test_a_session_is_tracked_under_no_reference_that_is_used(shops: Shops) -> None:
    other = await shops.opened()
    payment_id = await found(shops, session_id="TR-1", reference=None)
    got = await shops.post("/v1/payments/track", TRACKED)
    assert got.problem == (409, "reference_used", "reference")
    assert got.body["payment_id"] == other["payment_id"]
    assert (await shops.get(f"/v1/payments/{payment_id}")).body["hold"] == "unexpected"


# -- once --------------------------------------------------------------------------------------------------------------


async def test_an_adoption_with_a_key_is_replayed(shops: Shops) -> None:
    payment_id = await found(shops)
    first = await shops.open(key="k")
    again = await shops.open(key="k")
    assert (first.status, first.body["payment_id"]) == (201, payment_id)
    assert (again.status, again.raw, again.headers["Idempotent-Replayed"]) == (201, first.raw, "true")
    assert (await shops.open(key="k", amount="9.00")).problem[1] == "idempotency_conflict"


async def test_who_takes_over_from_a_holder_that_died_after_adopting_gets_the_payment(shops: Shops) -> None:
    await found(shops)
    first = await shops.open(key="k")
    await shops.database.execute(
        "UPDATE idempotency SET status = NULL, busy_until = clock_timestamp() - interval '1 s', body = $1",
        first.body["payment_id"].encode(),
    )
    again = await shops.open(key="k")
    assert (again.status, again.body) == (201, first.body)
    assert "Idempotent-Replayed" not in again.headers
    assert (await shops.open(key="another")).problem[1] == "reference_used"


async def test_of_many_posts_at_once_one_adopts(shops: Shops) -> None:
    payment_id = await found(shops)
    tracked = {**TRACKED, "session_id": "TR-9"}
    got = await asyncio.gather(
        *(shops.open(order=f"o-{number}") for number in range(6)),
        *(shops.post("/v1/payments/track", tracked) for _ in range(3)),
    )
    assert sorted(one.status for one in got) == [201, *[409] * 8]
    assert {one.body["payment_id"] for one in got} == {payment_id}
    assert [kind for kind, _ in await events(shops, payment_id)] == ["payment.held", "payment.completed"]
    assert shops.checkout.openings == []


async def test_a_statement_and_a_post_at_once_make_one_payment(shops: Shops) -> None:
    """In either order: the line finds the shop's payment, or the shop adopts the payment that the line made."""
    for number in range(8):
        reference = f"race-{number}"
        at_once = await asyncio.gather(
            found(shops, reference=reference, transaction_id=f"T-{number}"), shops.open(reference=reference)
        )
        payment_id, got = at_once
        assert (got.status, got.body["payment_id"]) == (201, payment_id)
        rows = await shops.database.fetch("SELECT id FROM payments WHERE reference = $1", reference)
        assert [row["id"] for row in rows] == [payment_id]


# -- after that --------------------------------------------------------------------------------------------------------


async def test_the_gateway_answers_about_it_as_about_any_payment(shops: Shops) -> None:
    payment_id = await found(shops, account="shop-ipay")
    assert (await shops.post(f"/v1/payments/{payment_id}/verify", {})).status == 202
    assert [one["payment_id"] for one in await shops.queued()] == [payment_id]
    payment = (await shops.open(account="shop-ipay")).body
    await shops.answered({**payment, "session_id": "IPAY-1"}, Status.COMPLETED, transaction_id="T-1", amount=None)
    after = (await shops.get(f"/v1/payments/{payment_id}")).body
    assert (after["status"], after["hold"], after["session_id"]) == ("completed", None, "IPAY-1")
    await shops.answered({**payment, "session_id": "IPAY-1"}, Status.FAILED)
    assert (await shops.get(f"/v1/payments/{payment_id}")).body["hold"] == Hold.CONTRADICTION


async def test_what_was_stored_of_its_facts_is_read_as_facts(shops: Shops) -> None:
    payment_id = await found(shops)
    ((stored,),) = [tuple(row) for row in await shops.database.fetch("SELECT fact FROM facts")]
    assert stored["row"] == {"name": "march.csv", "row": 17, "refund": False, "listed": False}
    async with shops.api.ledger.batch([payment_id]) as batch:
        (fact,) = batch.cases[payment_id].facts
    assert msgspec.to_builtins(fact)["row"] == stored["row"]
