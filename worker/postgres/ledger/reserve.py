"""Keys that only one payment can have, as `reserve_keys` of `schemas/sql` takes them and tells whose they are.

The one thing to get wrong: an order that is let go. It is named here so that it is locked with those that are taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from consumers.ports.ledger import Keys
from schemas.payments import Payment, TakenKeys
from worker.postgres.database import Connection

Lost = list[dict[str, str]]
"""Each a `payment_id`, a `kind` of key and the `name` of one that another payment has."""


async def reserve(connection: Connection[asyncpg.Record], keys: Sequence[Keys]) -> Mapping[str, TakenKeys]:
    """See consumers.ports.ledger.Batch."""
    names = keys_by_kind(keys)
    return taken_keys(keys, await connection.fetchval("SELECT reserve_keys($1)", names) if names else None)


def keys_by_kind(keys: Sequence[Keys]) -> dict[str, list[Any]]:
    """The keys by their kinds; a kind that nobody names is absent."""
    kinds: dict[str, list[Any]] = {
        "sessions": [_named(key, name) for key in keys for name in key.sessions],
        "transactions": [_named(key, name) for key in keys for name in key.transactions],
        "references": [_named(key, name) for key in keys for name in key.references],
        "orders": [_ordered(key) for key in keys if key.order_ref is not None and not key.returned],
        "returned": [key.payment_id for key in keys if key.order_ref is not None and key.returned],
    }
    return {kind: rows for kind, rows in kinds.items() if rows}


def attempts(payments: Iterable[Payment]) -> list[dict[str, Any]]:
    """Those of these payments that share their order with others."""
    return [_ordered(Keys.of(one, order_ref=one.order_ref)) for one in payments if one.order_ref is not None]


def taken_keys(keys: Sequence[Keys], lost: Lost | None) -> Mapping[str, TakenKeys]:
    names = defaultdict[tuple[str, str], set[str]](set)
    for one in lost or ():
        names[one["payment_id"], one["kind"]].add(one["name"])
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
