"""The port to where payments are kept: one transaction over a batch of payments, and the keys only one can have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from consumers.allowance import Allowance
from consumers.receiving import Admission
from schemas.callbacks import Claim
from schemas.payments import Case, Change, Owners, Payment
from schemas.words import Status


class Keys(Struct, frozen=True, kw_only=True):
    """What a payment's fitting answers claim for it; only one payment can have each of these.

    `references` are looked up and never taken, because each payment has its own from the start. `returned`: all of the
    money went back, so the order is let go and not taken.
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


class Wish(Struct, frozen=True, kw_only=True):
    """Another attempt of the order that wishes to execute, since when, and when it looks again whether it may."""

    payment_id: str
    wanted_at: datetime
    waits_until: datetime | None = None


class Order(Struct, frozen=True, kw_only=True):
    """Which attempt paid an order, which one executes, and which others wish to; None is nobody.

    `unheard` are the accounts of other attempts that are pending and were opened before the database took over from
    another server, and of which no answer came since; one counts that was asked for a minute after it, or later.
    """

    paid_by: str | None = None
    executing: str | None = None
    wishes: tuple[Wish, ...] = ()
    unheard: frozenset[str] = frozenset()


class Sight(Struct, frozen=True, kw_only=True):
    """A payment as it was read, without a lock.

    `revision` is raised by every write that a decision about the payment may depend on, so a decision is written only
    where it still stands. `sessions` and `transactions` are keys that the payment has, and perhaps not all of them.
    `since`: when the database took over from another server; what that one committed last may be missing.
    """

    case: Case
    revision: int
    sessions: frozenset[str] = frozenset()
    transactions: frozenset[str] = frozenset()
    order: Order = Order()
    since: datetime | None = None


class Looked(Struct, frozen=True, kw_only=True):
    """What one look read, at `now` by the database's clock.

    `homes` are the payments that claims are about, by claim id; `admissions` tell of these claims which are new.
    `sights` are by payment id, `allowances` by account, of the accounts of these payments at least.
    """

    now: datetime
    homes: Mapping[str, str]
    admissions: Mapping[str, Admission]
    sights: Mapping[str, Sight]
    allowances: Mapping[str, Allowance]


class Write(Struct, frozen=True, kw_only=True):
    """What is written of one payment, if nobody wrote since it was read as `sight`.

    `keys` are all that its answers claim for it. `executes`: its order is marked as being executed by it.
    """

    sight: Sight
    change: Change
    claims: tuple[Claim, ...] = ()
    keys: Keys
    executes: bool = False

    @property
    def wanted(self) -> Keys:
        """The keys, and the order of a paid attempt that came second: should it be let go by now, no third gets it."""
        payment, keys = self.change.payment, self.keys
        if payment.status is Status.COMPLETED and keys.order_ref is None:
            return replace(keys, order_ref=payment.order_ref)
        return keys

    def lost(self, owners: Owners) -> Owners:
        """Which of the keys that were wanted for it and are others' stand against this write."""
        return owners if self.keys.order_ref is not None else replace(owners, order=False)


class Written(Struct, frozen=True, kw_only=True):
    """What became of writes, by payment id: `done`; `taken`, where keys are others'. All others lost their swap."""

    done: frozenset[str]
    taken: Mapping[str, Owners]


class Batch(Protocol):
    """One transaction over some payments, locked in the order of their ids; without `commit` it changes nothing."""

    now: datetime
    cases: Mapping[str, Case]

    async def admit(self, claims: Sequence[tuple[Claim, str | None]]) -> Mapping[str, Admission]:
        """Record claims with the payments they are about; tell by claim id which are new."""
        ...

    async def reserve(self, keys: Sequence[Keys]) -> Mapping[str, Owners]:
        """Take what is free; tell by payment id what belongs to others. The first to be recorded keeps a key.

        Where nobody names a key, no table is asked.
        An order that is let go becomes free only if no other attempt of it stands as completed: one that came second,
        and is held for that, keeps the order from the next. What is let go is free for the others of the same call.
        """
        ...

    async def begin_executions(self, payment_ids: Collection[str]) -> frozenset[str]:
        """Mark these as the one attempt of their order that executes; return those for which no other stands."""
        ...

    async def announce(self, payment: Payment, request: dict[str, Any], *, proposed: str) -> str | None:
        """Write what otherwise only an opening writes, with the request that announces it; `store` writes the rest.

        `proposed` is the id that the request would have given to a new payment: when the request is made again, it
        finds this payment by it. Returns the id of the payment that has the reference, None where it is free. Comes
        before any `reserve`, because references are waited for first.
        """
        ...

    async def hear_kept(self, payment: Payment, *, signed_only: bool) -> None:
        """Queue the kept claims that name an id of this payment. Comes before `store`, so that the workers are told."""
        ...

    async def store(self, changes: Sequence[Change]) -> None:
        """Write what changed of these payments."""
        ...

    async def commit(self) -> None:
        """Make all of it durable, and tell the other processes. Nothing may be read or written afterwards.

        Where this raises, nobody knows whether it was made durable.
        """
        ...


class Arbiter(Protocol):
    """A look and a write within one transaction, over payments that are locked in the order of their ids.

    It is committed when the block ends well.
    """

    async def look(self, claims: Sequence[Claim]) -> Looked: ...

    async def write(self, writes: Sequence[Write]) -> Written: ...


class Limits(Protocol):
    """What accounts may be asked, in one transaction of its own; see consumers.allowance.

    `allowances` are by account; an account that nobody has asked about is absent.
    """

    now: datetime
    allowances: Mapping[str, Allowance]

    async def keep(self, allowances: Sequence[Allowance]) -> None: ...


class Turns(Protocol):
    """Whose question about a payment is in flight: one process's at a time, and one of that process.

    A turn ends with the process that has it. It spares the gateway questions, and protects nothing.
    """

    async def take(self, payment_ids: Collection[str]) -> frozenset[str]:
        """Those whose turn is ours from now on, until it is given back."""
        ...

    def give_back(self, payment_ids: Iterable[str]) -> None: ...


class Ledger(Protocol):
    """Where payments are kept."""

    def batch(self, payment_ids: Collection[str]) -> AbstractAsyncContextManager[Batch]: ...

    async def look(self, claims: Sequence[Claim], payment_ids: Collection[str] = ()) -> Looked:
        """Read the payments that these claims are about, and those named, in one round trip and without a lock."""
        ...

    async def write(self, writes: Sequence[Write]) -> Written:
        """Write those whose payment stands as it was read, all in one transaction, with their claims and keys.

        None stands as another server showed it, however alike it looks.
        A payment that was written since, or whose keys are others', is left out, and nothing of it is written. So is
        one with a claim that is recorded by now, and one that executes while its order is another's. Each payment
        stands here once.
        """
        ...

    def locked(self, payment_ids: Collection[str]) -> AbstractAsyncContextManager[Arbiter]:
        """The same for payments that lost their swap again and again: nobody else writes them meanwhile."""
        ...

    def limits(self, accounts: Collection[str]) -> AbstractAsyncContextManager[Limits]:
        """What these accounts may be asked, locked in the order of their ids, and committed when the block ends well.

        A crash of the database may forget it.
        """
        ...

    async def set_aside(self, claims: Sequence[Claim]) -> None:
        """Record claims that are about no payment, each once."""
        ...

    async def referenced(self, names: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Which of these references, each as (account, reference), payments have."""
        ...

    async def find(self, claims: Sequence[Claim]) -> Mapping[str, str]:
        """Which payment each claim is about, by claim id, within the account of its URL; unknown ones are absent."""
        ...

    async def keep(self, claims: Sequence[Claim]) -> Mapping[str, str]:
        """Keep claims for the payments that are to come, each once, and a signed event once; see consumers.keeping.

        A claim whose payment has come meanwhile is not kept; its payment is returned, as `find` does. No claim is
        missed: a payment is recorded either before, and found here, or after, and then its `hear_kept` finds the claim.
        """
        ...
