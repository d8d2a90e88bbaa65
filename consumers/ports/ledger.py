"""The port to the payments in the database: a look without a lock, and a write that depends on what was read.

Commands use a batch instead: one transaction over payments that it locks. Each key belongs to one payment, whether a
write or a batch took it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from consumers.ports.call_limits import AccountLimits
from consumers.ports.readings import LookResult, Lookup
from consumers.ports.writes import Keys, Write, WriteResult
from schemas.audit import AuditRecord
from schemas.callbacks import Claim
from schemas.changes import Change
from schemas.payments import Case, Payment, TakenKeys
from schemas.proposals import Proposal, ProposalState


class Batch(Protocol):
    """One transaction over payments locked in the order of their ids. Without `commit` it changes nothing."""

    now: datetime
    cases: Mapping[str, Case]

    async def reserve(self, keys: Sequence[Keys]) -> Mapping[str, TakenKeys]:
        """Take keys that are free. Returns by payment id which keys belong to other payments.

        The first payment keeps a key. Without keys the database is not asked. An order that is released becomes free
        only if no other attempt of it is completed. A completed attempt that came second, and is held for that, keeps
        the order from the next one. A released order is free for the other payments of the same call.
        """
        ...

    async def taken(self, case: Case, named: str | None) -> TakenKeys:
        """Which keys of the payment, of its answers and of `named`, a transaction, other payments have. Takes none."""
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

    async def audit(self, record: AuditRecord) -> None:
        """Add a record to the audit trail, at this batch's time."""
        ...

    async def approved_proposal(self, proposal_id: str) -> Proposal | None:
        """Lock the proposal, after its payment. Returns None unless it is approved and nobody has applied it yet."""
        ...

    async def end_proposal(
        self, proposal: Proposal, state: ProposalState, code: str | None = None, words: str | None = None
    ) -> None:
        """End an approved proposal as applied, or as refused with a code and words, and record that in the trail."""
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
    """Where payments are kept. Every call may raise DatabaseUnavailable; a write may be done all the same."""

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
