"""A payment as a row of `payments` and back; `jsonb_populate_record` knows the columns' types."""

from __future__ import annotations

import asyncpg
import msgspec

from schemas.payments import Payment

_COLUMNS = Payment.__struct_fields__
_FIXED = _COLUMNS[: _COLUMNS.index("status")]  # written at the opening, and when unexpected money is adopted
MOVING = _COLUMNS[_COLUMNS.index("status") :]
_ANNOUNCED = [name for name in _FIXED if name not in ("id", "merchant", "account", "provider")]

PAYMENT = ", ".join(f"p.{name}" for name in _COLUMNS)
"""The columns that `payment_of` reads, by name. After a migration adds a column, a statement with `p.*` fails once."""

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


def payment_of(row: asyncpg.Record) -> Payment:
    return msgspec.convert(dict(row), Payment)


def planned_once(nth: int) -> str:
    """The nth parameter as an array of texts whose length the planner does not see, so that it keeps the plan.

    Postgres keeps a plan only if a plan for any values looks as cheap as a plan for these values. Where it sees that an
    array is short, that is never so, and it would plan each time. For a single payment, planning takes longer than the
    statement itself. A kept plan is as old as the last ANALYZE, which a table that begins to fill gets within a minute
    or two.
    """
    return f"ARRAY(SELECT unnest(${nth}::text[]))"
