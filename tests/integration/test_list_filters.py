"""The filters that a person types mean the same in the console's form and after `payproof payments list`."""

from __future__ import annotations

from datetime import datetime

from schemas.requests import ListQuery
from schemas.words import Status
from tests.integration.shops import CONFIG, Shops
from worker.postgres.reads.held_list import read_held
from worker.postgres.reads.list_filters import read_filters


def test_a_day_is_one_of_dhaka_and_the_last_one_is_included() -> None:
    query, wrong = read_filters({"from": "2026-11-01", "to": "2026-11-30", "status": "failed"}, 20)
    assert wrong == []
    assert query == ListQuery(
        limit=20,
        status=Status.FAILED,
        since=datetime.fromisoformat("2026-11-01T00:00:00+06:00"),
        until=datetime.fromisoformat("2026-12-01T00:00:00+06:00"),
    )
    times, wrong = read_filters({"from": "2026-11-01T10:00:00Z"}, 20)
    assert (times.since, wrong) == (datetime.fromisoformat("2026-11-01T10:00:00+00:00"), [])


def test_each_filter_that_is_wrong_is_told_with_what_it_must_be() -> None:
    query, wrong = read_filters({"from": "yesterday", "to": "9999-12-31", "amount_min": "x", "order": "a"}, 20)
    assert {one.field for one in wrong} == {"from", "to", "amount_min"}
    assert all("a day such as" in one.message for one in wrong if one.field in ("from", "to"))
    assert query == ListQuery(limit=20, order="a")


async def test_a_filter_by_any_id_counts_in_the_list_of_held_payments_too(shops: Shops) -> None:
    for reference in ("a", "b"):
        payment = await shops.opened(reference=reference, order=f"Order-{reference}")
        await shops.answered(payment, Status.COMPLETED, currency="USD")
    query, _ = read_filters({"hold": "any", "q": "ORDER-B"}, 20)
    found = await read_held(shops.database, ["shop"], query, CONFIG.accounts, CONFIG.checks)
    assert [one.payment.reference for one in found.work.held] == ["b"]
    assert [stake.count for stake in found.work.stakes] == [1]
    assert list(found.differences.values()) == ["currency USD, expected BDT"]
    assert found.proposals == {}
