"""The port to the payments in the database: a look without a lock, and a write that depends on what was read.

Commands use a batch instead: one transaction over payments that it locks. Each key belongs to one payment, whether a
write or a batch took it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from consumers.ports.call_limits import AccountLimits
from schemas.callbacks import Claim
from schemas.payments import Case, Change, Payment, TakenKeys
from schemas.words import Status

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


class Keys(Struct, frozen=True, kw_only=True):
    """The keys that a payment takes by its fitting answers. A key belongs to one payment.

    `references` are looked up and never taken, because each payment has its own reference from the start. `returned`:
    all of the money went back, so the order is released, not taken.
    """

    payment_id: str
    account: str
    merchant: str
    order_ref: str | None = None
    returned: bool = False
    transactions: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    references: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        payment: Payment,
        *,
        order_ref: str | None = None,
        returned: bool = False,
        transactions: Iterable[str] = (),
        sessions: Iterable[str] = (),
        references: Iterable[str] = (),
    ) -> Keys:
        return cls(
            payment_id=payment.id,
            account=payment.account,
            merchant=payment.merchant,
            order_ref=order_ref,
            returned=returned,
            transactions=frozenset(transactions),
            sessions=frozenset(sessions),
            references=frozenset(references),
        )


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


class Write(Struct, frozen=True, kw_only=True):
    """A change of one payment, to be written if no other write came since the payment was read as `reading`.

    `keys`: all that its answers claim for it. `executes`: the order is marked as being executed by this payment.
    """

    reading: Reading
    change: Change
    claims: tuple[Claim, ...] = ()
    keys: Keys
    executes: bool = False

    @property
    def wanted(self) -> Keys:
        """The keys to take: `keys`, and for a completed attempt that came second its order as well.

        The first attempt may have released the order by now. Then this attempt keeps it from a third one.
        """
        payment, keys = self.change.payment, self.keys
        if payment.status is Status.COMPLETED and keys.order_ref is None:
            return replace(keys, order_ref=payment.order_ref)
        return keys

    def lost(self, taken_keys: TakenKeys) -> TakenKeys:
        """Those of `taken_keys` that prevent this write. The order does not, where only `wanted` added it."""
        return taken_keys if self.keys.order_ref is not None else replace(taken_keys, order=False)


class WriteResult(Struct, frozen=True, kw_only=True):
    """The result of writes, by payment id. A write in neither of the two lost its swap.

    `done`: written. `taken`: not written, because these of their keys belong to other payments.
    """

    done: frozenset[str]
    taken: Mapping[str, TakenKeys]


class Batch(Protocol):
    """One transaction over payments locked in the order of their ids. Without `commit` it changes nothing."""

    now: datetime
    cases: Mapping[str, Case]

    async def admit(self, claims: Sequence[tuple[Claim, str | None]]) -> Mapping[str, Admission]:
        """Record claims with the payments they are about; tell by claim id which are new."""
        ...

    async def reserve(self, keys: Sequence[Keys]) -> Mapping[str, TakenKeys]:
        """Take keys that are free. Returns by payment id which keys belong to other payments.

        The first payment keeps a key. Without keys the database is not asked. An order that is released becomes free
        only if no other attempt of it is completed. A completed attempt that came second, and is held for that, keeps
        the order from the next one. A released order is free for the other payments of the same call.
        """
        ...

    async def adopt_row(self, payment: Payment, request: dict[str, Any], *, proposed: str) -> str | None:
        """Write the columns of a payment that otherwise only an opening writes. `store` writes the rest.

        `request` is the shop's. `proposed` is the id that it would have given to a new payment: when the request is
        repeated, it finds this payment by that id. Returns the id of the payment that has the reference already, None
        where the reference is free. It has to be called before any `reserve`, because references are locked first.
        """
        ...

    async def queue_early_claims(self, payment: Payment, *, signed_only: bool) -> None:
        """Queue the early claims that name an id of this payment. Workers get them after the commit."""
        ...

    async def store(self, changes: Sequence[Change]) -> None:
        """Write these changes: payments, Facts, timeline entries, events and resolutions."""
        ...

    async def commit(self) -> None:
        """Make the whole batch durable, and wake the other processes. Nothing may be read or written afterwards.

        Where this raises, the batch may or may not be durable.
        """
        ...


class LockedLedger(Protocol):
    """Looks and writes within one transaction, over payments that are locked in the order of their ids.

    It is committed when the block ends without an error.
    """

    async def look(self, claims: Sequence[Claim]) -> LookResult: ...

    async def write(self, writes: Sequence[Write]) -> WriteResult: ...


class LockedLimits(Protocol):
    """The limits of accounts, locked in a transaction of their own; see consumers.checks.limits.

    An account that was never asked is absent from `limits_by_account`.
    """

    now: datetime
    limits_by_account: Mapping[str, AccountLimits]

    async def save(self, limits_by_account: Sequence[AccountLimits]) -> None: ...


class Turns(Protocol):
    """Turns to ask about a payment: one process has the turn at a time, for one question.

    A turn ends with the process that has it. It avoids asking twice; correctness does not depend on it.
    """

    async def take(self, payment_ids: Collection[str]) -> frozenset[str]:
        """Take the turns that are free. Returns the payments whose turn this process has until it gives it back."""
        ...

    def give_back(self, payment_ids: Iterable[str]) -> None: ...


class Ledger(Protocol):
    """Where payments are kept."""

    def batch(self, payment_ids: Collection[str]) -> AbstractAsyncContextManager[Batch]: ...

    async def look(self, claims: Sequence[Claim], payment_ids: Collection[str] = ()) -> LookResult:
        """Read the payments that these claims are about, and `payment_ids`, in one round trip and without a lock."""
        ...

    async def write(self, writes: Sequence[Write]) -> WriteResult:
        """Write each payment that has not changed since it was read, with its claims and keys, all in one transaction.

        A payment is left out, and nothing of it is written, where:
        - it was written since it was read, or was read from another server, even if its revision is the same;
        - one of its keys belongs to another payment;
        - one of its claims is recorded by now;
        - it executes, and its order is paid or executed by another attempt. Each payment stands in `writes` once.
        """
        ...

    def locked(self, payment_ids: Collection[str]) -> AbstractAsyncContextManager[LockedLedger]:
        """Look and write while no other transaction can write these payments, for a write that loses every swap."""
        ...

    def limits(self, accounts: Collection[str]) -> AbstractAsyncContextManager[LockedLimits]:
        """The limits of these accounts, locked in the order of their ids. Committed if the block ends without an error.

        A crash of the database may lose what was committed.
        """
        ...

    async def set_aside(self, claims: Sequence[Claim]) -> None:
        """Record claims that are about no payment. A claim that is recorded already stays as it is."""
        ...

    async def referenced(self, names: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Returns those of these (account, reference) pairs that a payment has."""
        ...

    async def find(self, lookups: Sequence[Claim | Lookup]) -> Mapping[str, str]:
        """The payment id that each claim or lookup names in its account, by its `id`; absent where there is none."""
        ...

    async def keep(self, claims: Sequence[Claim]) -> Mapping[str, str]:
        """Keep claims for payments that may come: each claim once, each signed event once.

        A claim whose payment has come meanwhile is not kept. Returns the payments of such claims, as `find` does. No
        claim is missed: a payment that is recorded before this call is found here, and a payment that is recorded later
        finds the claim by `queue_early_claims`.
        """
        ...
