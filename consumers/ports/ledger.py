"""The port to where payments are kept: a look without a lock, and a write that depends on what the look read.

What is not decided on a look goes through a batch: one transaction over payments that it locks. Each key belongs to one
payment, whichever way it was taken.
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
"""`seen`: this very claim was taken before. `repeated`: another claim brought the same signed gateway event."""


class Lookup(Struct, frozen=True, kw_only=True):
    """The ids by which a payment of an account is looked up, as a claim has them. `id` is the caller's own."""

    id: str
    account: str
    payment_id: str | None = None
    session_id: str | None = None
    transaction_id: str | None = None
    reference: str | None = None


class Keys(Struct, frozen=True, kw_only=True):
    """What a payment's fitting answers claim for it. Each of these keys belongs to one payment.

    `references` are looked up and never taken, because each payment has its own reference from the start. `returned`:
    all of the money went back, so the order is let go and not taken.
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
    """Another attempt of the order, which requests an Execute.

    `wanted_at`: since when. `waits_until`: when it is looked at again whether this attempt may.
    """

    payment_id: str
    wanted_at: datetime
    waits_until: datetime | None = None


class Order(Struct, frozen=True, kw_only=True):
    """Which attempt paid an order, which one executes, and which others request to. None: no attempt does.

    `unheard` are the accounts of attempts that may have executed unknown to the database. These other attempts are
    pending, and were opened before the database's server took over from another server. No answer about them counts
    yet: one counts that was asked for at least a minute after the takeover.
    """

    paid_by: str | None = None
    executing: str | None = None
    execute_requests: tuple[ExecuteRequest, ...] = ()
    unheard: frozenset[str] = frozenset()


class Reading(Struct, frozen=True, kw_only=True):
    """A payment as it was read, without a lock.

    Every write that a decision about the payment may depend on raises `revision`. So a decision is written only where
    the payment still has the revision that was read. `sessions` and `transactions` are keys that the payment has, and
    perhaps not all of them. `since`: when the database's server took over from another server, whose last commits may
    be missing.
    """

    case: Case
    revision: int
    sessions: frozenset[str] = frozenset()
    transactions: frozenset[str] = frozenset()
    order: Order = Order()
    since: datetime | None = None


class LookResult(Struct, frozen=True, kw_only=True):
    """What one look read, at `now` by the database's clock.

    `homes` are the payments that claims are about, by claim id. `admissions` tell which of these claims are new, by
    claim id. `readings` are by payment id. `limits_by_account` are by account, and have the accounts of these payments
    at least; an account that was never asked is absent.
    """

    now: datetime
    homes: Mapping[str, str]
    admissions: Mapping[str, Admission]
    readings: Mapping[str, Reading]
    limits_by_account: Mapping[str, AccountLimits]


class Write(Struct, frozen=True, kw_only=True):
    """What is written of one payment, if no other write came since the payment was read as `reading`.

    `keys` are all that its answers claim for it. `executes`: the order is marked as being executed by this payment.
    """

    reading: Reading
    change: Change
    claims: tuple[Claim, ...] = ()
    keys: Keys
    executes: bool = False

    @property
    def wanted(self) -> Keys:
        """The keys, and the order of a paid attempt that came second.

        The first attempt may have let the order go by now. Then this attempt keeps it from a third one.
        """
        payment, keys = self.change.payment, self.keys
        if payment.status is Status.COMPLETED and keys.order_ref is None:
            return replace(keys, order_ref=payment.order_ref)
        return keys

    def lost(self, taken_keys: TakenKeys) -> TakenKeys:
        """Which of the wanted keys that belong to other payments stand against this write."""
        return taken_keys if self.keys.order_ref is not None else replace(taken_keys, order=False)


class WriteResult(Struct, frozen=True, kw_only=True):
    """What became of writes, by payment id. In neither of the two: the write lost its swap.

    `done` are written. `taken` are not, because these of their keys belong to other payments.
    """

    done: frozenset[str]
    taken: Mapping[str, TakenKeys]


class Batch(Protocol):
    """One transaction over some payments, locked in the order of their ids; without `commit` it changes nothing."""

    now: datetime
    cases: Mapping[str, Case]

    async def reserve(self, keys: Sequence[Keys]) -> Mapping[str, TakenKeys]:
        """Take keys that are free; tell by payment id which keys belong to others. The first payment keeps a key.

        Without a key no table is asked.
        An order that is let go becomes free only if no other attempt of it stands as completed. A completed attempt
        that came second, and is held for that, keeps the order from the next one. An order that is let go is free for
        the other payments of the same call.
        """
        ...

    async def adopt_row(self, payment: Payment, request: dict[str, Any], *, proposed: str) -> str | None:
        """Write those parts of a payment that otherwise only an opening writes. `store` writes the rest.

        `request` announces the payment, and `proposed` is the id that it would have given to a new one: when the
        request is made again, it finds this payment by that id. Returns the id of the payment that has the reference
        already, None where the reference is free. Comes before any `reserve`, because references are waited for first.
        """
        ...

    async def queue_early_claims(self, payment: Payment, *, signed_only: bool) -> None:
        """Queue the kept claims that name an id of this payment. Workers are told of them after the commit."""
        ...

    async def store(self, changes: Sequence[Change]) -> None:
        """Write what changed of these payments."""
        ...

    async def commit(self) -> None:
        """Make the whole batch durable, and tell the other processes. Nothing may be read or written afterwards.

        Where this raises, the batch may or may not be durable.
        """
        ...


class LockedLedger(Protocol):
    """A look and a write within one transaction, over payments that are locked in the order of their ids.

    It is committed when the block ends well.
    """

    async def look(self, claims: Sequence[Claim]) -> LookResult: ...

    async def write(self, writes: Sequence[Write]) -> WriteResult: ...


class LockedLimits(Protocol):
    """What accounts may be asked, in one transaction of its own; see consumers.checks.limits.

    `limits_by_account` are by account; an account that nobody has asked about is absent.
    """

    now: datetime
    limits_by_account: Mapping[str, AccountLimits]

    async def save(self, limits_by_account: Sequence[AccountLimits]) -> None: ...


class Turns(Protocol):
    """Turns to ask about a payment: one process has it at a time, for one question.

    A turn ends with the process that has it. It spares the gateway questions, and protects nothing.
    """

    async def take(self, payment_ids: Collection[str]) -> frozenset[str]:
        """Return the payments whose turn is this process's from now on, until it is given back."""
        ...

    def give_back(self, payment_ids: Iterable[str]) -> None: ...


class Ledger(Protocol):
    """Where payments are kept. Every call may raise DatabaseUnavailable; a write may be done all the same."""

    def batch(self, payment_ids: Collection[str]) -> AbstractAsyncContextManager[Batch]: ...

    async def look(self, claims: Sequence[Claim], payment_ids: Collection[str] = ()) -> LookResult:
        """Read the payments that these claims are about, and those named, in one round trip and without a lock."""
        ...

    async def write(self, writes: Sequence[Write]) -> WriteResult:
        """Write each payment that still stands as it was read, with its claims and keys, all in one transaction.

        A payment is left out, and nothing of it is written, where:
        - it was written since it was read, or was read from another server, even if its revision is the same;
        - one of its keys belongs to another payment;
        - one of its claims is recorded by now;
        - it executes, and its order is paid or executed by another attempt.
        Each payment stands in `writes` once.
        """
        ...

    def locked(self, payment_ids: Collection[str]) -> AbstractAsyncContextManager[LockedLedger]:
        """Look and write while no other transaction can write these payments: for those that lose every swap."""
        ...

    def limits(self, accounts: Collection[str]) -> AbstractAsyncContextManager[LockedLimits]:
        """What these accounts may be asked, locked in the order of their ids, and committed when the block ends well.

        A crash of the database may forget what was committed.
        """
        ...

    async def set_aside(self, claims: Sequence[Claim]) -> None:
        """Record claims that are about no payment. A claim that is recorded already is left as it is."""
        ...

    async def referenced(self, names: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Which of these references, each as (account, reference), payments have."""
        ...

    async def find(self, lookups: Sequence[Claim | Lookup]) -> Mapping[str, str]:
        """Which payment each of them names within its account, by their ids; absent where none is."""
        ...

    async def keep(self, claims: Sequence[Claim]) -> Mapping[str, str]:
        """Keep claims for payments that are to come: each claim once, each signed event once.

        A claim whose payment has come meanwhile is not kept. Its payment is returned, as `find` does. No claim is
        missed: a payment that is recorded before this call is found here, and of one that is recorded afterwards
        `queue_early_claims` finds the claim.
        """
        ...
