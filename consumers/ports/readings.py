"""What a look at the ledger reads, without a lock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

from consumers.ports.call_limits import AccountLimits
from schemas.payments import Case

Admission = Literal["new", "seen", "repeated"]
"""`seen`: this claim was recorded before. `repeated`: another claim brought the same signed event of the gateway."""


class Lookup(Struct, frozen=True, kw_only=True):
    """Ids by which a payment of an account is looked up. The caller chooses `id`, under which it gets the result."""

    id: str
    account: str
    payment_id: str | None = None
    session_id: str | None = None
    transaction_id: str | None = None
    reference: str | None = None


class ExecuteRequest(Struct, frozen=True, kw_only=True):
    """Another attempt of the order that requests an Execute.

    `wanted_at`: since when. `waits_until`: when that attempt is looked at next. An attempt for which it is None, or
    long past, keeps no other attempt waiting.
    """

    payment_id: str
    wanted_at: datetime
    waits_until: datetime | None = None


class Order(Struct, frozen=True, kw_only=True):
    """An order: the payment id of the attempt that paid, of the attempt that executes, and the others' requests to.

    `unheard`: the accounts of other attempts that may have executed unknown to the database. Such an attempt is pending
    and was opened before this database server took over from another server. An answer ends that doubt if it was asked
    for at least a minute after the takeover.
    """

    paid_by: str | None = None
    executing: str | None = None
    execute_requests: tuple[ExecuteRequest, ...] = ()
    unheard: frozenset[str] = frozenset()


class Reading(Struct, frozen=True, kw_only=True):
    """A payment as it was read, without a lock.

    Every write that a decision about the payment may depend on raises `revision`. So a decision is written only if the
    payment still has the revision that was read. `sessions` and `transactions`: keys of the payment, perhaps not all.
    `since`: when this database server took over from another server, whose last commits may be missing.
    """

    case: Case
    revision: int
    sessions: frozenset[str] = frozenset()
    transactions: frozenset[str] = frozenset()
    order: Order = Order()
    since: datetime | None = None


class LookResult(Struct, frozen=True, kw_only=True):
    """The result of one look, at `now` by the database's clock.

    - `homes`: the payment id that a claim is about, by claim id.
    - `admissions`: whether a claim is new, by claim id.
    - `readings`: the payments, by payment id.
    - `limits_by_account`: the limits of these payments' accounts at least. An account that was never asked is absent.
    """

    now: datetime
    homes: Mapping[str, str]
    admissions: Mapping[str, Admission]
    readings: Mapping[str, Reading]
    limits_by_account: Mapping[str, AccountLimits]
