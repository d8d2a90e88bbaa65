"""ShadhinPay's list of payments as lines of a statement: GET /payments with from, to, page and size (S2).

S2 says "ISO-8601 date-time range" and not which time of a payment it means. So no payment is missed, the walk begins a
day before the wanted time, because a checkout lives minutes. A line's time is when its payment was completed, else when
it was initiated. Whether the bounds are included is UNKNOWN too; see windows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from msgspec.structs import replace

from consumers.ports.effects import Exchange
from consumers.ports.gateway import ListExchange
from consumers.providers.kit.outgoing import segment
from consumers.providers.kit.replies import exchange
from consumers.providers.kit.reply_fields import printable, required_text
from consumers.providers.kit.timestamps import iso, time_or_none
from consumers.providers.kit.windows import Listing, ListPage, walk
from schemas.answers import Answer, Inconclusive
from schemas.numbers import whole
from schemas.statements import Line, Unread
from schemas.wire import Unreadable, aside
from schemas.words import Status

SIZE = 100  # "page size (max 100)"
EARLIER = timedelta(days=1)

Get = Callable[[str], Exchange[dict[str, Any]]]
Read = Callable[[dict[str, Any]], Answer]


def list_payments(get: Get, read: Read, since: datetime, until: datetime) -> ListExchange[Inconclusive | None]:
    """Yield the lines from `since` to `until`, and some before. `get` fetches a path, `read` reads a payment object."""
    return walk(partial(_asked, get, read), since - EARLIER, until)


def listed_payment(data: object, reference: str) -> dict[str, Any]:
    """The payment of the list whose reference is exactly ours. Whether the list's filter matches parts is UNKNOWN.

    Raises Unreadable where it is absent, which proves nothing: the row may come later, or stand on another page.
    """
    ours = [row for row in _rows(data) if aside(row, "merchantTxnId") == reference]
    if len(ours) > 1:
        raise Unreadable("the list has two payments with our reference, which is unique there")
    if not ours:
        raise Unreadable("the list does not show it, which proves nothing")
    return ours[0]


def _rows(data: object) -> list[dict[str, Any]]:
    """The list's payments. Its envelope is UNKNOWN: `data` is a list, or has lists (content, items, payments)."""
    lists = [data] if isinstance(data, list) else []
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
    if not lists:
        raise Unreadable("the list holds no list")
    return [row for rows in lists for row in rows if isinstance(row, dict)]


@exchange
def _asked(get: Get, read: Read, start: datetime, end: datetime, number: int) -> Exchange[ListPage]:
    body = yield from get(f"/payments?from={_moment(start)}&to={_moment(end)}&page={number}&size={SIZE}")
    return _page(read, number, body.get("data"))


def _page(read: Read, number: int, data: object) -> ListPage:
    """Read a page. It is whole if it is a first page, not full, and shows all successes that the summary counts."""
    rows = _rows(data)
    listings = tuple(_listing(read, row) for row in rows)
    paid = sum(aside(row, "status") in ("COMPLETED", "REFUNDED") for row in rows)
    return ListPage(listings=listings, whole=number == 0 and len(rows) < SIZE and _successes(data) <= paid)


def _successes(data: object) -> int:
    """`summary.successCount` "for the filtered set"; 0 where it is absent."""
    summary = aside(data, "summary") if isinstance(data, dict) else None
    try:
        return whole(summary.get("successCount")) if isinstance(summary, dict) else 0
    except Unreadable:
        return 0


def _listing(read: Read, row: dict[str, Any]) -> Listing:
    began, paid = (time_or_none(iso, aside(row, name)) for name in ("initiatedAt", "completedAt"))
    times = tuple(at for at in (began, paid) if at is not None)
    return Listing(id=required_text(row, "paymentId"), times=times, lines=tuple(_lines(read, row, paid or began)))


def _lines(read: Read, row: dict[str, Any], at: datetime | None) -> Generator[Line | Unread]:
    """The payment's line, and a refund's line for a partial refund. A full refund is the payment's status."""
    try:
        answer = read(row)
        line = _line(answer, at)
    except Unreadable as why:
        yield Unread(row=0, why=printable(str(why)), text=required_text(row, "paymentId"))
        return
    yield line
    if "refunded_amount" in answer.unreadable:
        yield Unread(row=0, why="refundTotal: is no money", text=required_text(row, "paymentId"))
    refunded = answer.refunded_amount
    if refunded and line.status is Status.COMPLETED:
        yield replace(line, kind="refund", status=Status.REFUNDED, amount=refunded)


def _line(answer: Answer, at: datetime | None) -> Line:
    if answer.status is None:
        raise Unreadable(f"status: {answer.word} is no word of ShadhinPay's documentation")
    if answer.amount is None or answer.currency != "BDT":
        raise Unreadable("amount: is missing, no money, or not in BDT")
    return Line(
        row=0,
        kind="payment",
        status=answer.status,
        word=answer.word,
        amount=answer.amount,
        transaction_id=answer.transaction_id,
        session_id=answer.session_id,
        reference=answer.reference,
        at=at,
    )


def _moment(at: datetime) -> str:
    return segment(f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z")
