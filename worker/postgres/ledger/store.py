"""The changes of payments, as `store_changes` of `schemas/sql` writes them: rows, facts, events and timelines together.

A column of a payment that is not named stays as it is. So every column is named that differs from the reading on which
the change was decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from msgspec import Struct

from schemas.changes import Change, Entry
from schemas.events import Event
from schemas.payments import Payment
from schemas.words import EntryKind
from worker.postgres.database import Connection
from worker.postgres.ledger.rows import MOVING


class Stored(Struct, frozen=True):
    """The argument of `store_changes`: rows by table or kind, and the bodies of the events in the same order."""

    doc: dict[str, list[Any]]
    bodies: list[bytes]


async def store(connection: Connection[asyncpg.Record], changes: Iterable[tuple[Payment, Change]]) -> None:
    """Write changes, each given with its payment as it was read."""
    stored = storing(list(changes))
    await connection.execute("SELECT store_changes($1, $2, false)", stored.doc, stored.bodies)


def storing(changes: Sequence[tuple[Payment, Change]]) -> Stored:
    """The rows of changes, each given with its payment as it was read. Writes nothing."""
    facts = {(change.payment.id, fact.key): fact for _, change in changes for fact in change.facts}
    events = [change.event for _, change in changes if change.event is not None]
    doc: dict[str, list[Any]] = {
        "payments": [{"id": before.id, "columns": _columns(before, change.payment)} for before, change in changes],
        "facts": [{"payment_id": payment_id, "key": key, "fact": fact} for (payment_id, key), fact in facts.items()],
        "events": [_event(event) for event in events],
        "repeats": [_repeat(change) for _, change in changes if change.repeats],
        "entries": [_entry(change.payment, entry) for _, change in changes for entry in change.entries],
        "resolutions": [
            {"payment_id": change.payment.id, "at": change.resolution.at, "resolution": change.resolution}
            for _, change in changes
            if change.resolution is not None
        ],
        "freed": [change.payment.id for _, change in changes if change.order_freed and change.payment.order_ref],
    }
    return Stored({part: rows for part, rows in doc.items() if rows}, [event.body for event in events])


def _columns(before: Payment, after: Payment) -> dict[str, Any]:
    """The columns that differ, and always `next_check_at`, because the sweep may have moved it meanwhile."""
    changed = {name: value for name in MOVING if (value := getattr(after, name)) != getattr(before, name)}
    return changed | {"next_check_at": after.next_check_at}


def _event(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "payment_id": event.payment_id,
        "version": event.version,
        "type": event.type,
        "merchant": event.merchant,
        "account": event.account,
        "time": event.time,
    }


def _repeat(change: Change) -> dict[str, Any]:
    """The timeline entry of the repeated answer, with how many questions come with it."""
    asked = sum(entry.kind is EntryKind.QUESTION for entry in change.entries)
    return _entry(change.payment, change.entries[-1]) | {"asked": asked}


def _entry(payment: Payment, entry: Entry) -> dict[str, Any]:
    return {"payment_id": payment.id, "at": entry.at, "kind": entry.kind, "data": entry.data}
