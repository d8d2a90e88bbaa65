"""ShadhinPay's list of payments: its documented filters over payment objects, and a page of the result.

Documented: status, vendor, from and to (ISO-8601), amountMin and amountMax, merchantTxnId, page from 0, size to 100,
and a `summary`. The names of the page's own fields are invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from schemas.numbers import money, whole
from schemas.wire import Unreadable
from worker.playground.sandbox.request_fields import WrongField


def list_page(query: Mapping[str, str], payments: list[dict[str, Any]]) -> dict[str, Any]:
    """The page that the query asks for. Raises WrongField for a filter that cannot be read."""
    number, size = _count(query, "page", 0, 0, 1_000_000), _count(query, "size", 20, 1, 100)
    found = [payment for payment in payments if _fits(query, payment)]
    completed = [payment for payment in found if payment["status"] == "COMPLETED"]
    return {
        "content": found[number * size : (number + 1) * size],
        "page": number,
        "size": size,
        "totalElements": len(found),
        "totalPages": -(-len(found) // size),
        "summary": {
            "successCount": len(completed),
            "failedCount": sum(payment["status"] == "FAILED" for payment in found),
            "totalAmount": str(sum((Decimal(payment["amount"]) for payment in completed), Decimal("0.00"))),
        },
    }


def _fits(query: Mapping[str, str], payment: dict[str, Any]) -> bool:
    opened = datetime.fromisoformat(payment["initiatedAt"])
    amount = Decimal(payment["amount"])
    return all(
        (
            query.get("status") in (None, payment["status"]),
            query.get("vendor") in (None, payment["vendor"]),
            query.get("merchantTxnId") in (None, payment["merchantTxnId"]),
            "from" not in query or opened >= _moment(query, "from"),
            "to" not in query or opened <= _moment(query, "to"),
            "amountMin" not in query or amount >= _amount(query, "amountMin"),
            "amountMax" not in query or amount <= _amount(query, "amountMax"),
        )
    )


def _count(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    try:
        count = whole(query.get(name, str(default)))
    except Unreadable:
        count = -1
    if not least <= count <= most:
        raise WrongField(name, f"{name} must be a number from {least} to {most}")
    return count


def _moment(query: Mapping[str, str], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(query[name])
    except ValueError:
        raise WrongField(name, f"{name} must be an ISO-8601 date-time") from None
    if moment.tzinfo is None:
        raise WrongField(name, f"{name} must name its offset")
    return moment


def _amount(query: Mapping[str, str], name: str) -> Decimal:
    try:
        return money(query[name])
    except Unreadable:
        raise WrongField(name, f"{name} must be a decimal") from None
