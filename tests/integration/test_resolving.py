"""People at work on holds, against Postgres: two who decide at once, and the list that they work from."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from consumers.explain.evidence import evidence
from consumers.reconciliation.statement_facts import StatementEntry, StatementSource, record_lines
from schemas.requests import ListQuery
from schemas.statements import Line
from schemas.words import Hold, Status
from tests.fakes.providers import SILENT
from tests.integration.shops import CONFIG, RULES, Got, Shops
from worker.postgres.reads.find import find_payments
from worker.postgres.reads.snapshots import read_dossier
from worker.postgres.reads.work_list import read_work

PEOPLE = 8
UNASKED = msgspec.structs.replace(
    RULES, accounts={**RULES.accounts, "shop-ipay": msgspec.structs.replace(SILENT, id="shop-ipay")}
)
"""The gateway of this account cannot be asked here, so its statements count."""


async def held(shops: Shops, reference: str, amount: str = "15.00") -> dict[str, Any]:
    """A payment whose gateway answers with another amount."""
    payment = await shops.opened(account="shop-ipay", reference=reference)
    await shops.answered(payment, Status.COMPLETED, amount=Decimal(amount))
    return payment


@pytest.mark.parametrize("round_", range(5))
async def test_of_many_who_decide_differently_at_once_one_wins_and_the_others_are_told_who(
    shops: Shops, round_: int
) -> None:
    payment = await held(shops, f"order-{round_}")
    path = f"/v1/payments/{payment['payment_id']}/resolve"

    async def decide(number: int) -> Got:
        status = "completed" if number % 2 else "failed"
        return await shops.post(path, {"status": status, "actor": f"person-{number}", "reason": "seen"})

    got = await asyncio.gather(*(decide(number) for number in range(PEOPLE)))
    (winner,) = [number for number, one in enumerate(got) if one.status == 200]
    status = "completed" if winner % 2 else "failed"
    assert (got[winner].body["status"], got[winner].body["hold"], got[winner].body["version"]) == (status, None, 3)
    for lost in (one for number, one in enumerate(got) if number != winner):
        assert lost.problem == (409, "not_held", None)
        assert f"; person-{winner} resolved it as {status} at " in lost.body["detail"]
    entries = (await shops.get(f"/v1/payments/{payment['payment_id']}/timeline")).body["entries"]
    assert [one["actor"] for one in entries if one["kind"] == "resolution"] == [f"person-{winner}"]
    decisions = [one["rule"] for one in entries if one["kind"] == "decision"]
    assert decisions == ["money that does not fit is held", "a person's word settles what is held"]


async def test_many_who_decide_the_same_as_one_person_all_have_it_done_once(shops: Shops) -> None:
    payment = await held(shops, "order-1")
    path = f"/v1/payments/{payment['payment_id']}/resolve"
    wish = {"status": "completed", "actor": "rahim", "reason": "seen"}
    got = await asyncio.gather(*(shops.post(path, wish) for _ in range(PEOPLE)))
    assert {(one.status, one.body["version"]) for one in got} == {(200, 3)}


async def test_the_work_list_is_the_oldest_first_with_what_is_at_stake(shops: Shops) -> None:
    one, two, three = [await held(shops, f"order-{number}") for number in range(3)]
    await shops.answered(two, Status.COMPLETED, currency="USD")
    await shops.opened(account="shop-ipay", reference="order-well")
    work = await read_work(shops.database, "shop", ListQuery(hold="any", limit=2))
    assert [one.payment.id for one in work.held] == [one["payment_id"], two["payment_id"]]
    assert all(one.since < work.now for one in work.held)
    assert [(stake.hold, stake.count, stake.amount, stake.currency) for stake in work.stakes] == [
        (Hold.CURRENCY_MISMATCH, 1, Decimal("1500.50"), "BDT"),
        (Hold.AMOUNT_MISMATCH, 2, Decimal("3001.00"), "BDT"),
    ]
    path = f"/v1/payments/{three['payment_id']}/resolve"
    assert (await shops.post(path, {"status": "failed", "actor": "rahim", "reason": "not there"})).status == 200
    some = await read_work(shops.database, "shop", ListQuery(hold="amount_mismatch", limit=9))
    assert [held.payment.id for held in some.held] == [one["payment_id"]]
    assert (await read_work(shops.database, "other", ListQuery(hold="any", limit=9))).held == []


async def test_a_hold_that_came_again_waits_since_then(shops: Shops) -> None:
    payment = await held(shops, "order-1")
    path = f"/v1/payments/{payment['payment_id']}/resolve"
    assert (await shops.post(path, {"status": "completed", "actor": "rahim", "reason": "seen"})).status == 200
    (before,) = await shops.database.fetch("SELECT clock_timestamp() AS now")
    await shops.answered(payment, Status.COMPLETED, amount=Decimal("16.00"))
    (again,) = (await read_work(shops.database, "shop", ListQuery(hold="any", limit=9))).held
    assert again.since > before["now"]


async def test_a_dossier_names_who_has_the_transaction_and_who_paid_the_order(shops: Shops) -> None:
    first = await shops.opened(account="shop-ipay", reference="one", order="o-1")
    second = await shops.opened(account="shop-ipay", reference="two", order="o-1")
    for payment in (first, second):
        await shops.answered(payment, Status.COMPLETED, transaction_id=f"T-{payment['reference']}")
    await shops.answered(second, Status.COMPLETED, transaction_id="T-one")
    snapshot = await read_dossier(shops.database, second["payment_id"], CONFIG.account("shop-ipay"), CONFIG.checks)
    assert snapshot is not None
    assert snapshot.others.transactions == {"T-one": first["payment_id"]}
    assert snapshot.others.order_paid_by == first["payment_id"]
    found = evidence(snapshot)
    assert found is not None
    assert found.holds == (Hold.TRANSACTION_REUSED, Hold.DUPLICATE_FOR_ORDER)
    assert found.since is not None
    assert await read_dossier(shops.database, "pay_nobody", None, CONFIG.checks) is None


async def test_a_payment_is_found_by_whatever_a_person_has(shops: Shops) -> None:
    payment = await shops.opened(account="shop-ipay", reference="one", order="o-1")
    await shops.answered(payment, Status.COMPLETED, transaction_id="T-one")
    mismatched = await shops.opened(account="shop-ipay", reference="two", order="o-1")
    await shops.answered(mismatched, Status.COMPLETED, transaction_id="T-two", amount=Decimal("1.00"))
    one, two = payment["payment_id"], mismatched["payment_id"]

    async def find(typed: str, merchant: str = "shop") -> list[str]:
        return [found.id for found in await find_payments(shops.database, typed, [merchant])]

    for typed in (one, "one", payment["session_id"], "T-one"):
        assert await find(typed) == [one]
        assert await find(typed, "other") == []
    assert await find("T-two") == [two], "an answer that does not fit named it"
    assert await find("o-1") == [one, two]
    for nothing in ("", "%", "T-", "\0"):
        assert await find(nothing) == []


@pytest.mark.parametrize("amount", ["1500.00", "1600.00"])
async def test_all_of_what_a_person_accepted_back_is_refunded(shops: Shops, amount: str) -> None:
    payment = await held(shops, "order-1", amount)
    path = f"/v1/payments/{payment['payment_id']}"
    wish = {"status": "completed", "actor": "rahim", "reason": "we take that for it"}
    assert (await shops.post(f"{path}/resolve", wish)).body["status"] == "completed"
    await shops.answered(payment, Status.COMPLETED, amount=Decimal(amount), refunded_amount=Decimal("40.00"))
    told = (await shops.get(path)).body
    assert (told["status"], told["hold"], told["refunded_amount"]) == ("completed", None, "40.00")
    await shops.answered(payment, Status.REFUNDED, amount=Decimal(amount))
    told = (await shops.get(path)).body
    assert (told["status"], told["hold"]) == ("refunded", None)
    assert (told["amount"], told["refunded_amount"]) == ("1500.50", amount)


async def test_completing_what_a_statement_says_was_paid_back_in_full_is_refunded(shops: Shops) -> None:
    """A resolution says that the money came; the tables accept the resulting refund."""
    payment = await shops.opened(account="shop-ipay", reference="order-1")
    await shops.answered(payment, Status.COMPLETED, currency="USD")
    back = StatementEntry(
        payment_id=payment["payment_id"],
        line=Line(row=4, kind="refund", status=Status.REFUNDED, word="Refund", amount=Decimal("1500.50")),
    )
    about = StatementSource(account="shop-ipay", name="march.csv", newest=shops.database.clock.now())
    assert (await record_lines(shops.api.ledger, UNASKED, about, [back]))[0].outcome == "recorded"
    path = f"/v1/payments/{payment['payment_id']}/resolve"
    got = await shops.post(path, {"status": "completed", "actor": "rahim", "reason": "it came, and went back"})
    assert (got.status, got.body["status"], got.body["refunded_amount"]) == (200, "refunded", "1500.50")
    got = await shops.post(path, {"status": "completed", "actor": "karim", "reason": "another"})
    assert got.problem == (409, "not_held", None)


async def test_a_paid_duplicate_is_named_to_whoever_looks_at_the_next(shops: Shops) -> None:
    """The first attempt was refunded; the second is held and counts as paid, and so the third is held because of it."""
    attempts = [
        await shops.opened(account="shop-ipay", reference=name, order="o-1") for name in ("one", "two", "three")
    ]
    for payment in attempts[:2]:
        await shops.answered(payment, Status.COMPLETED)
    await shops.answered(attempts[0], Status.REFUNDED)
    await shops.answered(attempts[2], Status.COMPLETED)
    ids = [one["payment_id"] for one in attempts]
    shown = [(await shops.get(f"/v1/payments/{one}")).body for one in ids]
    holds = [(one["status"], one["hold"]) for one in shown]
    assert holds == [("refunded", None), ("completed", "duplicate_for_order"), ("completed", "duplicate_for_order")]
    snapshot = await read_dossier(shops.database, ids[2], CONFIG.account("shop-ipay"), CONFIG.checks)
    assert snapshot is not None
    assert snapshot.others.order_paid_by == ids[1]
