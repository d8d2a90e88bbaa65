"""Keys that only one payment can have: the argument and the result of `reserve_keys` in `schemas/sql`.

An order that a payment lets go is named too, so that it is locked together with the orders that are taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from consumers.ports.writes import Keys
from schemas.payments import Payment, TakenKeys
from worker.postgres.database import Connection

Lost = list[dict[str, str]]
"""Keys that another payment has: the `payment_id` that wanted it, the `kind` of key, and its `name`."""


async def reserve(connection: Connection[asyncpg.Record], keys: Sequence[Keys]) -> Mapping[str, TakenKeys]:
    """See consumers.ports.ledger.Batch."""
    names = keys_by_kind(keys)
    return taken_keys(keys, await connection.fetchval("SELECT reserve_keys($1)", names) if names else None)


def keys_by_kind(keys: Sequence[Keys]) -> dict[str, list[Any]]:
    """The rows of keys by kind, as `reserve_keys` reads them. A kind without keys is absent."""
    kinds: dict[str, list[Any]] = {
        "sessions": [_named(key, name) for key in keys for name in key.sessions],
        "transactions": [_named(key, name) for key in keys for name in key.transactions],
        "references": [_named(key, name) for key in keys for name in key.references],
        "orders": [_ordered(key) for key in keys if key.order_ref is not None and not key.returned],
        "returned": [key.payment_id for key in keys if key.order_ref is not None and key.returned],
    }
    return {kind: rows for kind, rows in kinds.items() if rows}


def attempts(payments: Iterable[Payment]) -> list[dict[str, Any]]:
    """The orders of these payments, each with its merchant and payment id. Payments without an order are left out."""
    return [
        _ordered(Keys.of(payment, order_ref=payment.order_ref)) for payment in payments if payment.order_ref is not None
    ]


def taken_keys(keys: Sequence[Keys], lost: Lost | None) -> Mapping[str, TakenKeys]:
    """By the id of each payment in `keys`, which of its keys other payments have."""
    names = defaultdict[tuple[str, str], set[str]](set)
    for taken in lost or ():
        names[taken["payment_id"], taken["kind"]].add(taken["name"])
    return {
        key.payment_id: TakenKeys(
            transactions=frozenset(names[key.payment_id, "transactions"]),
            sessions=frozenset(names[key.payment_id, "sessions"]),
            references=frozenset(names[key.payment_id, "references"]),
            order=bool(names[key.payment_id, "orders"]),
        )
        for key in keys
    }


def _named(key: Keys, name: str) -> dict[str, str]:
    return {"account": key.account, "name": name, "payment_id": key.payment_id}


def _ordered(key: Keys) -> dict[str, Any]:
    return {"merchant": key.merchant, "order_ref": key.order_ref, "payment_id": key.payment_id}
