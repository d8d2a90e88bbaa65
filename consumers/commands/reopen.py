"""Decide on a POST whose reference has a row already: open that row again, or why not."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from schemas.payments import Payment
from schemas.words import Hold, Status


class ReadyToOpen(Struct, frozen=True):
    """The POST may open the row until `opening_until`. The row is new, or an earlier opening brought no checkout."""

    payment: Payment


class ReferenceTaken(Struct, frozen=True, kw_only=True):
    """The reference has a row already, which this POST may not open.

    `why`: the row has a checkout, another POST is opening it, its request was another one, or it is `unexpected` money.
    `equal`: this request equals the one that made the row.
    """

    payment: Payment
    why: Literal["opened", "opening", "other_body", "unexpected"]
    equal: bool


def reopen_or_reject(
    present: Payment, wanted: Payment, *, equal: bool, until: datetime, now: datetime
) -> ReadyToOpen | ReferenceTaken:
    """Decide on a POST whose reference has the row `present`: open that row again, or why not.

    `wanted`: the payment that the POST would create. `equal`: its request equals the row's. `until`: the end of the new
    opening's lease. A row that the clock closed before it had an event is opened again too, with the times of `wanted`.
    A row whose state comes from a gateway's answer is not.
    """
    if Hold.UNEXPECTED in present.holds:
        return ReferenceTaken(payment=present, why="unexpected", equal=False)
    unheard_of = present.version == 0 and not present.holds
    closed_by_clock = present.status is Status.EXPIRED and present.expired_by_clock_at is not None
    if present.opened or not unheard_of or not (present.status is Status.PENDING or closed_by_clock):
        return ReferenceTaken(payment=present, why="opened", equal=equal)
    if not equal:
        return ReferenceTaken(payment=present, why="other_body", equal=equal)
    if present.opening_until is not None and present.opening_until > now:
        return ReferenceTaken(payment=present, why="opening", equal=equal)
    return ReadyToOpen(
        replace(
            present,
            status=Status.PENDING,
            expired_by_clock_at=None,
            opened_at=wanted.opened_at,
            expires_at=wanted.expires_at,
            opening_until=until,
            schedule=wanted.schedule,
            step=wanted.step,
            next_check_at=wanted.next_check_at,
        )
    )
