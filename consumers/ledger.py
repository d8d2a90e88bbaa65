"""The port to where payments are kept: one transaction over a batch of payments, and the keys only one can have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import Struct

from consumers.allowance import Allowance
from consumers.receiving import Admission
from schemas.callbacks import Claim
from schemas.payments import Case, Change, Owners, Payment


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


OrderState = Literal["free", "busy", "paid"]
"""How an order's other attempts stand. `paid`: one is, and not all of it went back. `busy`: one executes, or has waited
longer for its turn. `free`: neither."""


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

    async def orders(self, payments: Sequence[Payment]) -> Mapping[str, OrderState]:
        """How the order of each stands for its Execute, by payment id; unlocked. Without an order it is free."""
        ...

    async def begin_executions(self, payment_ids: Collection[str]) -> frozenset[str]:
        """Mark these as the one attempt of their order that executes; return those for which no other stands."""
        ...

    async def referenced(self, names: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Which of these references, each as (account, reference), payments have."""
        ...

    async def allowances(self, accounts: Collection[str], *, locked: bool) -> Mapping[str, Allowance]:
        """What stands of these accounts; those without a row are absent. Locked in the order of their ids."""
        ...

    async def write_allowances(self, allowances: Sequence[Allowance]) -> None:
        """Write them down."""
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


class Ledger(Protocol):
    """Where payments are kept."""

    def batch(self, payment_ids: Collection[str]) -> AbstractAsyncContextManager[Batch]: ...

    async def find(self, claims: Sequence[Claim]) -> Mapping[str, str]:
        """Which payment each claim is about, by claim id, within the account of its URL; unknown ones are absent."""
        ...

    async def keep(self, claims: Sequence[Claim]) -> Mapping[str, str]:
        """Keep claims for the payments that are to come, each once, and a signed event once; see consumers.keeping.

        A claim whose payment has come meanwhile is not kept; its payment is returned, as `find` does. No claim is
        missed: a payment is recorded either before, and found here, or after, and then its `hear_kept` finds the claim.
        """
        ...
