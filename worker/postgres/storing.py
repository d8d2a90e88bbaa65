"""What a batch of changes writes, as one statement: payments, facts, events and timelines in one round trip.

The one thing to get wrong: what one part needs of another. The parts of one statement do not see each other's rows, so
none of them may read what another writes; nothing here does, and keys and the trigger look at each row by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from schemas.answers import Fact
from schemas.events import Event
from schemas.payments import Case, Change
from worker.postgres.rows import MOVING

_PARTS: Mapping[str, str] = {
    "facts": """
        INSERT INTO facts (payment_id, key, fact)
        SELECT r.payment_id, r.key, r.fact FROM jsonb_to_recordset({0}) AS r (payment_id text, key text, fact jsonb)
        ON CONFLICT (payment_id, key) DO UPDATE SET fact = excluded.fact""",
    "events": """
        INSERT INTO events (id, payment_id, version, type, merchant, account, time, body)
        SELECT * FROM unnest({0}::text[], {1}::text[], {2}::int[], {3}::text[], {4}::text[], {5}::text[],
            {6}::timestamptz[], {7}::bytea[])""",
    "entries": """
        INSERT INTO entries (payment_id, at, kind, data)
        SELECT r.payment_id, r.at, r.kind, r.data
        FROM ROWS FROM (jsonb_to_recordset({0}) AS (payment_id text, at timestamptz, kind text, data jsonb))
            WITH ORDINALITY AS r (payment_id, at, kind, data, place)
        ORDER BY r.place""",
}


def storing(
    cases: Mapping[str, Case], changes: Sequence[Change], entries: Sequence[dict[str, Any]]
) -> tuple[str, list[Any]]:
    """The statement and its values; there is at least one change.

    Of payments only columns that differ for one of them are written, and named: most changes are of how we ask, and
    Postgres spares itself what belongs to the rest. Such sets of columns are few, so their statements stay prepared.
    The revision of each is raised, also where nothing but facts or entries came.
    """
    changed = [change.payment for change in changes]
    columns = tuple(
        name for name in MOVING if any(getattr(one, name) != getattr(cases[one.id].payment, name) for one in changed)
    )
    facts = {(change.payment.id, fact.key): fact for change in changes for fact in change.facts}
    events = [change.event for change in changes if change.event is not None]
    values: dict[str, list[Any]] = {
        "payments": [[{"id": one.id} | {name: getattr(one, name) for name in columns} for one in changed]]
    }
    if facts:
        values["facts"] = [[_fact_row(payment_id, key, fact) for (payment_id, key), fact in facts.items()]]
    if events:
        values["events"] = [list(column) for column in zip(*map(_event_row, events), strict=True)]
    if entries:
        values["entries"] = [entries]
    return _statement(tuple(values), columns), [value for part in values.values() for value in part]


@lru_cache(256)
def _statement(parts: tuple[str, ...], columns: tuple[str, ...]) -> str:
    written, values = [], 0
    for part in parts:
        text = _updating(columns) if part == "payments" else _PARTS[part]
        taken = text.count("{")
        written.append(f"{part}_ AS ({text.format(*(f'${values + nth + 1}' for nth in range(taken)))})")
        values += taken
    return f"WITH {', '.join(written)} SELECT"


def _updating(columns: tuple[str, ...]) -> str:
    sets = ", ".join([*(f"{name} = r.{name}" for name in columns), "revision = p.revision + 1"])
    return f"""
        UPDATE payments p SET {sets}
        FROM jsonb_populate_recordset(null::payments, {{0}}) r WHERE p.id = r.id"""  # noqa: S608 - our struct's fields


def _fact_row(payment_id: str, key: str, fact: Fact) -> dict[str, Any]:
    return {"payment_id": payment_id, "key": key, "fact": fact}


def _event_row(event: Event) -> tuple[Any, ...]:
    return (
        event.id,
        event.payment_id,
        event.version,
        event.type,
        event.merchant,
        event.account,
        event.time,
        event.body,
    )
