"""A payment as a row of `payments` and back; `jsonb_populate_record` knows the columns' types."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import asyncpg
import msgspec

from schemas.payments import Payment

_COLUMNS = Payment.__struct_fields__
_FIXED = _COLUMNS[: _COLUMNS.index("status")]  # at the opening; money that came before is announced later
_MOVING = _COLUMNS[_COLUMNS.index("status") :]
_ANNOUNCED = [name for name in _FIXED if name not in ("id", "merchant", "account", "provider")]

INSERT = f"""
    INSERT INTO payments ({", ".join(_COLUMNS)})
    SELECT {", ".join(_COLUMNS)} FROM jsonb_populate_record(null::payments, $1)
    ON CONFLICT (account, reference) DO NOTHING RETURNING id
"""  # noqa: S608 - the names are the fields of our own struct
INSERT_MANY = f"""
    INSERT INTO payments ({", ".join(_COLUMNS)})
    SELECT {", ".join(_COLUMNS)} FROM jsonb_populate_recordset(null::payments, $1) ORDER BY account, reference
    ON CONFLICT (account, reference) DO NOTHING RETURNING id
"""  # noqa: S608 - the names are the fields of our own struct
ANNOUNCE = f"""
    UPDATE payments p SET {", ".join(f"{name} = r.{name}" for name in _ANNOUNCED)}
    FROM jsonb_populate_record(null::payments, $1) r WHERE p.id = r.id
"""  # noqa: S608 - the names are the fields of our own struct


def rewriting(pairs: Iterable[tuple[Payment, Payment]]) -> tuple[str, list[dict[str, Any]]] | None:
    """The statement and its rows that make payments, as they are in the database, what they come to; None if all are.

    Only columns that differ for one of them are written, and named: most changes are of how we ask, and Postgres spares
    itself what belongs to the rest. In what a few columns make, statements are few enough to stay prepared.
    """
    changed = [(before, after) for before, after in pairs if before != after]
    names = tuple(name for name in _MOVING if any(getattr(b, name) != getattr(a, name) for b, a in changed))
    if not names:
        return None
    rows = [{"id": after.id} | {name: getattr(after, name) for name in names} for _, after in changed]
    return _updating(names), rows


@lru_cache(256)
def _updating(names: tuple[str, ...]) -> str:
    return f"""
        UPDATE payments p SET {", ".join(f"{name} = r.{name}" for name in names)}
        FROM jsonb_populate_recordset(null::payments, $1) r WHERE p.id = r.id
    """  # noqa: S608 - the names are the fields of our own struct


def payment_of(row: asyncpg.Record) -> Payment:
    return msgspec.convert(dict(row), Payment)
