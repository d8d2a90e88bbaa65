"""GET: the list with its filters and pages, the summary, the timeline, and the events."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import jsonschema
import msgspec
import pytest

from consumers.ports.openings import Opened
from schemas.answers import Inconclusive, Trouble
from schemas.words import Status
from tests.integration.shops import Shops, at
from worker.postgres.reads import reading
from worker.postgres.reads.now_state import read_now


async def three(shops: Shops) -> list[dict[str, Any]]:
    """A completed payment, a held payment, and a payment of another account, in order of opening."""
    done = await shops.opened(reference="a", order="o-1", amount="100.00")
    held = await shops.opened(reference="b", amount="200.00")
    other = await shops.opened(reference="c", amount="300.00", account="shop-ipay")
    await shops.answered(done, Status.COMPLETED)
    await shops.answered(held, Status.COMPLETED, amount=Decimal("1.00"))
    return [done, held, other]


async def references(shops: Shops, **params: Any) -> list[str]:
    got = await shops.get("/v1/payments", **params)
    assert got.status == 200, got
    return [payment["reference"] for payment in got.body["payments"]]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, ["c", "b", "a"]),
        ({"status": "completed"}, ["a"]),
        ({"status": "pending"}, ["c", "b"]),
        ({"provider": "ipay"}, ["c"]),
        ({"account": "shop-one"}, ["b", "a"]),
        ({"reference": "b"}, ["b"]),
        ({"order": "o-1"}, ["a"]),
        ({"hold": "any"}, ["b"]),
        ({"hold": "none"}, ["c", "a"]),
        ({"hold": "amount_mismatch"}, ["b"]),
        ({"hold": "unresolved"}, []),
        ({"amount_min": "200"}, ["c", "b"]),
        ({"amount_max": "200.00"}, ["b", "a"]),
        ({"amount_min": "150", "amount_max": "250", "status": "pending"}, ["b"]),
        ({"status": "completed", "account": "shop-ipay"}, []),
        ({"limit": "2"}, ["c", "b"]),
        ({"session_id": "S-2"}, ["b"]),
        ({"session_id": "s-2"}, []),
        ({"q": "S-2"}, ["b"]),
        ({"q": "s-2"}, ["b"]),
        ({"q": " O-1 "}, ["a"]),
        ({"q": "C", "status": "pending"}, ["c"]),
        ({"q": "C", "status": "completed"}, []),
        ({"q": "nothing of this name"}, []),
        ({"from": "2020-01-01T00:00:00+06:00", "to": "2100-01-01T00:00Z"}, ["c", "b", "a"]),
    ],
)
async def test_filters_are_anded(shops: Shops, params: dict[str, str], found: list[str]) -> None:
    await three(shops)
    assert await references(shops, **params) == found
    assert await references(shops, **params) == found
    assert (await shops.get("/v1/payments", shop="other")).body["payments"] == []


async def test_a_payment_is_listed_by_its_transaction_and_by_former_keys(shops: Shops) -> None:
    done, *_ = await three(shops)
    transaction = (await shops.get(f"/v1/payments/{done['payment_id']}")).body["transaction_id"]
    assert await references(shops, transaction_id=transaction) == ["a"]
    assert await references(shops, q=transaction.lower()) == ["a"]
    assert await references(shops, q=done["payment_id"].upper(), transaction_id=transaction, session_id="S-1") == ["a"]
    assert await references(shops, session_id="S-2", transaction_id=transaction) == []
    got = await shops.get("/v1/payments", q=transaction)
    assert got.body["summary"] == {
        "count": 1,
        "completed_count": 1,
        "failed_count": 0,
        "completed_amount": "100.00",
        "capped": False,
    }
    for params in ({"q": transaction}, {"transaction_id": transaction}, {"session_id": "S-1"}):
        assert (await shops.get("/v1/payments", shop="other", **params)).body["payments"] == []


async def test_q_finds_pages_and_no_phone_number(shops: Shops) -> None:
    for nth in range(3):
        await shops.opened(reference=f"r{nth}", order="Saris", customer={"phone": "01712345678"})
    first = await shops.get("/v1/payments", q="SARIS", limit="2")
    assert [one["reference"] for one in first.body["payments"]] == ["r2", "r1"]
    assert await references(shops, q="SARIS", limit="2", cursor=first.body["next_cursor"]) == ["r0"]
    assert await references(shops, q="01712345678") == []


async def test_from_is_inclusive_and_to_is_not(shops: Shops) -> None:
    _, held, _ = await three(shops)
    assert await references(shops, **{"from": held["opened_at"]}) == ["c", "b"]
    assert await references(shops, to=held["opened_at"]) == ["a"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=paid", "status"),
        ("q=", "q"),
        ("q=a&q=b", "q"),
        ("transaction_id=", "transaction_id"),
        ("transaction_id=a%20b", "transaction_id"),
        ("session_id=%00", "session_id"),
        ("status=", "status"),
        ("status=pending&status=failed", "status"),
        ("provider=nagad", "provider"),
        ("account=other-one", "account"),
        ("account=nobodys", "account"),
        ("account=A", "account"),
        ("reference=a/b", "reference"),
        ("order=", "order"),
        ("order=%00", "order"),
        ("order=%ff%fe%00", "order"),
        ("hold=yes", "hold"),
        ("from=2026-01-01", "from"),
        ("from=2026-01-01T00:00:00", "from"),
        ("from=2026-01-01T00:00:00+06:00", "from"),
        ("from=2026-02-30T00:00:00Z", "from"),
        ("from=0001-01-01T00:00:00%2B14:00", "from"),
        ("to=9999-12-31T23:59:59-14:00", "to"),
        ("to=now", "to"),
        ("amount_min=-1", "amount_min"),
        ("amount_max=1e3", "amount_max"),
        ("amount_max=%E0%A7%A7", "amount_max"),
        ("amount_max=NaN", "amount_max"),
        ("amount_max=1.001", "amount_max"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=1.0", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("limit=", "limit"),
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
        ("page=2", "page"),
        ("page%00=2", "page\x00"),
    ],
)
async def test_unknown_parameters_and_values_are_named(shops: Shops, query: str, field: str) -> None:
    got = await shops.call("GET", f"/v1/payments?{query}")
    assert got.problem == (422, "invalid_request", field)


async def test_every_wrong_parameter_is_named(shops: Shops) -> None:
    got = await shops.call("GET", "/v1/payments?limit=0&page=2&status=paid")
    assert {error["field"] for error in got.body["errors"]} == {"limit", "page", "status"}


async def test_pages_meet_each_payment_once_while_others_are_opened(shops: Shops) -> None:
    for nth in range(7):
        await shops.opened(reference=f"r-{nth}")
    seen, cursor = [], None
    while True:
        page = (await shops.get("/v1/payments", limit="3", **({"cursor": cursor} if cursor else {}))).body
        seen += [payment["reference"] for payment in page["payments"]]
        await shops.opened(reference=f"new-{len(seen)}")
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"r-{nth}" for nth in reversed(range(7))]


async def test_payments_of_one_moment_are_paged_by_id(shops: Shops) -> None:
    for nth in range(5):
        await shops.opened(reference=f"r-{nth}")
    await shops.database.execute("UPDATE payments SET opened_at = '2026-01-01T00:00:00Z'")
    seen, cursor = [], None
    for _ in range(3):
        page = (await shops.get("/v1/payments", limit="2", **({"cursor": cursor} if cursor else {}))).body
        seen += [payment["payment_id"] for payment in page["payments"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert (len(seen), seen) == (5, sorted(seen, reverse=True))


async def test_the_summary_is_over_all_matches(shops: Shops) -> None:
    await three(shops)
    failed = await shops.opened(reference="d", account="shop-ipay")
    await shops.answered(failed, Status.FAILED)
    more = await shops.opened(reference="e", amount="50.25")
    await shops.answered(more, Status.COMPLETED)
    got = (await shops.get("/v1/payments", limit="1")).body
    assert got["summary"] == {
        "count": 5,
        "completed_count": 2,
        "failed_count": 1,
        "completed_amount": "150.25",
        "capped": False,
    }
    got = (await shops.get("/v1/payments", limit="1", cursor=got["next_cursor"], account="shop-one")).body
    assert got["summary"] == {
        "count": 3,
        "completed_count": 2,
        "failed_count": 0,
        "completed_amount": "150.25",
        "capped": False,
    }
    got = (await shops.get("/v1/payments", shop="other")).body
    assert got == {
        "payments": [],
        "next_cursor": None,
        "summary": {"count": 0, "completed_count": 0, "failed_count": 0, "completed_amount": "0.00", "capped": False},
    }


async def test_sums_are_of_the_money_that_came(shops: Shops) -> None:
    payment = await shops.opened(reference="a", amount="1500.50")
    await shops.answered(payment, Status.COMPLETED, amount=Decimal("900.00"))
    wish = {"status": "completed", "actor": "rahim", "reason": "the shop agreed to 900"}
    assert (await shops.post(f"/v1/payments/{payment['payment_id']}/resolve", wish)).status == 200
    other = await shops.opened(reference="b", amount="10.00")
    await shops.answered(other, Status.COMPLETED)
    assert (await shops.get("/v1/payments")).body["summary"]["completed_amount"] == "910.00"
    assert (await shops.get("/v1/payments", reference="b")).body["summary"]["completed_amount"] == "10.00"
    now = await read_now(shops.database, ["shop"], [], [], shops.database.clock.now())
    assert [(day.paid, day.amount) for day in now.days] == [(2, Decimal("910.00"))]
    await shops.database.execute(
        "UPDATE payments SET status = 'refunded', refunded_amount = amount WHERE reference = 'b'"
    )
    now = await read_now(shops.database, ["shop"], [], [], shops.database.clock.now())
    assert [(day.paid, day.amount) for day in now.days] == [(1, Decimal("900.00"))]


async def test_a_look_that_found_as_many_as_it_may_says_so(shops: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_FOUND", 2)
    for nth in range(2):
        await shops.opened(reference=f"r{nth}", order="Saris")
    assert (await shops.get("/v1/payments", q="SARIS")).body["summary"]["capped"] is True
    assert (await shops.get("/v1/payments", q="r0")).body["summary"]["capped"] is False


async def test_a_completed_payment_under_a_hold_is_not_counted_as_completed(shops: Shops) -> None:
    first = await shops.opened(reference="a", order="o", account="shop-ipay")
    second = await shops.opened(reference="b", order="o", account="shop-ipay")
    await shops.answered(first, Status.COMPLETED)
    await shops.answered(second, Status.COMPLETED)
    held = (await shops.get("/v1/payments", hold="any")).body
    assert (held["payments"][0]["status"], held["summary"]["completed_count"]) == ("completed", 0)
    assert (await shops.get("/v1/payments")).body["summary"]["completed_count"] == 1


async def test_the_timeline_tells_what_happened_in_order(shops: Shops) -> None:
    shops.checkout.script(Inconclusive(trouble=Trouble.NO_REPLY, detail="no reply"))
    await shops.open()
    payment = await shops.opened()
    await shops.answered(payment, Status.COMPLETED)
    got = await shops.get(f"/v1/payments/{payment['payment_id']}/timeline")
    entries = got.body["entries"]
    assert [entry["kind"] for entry in entries] == ["decision", "event", "answer", "decision", "event"]
    assert all(at(entry["at"]).utcoffset() == timedelta(0) for entry in entries)
    assert entries[0]["change"] == "no checkout"
    assert [entries[1]["type"], entries[4]["type"]] == ["payment.opened", "payment.completed"]
    assert entries[2]["status"] == "completed"


async def test_events_are_the_stored_bytes_oldest_first(shops: Shops) -> None:
    payments = await three(shops)
    await shops.opened(shop="other", account="other-one")
    await shops.placed()
    got = await shops.get("/v1/events")
    stored = await shops.database.fetch("SELECT body FROM events WHERE merchant = 'shop' ORDER BY place")
    joined = b",".join(row["body"] for row in stored)
    assert got.raw == b'{"events":[' + joined + b'],"next":"' + got.body["next"].encode() + b'"}'
    assert [event["type"] for event in got.body["events"]] == [
        *["payment.opened"] * 3,
        "payment.completed",
        "payment.held",
    ]
    assert [event["subject"] for event in got.body["events"][:3]] == [one["payment_id"] for one in payments]
    mine = (await shops.get("/v1/events", shop="other")).body["events"]
    assert [event["source"] for event in mine] == ["/payproof/other/other-one"]


async def test_the_events_are_followed_without_gaps_or_repeats(shops: Shops) -> None:
    first = (await shops.get("/v1/events")).body
    assert first["events"] == []
    seen, after = [], first["next"]
    for nth in range(5):
        await shops.opened(reference=f"r-{nth}")
        await shops.placed()
        page = (await shops.get("/v1/events", after=after, limit="2")).body
        seen += [event["data"]["reference"] for event in page["events"]]
        after = page["next"]
    assert seen == [f"r-{nth}" for nth in range(5)]
    page = (await shops.get("/v1/events", after=after)).body
    assert page == {"events": [], "next": after}
    page = (await shops.get("/v1/events", limit="3")).body
    rest = (await shops.get("/v1/events", after=page["next"])).body
    assert [len(page["events"]), len(rest["events"])] == [3, 2]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=", "after"),
        ("after=x", "after"),
        ("after=c2hvcC4tMQ", "after"),
        ("after=" + "A" * 300, "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("since=1", "since"),
    ],
)
async def test_wrong_parameters_of_events_are_named(shops: Shops, query: str, field: str) -> None:
    assert (await shops.call("GET", f"/v1/events?{query}")).problem == (422, "invalid_request", field)


async def test_a_cursor_of_another_merchant_or_with_another_spelling_is_wrong(shops: Shops) -> None:
    after = (await shops.get("/v1/events", shop="other")).body["next"]
    assert (await shops.get("/v1/events", after=after)).problem == (422, "invalid_request", "after")
    for text in (b"shop.00000000000000000000000", b"shop.-1", b"shop.1\n", b"shop.\xe0\xa7\xa7"):
        cursor = urlsafe_b64encode(text).decode().rstrip("=")
        assert (await shops.get("/v1/events", after=cursor)).problem == (422, "invalid_request", "after")


async def test_what_the_gateway_says_of_the_end_is_shown(shops: Shops) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    shops.checkout.script(Opened(session_id="S", checkout_url="https://gateway.example/x", expires_at=ends))
    assert at((await shops.opened())["expires_at"]) == ends


async def test_a_checkout_without_a_session_is_shown_without_one(shops: Shops) -> None:
    schema = (await shops.call("GET", "/schemas/payment-1.json", shop=None)).body
    for number in range(2):
        shops.checkout.script(Opened(checkout_url=f"https://gateway.example/{number}"))
        payment = await shops.opened(reference=f"sessionless-{number}")
        assert (payment["session_id"], payment["checkout_url"]) == (None, f"https://gateway.example/{number}")
        jsonschema.validate(payment, schema)
        read = (await shops.get(f"/v1/payments/{payment['payment_id']}")).body
        assert (read["session_id"], read["version"]) == (None, 1)


async def test_the_schema_of_the_payment_is_for_everyone(shops: Shops) -> None:
    got = await shops.call("GET", "/schemas/payment-1.json", shop=None)
    payment = await shops.opened()
    jsonschema.validators.Draft202012Validator.check_schema(got.body)
    jsonschema.validate(payment, got.body)
    await shops.placed()
    event = (await shops.get("/v1/events")).body["events"][0]
    assert event["dataschema"] == got.body["$id"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**payment, "amount": "1500.5"}, got.body)
    assert msgspec.json.encode(event["data"]) == msgspec.json.encode(payment)
