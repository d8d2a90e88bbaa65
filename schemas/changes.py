"""What is written with a payment in one transaction: its change, and the entries of its timeline."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from schemas.answers import Fact
from schemas.events import Event
from schemas.payments import Payment, Resolution
from schemas.words import EntryKind


class Entry(Struct, frozen=True, kw_only=True):
    """One entry of a payment's timeline. `data` is safe to show to the merchant: no personal data, no secrets."""

    kind: EntryKind
    at: datetime
    data: dict[str, Any]


class Change(Struct, frozen=True, kw_only=True):
    """The change of one payment in one transaction.

    `facts` are new or merged. `order_freed`: other attempts of the order may execute. `repeats`: its last entry is an
    answer, and all entries before it are from our own schedule. If the previous answer in the timeline was equal, and
    only our schedule asked since, that answer's counter is increased. The new entry is not written then, and the
    entries in between are deleted.
    """

    payment: Payment
    facts: tuple[Fact, ...] = ()
    entries: tuple[Entry, ...] = ()
    event: Event | None = None
    resolution: Resolution | None = None
    order_freed: bool = False
    repeats: bool = False
