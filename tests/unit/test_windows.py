"""Walking ShadhinPay's list: each payment of the requested time comes once, whatever arrives meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from consumers.ports.effects import HttpReply, HttpRequest, NoReply
from consumers.ports.gateway import ListedLines
from consumers.providers.shadhinpay import ShadhinPay
from schemas.answers import Inconclusive, Trouble
from schemas.secret import Secret
from schemas.statements import Line, Unread

KEYS = {name: Secret("key") for name in ("client_id", "business_id", "api_key", "webhook_secret")}
GATEWAY = ShadhinPay(base_url="https://gateway.example/api/v1", **KEYS)
START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + timedelta(days=3)


def written(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def payment(number: int, at: datetime, **changes: Any) -> dict[str, Any]:
    return {
        "paymentId": f"PAY_{number}",
        "merchantTxnId": f"order-{number}",
        "amount": "120.50",
        "currency": "BDT",
        "status": "COMPLETED",
        "refundTotal": "0.00",
        "initiatedAt": written(at),
        "completedAt": written(at + timedelta(seconds=20)),
        **changes,
    }


class Shelf:
    """A list, newest first, pages of at most 100; `between` happens before each answer."""

    def __init__(self, rows: list[dict[str, Any]], between: Callable[[Shelf], None] = lambda _: None) -> None:
        self.rows, self.between, self.asked = rows, between, 0

    def answer(self, request: HttpRequest) -> HttpReply:
        self.asked += 1
        assert self.asked < 2_000, "the walk has no end"
        self.between(self)
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
        number, size = int(query["page"]), int(query["size"])
        assert size <= 100
        newest = sorted(self.rows, key=lambda row: row["initiatedAt"], reverse=True)
        found = [row for row in newest if query["from"] <= row["initiatedAt"] <= query["to"]]
        data = {"content": found[number * size : (number + 1) * size], "page": number}
        return reply({"status": "success", "data": data})


def reply(body: Any, status: int = 200) -> HttpReply:
    return HttpReply(status=status, headers={"content-type": "application/json"}, body=json.dumps(body).encode())


def walked(
    answer: Callable[[HttpRequest], HttpReply], since: datetime = START, until: datetime = END
) -> tuple[list[Line | Unread], Inconclusive | None]:
    listing = GATEWAY.list_payments(since, until)
    lines: list[Line | Unread] = []
    step = next(listing)
    try:
        while True:
            if isinstance(step, ListedLines):
                lines += step.lines
                step = listing.send(None)
            else:
                assert isinstance(step, HttpRequest)
                step = listing.send(answer(step))
    except StopIteration as stop:
        return lines, stop.value


def numbers(lines: list[Line | Unread]) -> list[int]:
    return [int((line.reference or "").removeprefix("order-")) for line in lines if isinstance(line, Line)]


@pytest.mark.parametrize("seed", range(5))
def test_payments_that_arrive_while_pages_are_read_lose_nothing_and_double_nothing(seed: int) -> None:
    random = Random(seed)
    rows = [payment(number, START + (END - START) * random.random()) for number in range(900)]
    arrived = iter(range(10_000, 20_000))

    def between(shelf: Shelf) -> None:
        """Payments appear at the end of the list's time, as usual; sometimes an older one appears."""
        for _ in range(random.randrange(4)):
            shelf.rows.append(payment(next(arrived), END - timedelta(seconds=1)))
        if random.random() < 0.3:
            shelf.rows.append(payment(next(arrived), START + (END - START) * random.random()))

    lines, ended = walked(Shelf(rows, between).answer)
    assert ended is None
    found = numbers(lines)
    assert len(found) == len(set(found))
    assert set(range(900)) <= set(found)


def test_more_payments_in_one_second_than_a_page_holds_are_read_page_by_page() -> None:
    rows = [payment(number, START + timedelta(hours=5)) for number in range(250)]
    lines, ended = walked(Shelf(rows).answer)
    assert (ended, sorted(numbers(lines))) == (None, list(range(250)))


def test_times_may_be_written_without_the_fractions_that_the_list_was_chosen_by() -> None:
    random = Random(3)
    times = [START + timedelta(hours=5, microseconds=random.randrange(60_000_000)) for _ in range(900)]

    def whole(at: datetime) -> str:
        return f"{at:%Y-%m-%dT%H:%M:%S}Z"

    def answer(request: HttpRequest) -> HttpReply:
        body = json.loads(shelf.answer(request).body)
        for row in body["data"]["content"]:
            at = times[int(row["paymentId"].removeprefix("PAY_"))]
            row |= {"initiatedAt": whole(at), "completedAt": whole(at)}
        return reply(body)

    shelf = Shelf([payment(number, at) for number, at in enumerate(times)])
    lines, ended = walked(answer, START + timedelta(microseconds=26), END)
    assert (ended, sorted(numbers(lines))) == (None, list(range(900)))


def test_a_quiet_month_takes_few_requests() -> None:
    shelf = Shelf([payment(number, START + timedelta(hours=number)) for number in range(60)])
    walked(shelf.answer, START, START + timedelta(days=30))
    assert shelf.asked <= 31


def test_a_list_that_does_not_look_at_the_times_is_refused() -> None:
    rows = [payment(number, START - timedelta(days=90)) for number in range(3)]
    lines, ended = walked(lambda _: reply({"status": "success", "data": rows}))
    assert ended == Inconclusive(
        trouble=Trouble.UNREADABLE, detail="the list shows payments of other times than it was asked for"
    )
    assert lines == []


def test_a_summary_that_counts_more_than_a_page_shows_makes_the_walk_look_closer() -> None:
    rows = [payment(number, START + timedelta(hours=number)) for number in range(40)]

    def answer(request: HttpRequest) -> HttpReply:
        """A gateway that gives ten at most, whatever size is requested."""
        body = json.loads(Shelf(rows).answer(request).body)
        found = body["data"]["content"]
        body["data"] |= {"content": found[:10], "summary": {"successCount": len(found)}}
        return reply(body)

    lines, ended = walked(answer)
    assert (ended, sorted(numbers(lines))) == (None, list(range(40)))


def test_what_went_back_is_a_line_of_its_own_unless_it_is_all() -> None:
    part = payment(1, START + timedelta(hours=1), refundTotal="20.50")
    whole = payment(2, START + timedelta(hours=2), status="REFUNDED", refundTotal="120.50")
    lines, _ = walked(Shelf([part, whole]).answer)
    told = [(line.kind, line.status, str(line.amount), line.reference) for line in lines if isinstance(line, Line)]
    assert sorted(told) == [
        ("payment", "completed", "120.50", "order-1"),
        ("payment", "refunded", "120.50", "order-2"),
        ("refund", "refunded", "20.50", "order-1"),
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "UNDER_REVIEW"}, "UNDER_REVIEW"),
        ({"amount": "১২০"}, "amount"),
        ({"amount": None}, "amount"),
        ({"currency": "USD"}, "BDT"),
    ],
)
def test_a_payment_that_cannot_be_read_is_told_and_the_others_go_on(changes: dict[str, Any], why: str) -> None:
    rows = [payment(1, START + timedelta(hours=1), **changes), payment(2, START + timedelta(hours=2))]
    lines, ended = walked(Shelf(rows).answer)
    assert ended is None
    assert numbers(lines) == [2]
    [unread] = [line for line in lines if isinstance(line, Unread)]
    assert unread.text == "PAY_1"
    assert why in unread.why


def test_a_gateway_that_gives_no_reply_ends_the_list() -> None:
    def answer(_: HttpRequest) -> HttpReply:
        return reply({}, status=503)

    _, ended = walked(answer)
    assert ended is not None
    assert ended.trouble is Trouble.SERVER_ERROR

    listing = GATEWAY.list_payments(START, END)
    next(listing)
    with pytest.raises(StopIteration) as stop:
        listing.throw(NoReply("no reply: connection refused"))
    assert stop.value.value.trouble is Trouble.NO_REPLY
