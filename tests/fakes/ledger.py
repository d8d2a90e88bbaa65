"""The ledger in memory: the ports `Ledger`, `Openings` and `Findings`, with the unique keys and refusals of the SQL.

A batch sees what was committed and its own writes, never another batch's. Its writes lie in a layer over the tables and
reach them by `commit`.
"""

from __future__ import annotations

import asyncio
from collections import ChainMap, Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from consumers.apply_claim import KEPT_CANDIDATES
from consumers.commands.reopen import ReadyToOpen, ReferenceTaken, reopen_or_reject
from consumers.early_claims import KEPT_FOR, PER_ACCOUNT, PER_ID, as_kept, event, is_signed, names
from consumers.money.matching import transaction_of
from consumers.ports.call_limits import AccountLimits
from consumers.ports.readings import Admission, ExecuteRequest, LookResult, Lookup, Reading
from consumers.ports.readings import Order as SeenOrder
from consumers.ports.writes import Keys, Write, WriteResult
from consumers.timing import TIMING
from schemas.answers import Fact
from schemas.audit import AuditRecord
from schemas.callbacks import Claim
from schemas.changes import Change, Entry
from schemas.events import Event
from schemas.payments import Case, Payment, Resolution, TakenKeys
from schemas.proposals import Proposal, ProposalState
from schemas.words import Authenticity, EntryKind, EventType, Source, Status
from tests.fakes.clock import FakeClock

__all__ = ["FakeClock", "FakeLedger", "Refused"]


class Refused(Exception):
    """The tables do not take this row: a check, a trigger or a unique key of the SQL forbids it."""


class Order(Struct, frozen=True, kw_only=True):
    """Which attempt paid an order, and which attempt is executing."""

    paid_by: str | None = None
    executing: str | None = None


class Tables:
    """Rows by their primary keys, as in `schemas/sql`. A layer over other tables writes to itself alone."""

    def __init__(self, under: Tables | None = None) -> None:
        def table(name: str) -> MutableMapping[Any, Any]:
            return ChainMap({}, getattr(under, name)) if under is not None else {}

        self.payments: MutableMapping[str, Payment] = table("payments")
        self.facts: MutableMapping[str, dict[str, Fact]] = table("facts")
        self.claims: MutableMapping[str, tuple[Claim, str | None]] = table("claims")
        self.signed_events: MutableMapping[tuple[str, str], str] = table("signed_events")
        self.transactions: MutableMapping[tuple[str, str], str] = table("transactions")
        self.sessions: MutableMapping[tuple[str, str], str] = table("sessions")
        self.orders: MutableMapping[tuple[str, str], Order] = table("orders")
        self.openings: MutableMapping[str, dict[str, Any]] = table("openings")
        self.allowances: MutableMapping[str, AccountLimits] = table("allowances")
        self.proposed: MutableMapping[str, str] = table("proposed")
        """The payment that a request continues as, by the id that it proposed: the answer to its Idempotency-Key."""
        self.told: MutableMapping[str, tuple[Event, ...]] = table("told")
        self.entries: MutableMapping[str, tuple[Entry, ...]] = table("entries")
        self.kept: MutableMapping[str, Claim | None] = table("kept")
        self.references: MutableMapping[tuple[str, str], str] = table("references")
        """Which row shows a session or a transaction, as (account, column, id): the unique indexes of `payments`."""
        self.proposals: MutableMapping[str, Proposal] = table("proposals")
        self.audit: list[AuditRecord] = []
        self.events: list[Event] = []
        self.heard: list[Claim] = []
        self.resolutions: list[tuple[str, Resolution]] = []

    def take_over(self, layer: Tables) -> None:
        for name, rows in vars(layer).items():
            if isinstance(rows, ChainMap):
                getattr(self, name).update(rows.maps[0])
            else:
                getattr(self, name).extend(rows)


class FakeLedger:
    """Ledger, Openings and Findings. `clock` gives the time; tests may read what was committed."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self._tables = Tables()
        self.revisions = Counter[str]()
        """Increased by every write of a payment except the sweep's."""
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._writing = asyncio.Lock()
        self._limiting = asyncio.Lock()
        self.since: datetime | None = None
        """When this server took over from another."""
        self.version_floor = 0
        """The versions up to it may have been given by the server before."""

    # -- the ports -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def batch(self, payment_ids: Collection[str]) -> AsyncIterator[FakeBatch]:
        async with AsyncExitStack() as locks:
            for payment_id in sorted(set(payment_ids)):
                await locks.enter_async_context(self._locks[payment_id])
            cases = {key: case for key in sorted(set(payment_ids)) if (case := self.case(key)) is not None}
            batch = FakeBatch(self._tables, self._writing, locks, self.clock.now, cases, self.revisions)
            yield batch

    @asynccontextmanager
    async def inserted(self, payments: Sequence[Payment]) -> AsyncIterator[FakeBatch]:
        async with AsyncExitStack() as locks:
            batch = FakeBatch(self._tables, self._writing, locks, self.clock.now, {}, self.revisions)
            await batch.insert(payments)
            yield batch

    async def holder(self, account: str, session_id: str) -> Payment | None:
        return self._tables.payments.get(self._tables.sessions.get((account, session_id), ""))

    async def find(self, lookups: Sequence[Claim | Lookup]) -> dict[str, str]:
        found = {one.id: self._home(one) for one in lookups}
        return {claim_id: payment_id for claim_id, payment_id in found.items() if payment_id is not None}

    async def look(self, claims: Sequence[Claim], payment_ids: Collection[str] = ()) -> LookResult:
        homes = await self.find(claims)
        readings = {key: self._sight(case) for key in {*homes.values(), *payment_ids} if (case := self.case(key))}
        return LookResult(
            now=self.clock.now,
            homes=homes,
            admissions={claim.id: self._admission(claim) for claim in claims},
            readings=dict(sorted(readings.items())),
            limits_by_account=dict(self._tables.allowances),
        )

    def _sight(self, case: Case) -> Reading:
        tables, payment = self._tables, case.payment
        order = tables.orders.get((payment.merchant, payment.order_ref or ""), Order())
        return Reading(
            case=case,
            revision=self.revisions[payment.id],
            sessions=frozenset(name for (_, name), owner in tables.sessions.items() if owner == payment.id),
            transactions=frozenset(name for (_, name), owner in tables.transactions.items() if owner == payment.id),
            order=SeenOrder(
                paid_by=order.paid_by,
                executing=order.executing,
                execute_requests=self._wishes(payment),
                unheard=self._unheard(payment),
            ),
            since=self.since,
        )

    def _wishes(self, payment: Payment) -> tuple[ExecuteRequest, ...]:
        if payment.order_ref is None:
            return ()
        return tuple(
            ExecuteRequest(payment_id=one.id, wanted_at=one.execute_wanted_at, waits_until=one.execute_waits_until)
            for one in self._tables.payments.values()
            if (one.merchant, one.order_ref) == (payment.merchant, payment.order_ref) and one.id != payment.id
            if one.execute_state == "wanted" and one.status is Status.PENDING and one.execute_wanted_at is not None
        )

    def _unheard(self, payment: Payment) -> frozenset[str]:
        since = self.since
        if payment.order_ref is None or since is None:
            return frozenset()
        return frozenset(
            one.account
            for one in self._tables.payments.values()
            if (one.merchant, one.order_ref) == (payment.merchant, payment.order_ref) and one.id != payment.id
            if one.status is Status.PENDING and one.opened_at < since
            if one.fact_asked_at is None or one.fact_asked_at < since + TIMING.execute_again
        )

    def _admission(self, claim: Claim) -> Admission:
        if claim.id in self._tables.claims:
            return "seen"
        signed = claim.event_id is not None and claim.authenticity is Authenticity.SIGNED
        return "repeated" if signed and (claim.account, claim.event_id) in self._tables.signed_events else "new"

    async def write(self, writes: Sequence[Write]) -> WriteResult:
        """One batch of the fake for each write; a write that is left out leaves nothing."""
        done, taken = set[str](), dict[str, TakenKeys]()
        for write in sorted(writes, key=lambda write: write.change.payment.id):
            payment_id = write.change.payment.id
            async with self.batch([payment_id]) as batch:
                stands = (self.revisions[payment_id], self.since) == (write.reading.revision, write.reading.since)
                if not stands or payment_id not in batch.cases:
                    continue
                taken_keys = write.lost((await batch.reserve([write.wanted]))[payment_id])
                if taken_keys != TakenKeys():
                    taken[payment_id] = taken_keys
                    continue
                recorded = await batch.record(write.claims, payment_id)
                begun = await batch.begin_executions([payment_id]) if write.executes else {payment_id}
                if not recorded or not begun:
                    continue
                await batch.store([write.change])
                await batch.commit()
                done.add(payment_id)
        return WriteResult(done=frozenset(done), taken=taken)

    @asynccontextmanager
    async def locked(self, payment_ids: Collection[str]) -> AsyncIterator[FakeLockedLedger]:
        yield FakeLockedLedger(self, frozenset(payment_ids))  # no other task runs between two calls without an await

    @asynccontextmanager
    async def limits(self, accounts: Collection[str]) -> AsyncIterator[FakeLimits]:
        rows = self._tables.allowances
        async with self._limiting:
            limits = FakeLimits(self.clock.now, {one: rows[one] for one in accounts if one in rows})
            yield limits
            rows.update(limits.kept)

    async def set_aside(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self._tables.claims.setdefault(claim.id, (claim, None))

    async def referenced(self, names: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        return frozenset(name for name in names if self._tables.references.get(name))

    async def keep(self, claims: Sequence[Claim]) -> dict[str, str]:
        async with self._writing:
            found = await self.find(claims)
            for claim in claims:
                if claim.id not in found:
                    self._keep(claim)
        return found

    def _keep(self, claim: Claim) -> None:
        kept = [one for one in self._tables.kept.values() if one is not None and one.account == claim.account]
        if event(claim) is not None and any(event(one) == event(claim) for one in kept):
            return
        self._tables.kept[claim.id] = self._tables.kept.get(claim.id) or as_kept(claim)
        if is_signed(claim):
            return
        others = [one for one in kept if not is_signed(one) and one.id != claim.id]
        newest = sorted([*others, as_kept(claim)], key=lambda one: one.received_at, reverse=True)
        alike = [one for one in newest if _named(one) == _named(claim)]
        for one in [*alike[PER_ID:], *newest[PER_ACCOUNT:]]:
            self._tables.kept[one.id] = None

    async def create(self, payment: Payment, request: dict[str, Any], lease: timedelta) -> ReadyToOpen | ReferenceTaken:
        until = self.clock.now + lease
        async with self._writing:
            present = self._tables.payments.get(self._tables.references.get((payment.account, payment.reference), ""))
            if present is None:
                _check_row(payment)
                self._tables.references[payment.account, payment.reference] = payment.id
                created = replace(payment, opening_until=until)
                self._tables.payments[payment.id] = created
                self._tables.openings[payment.id] = request
                return ReadyToOpen(created)
        async with self._locks[present.id]:
            present = self._tables.payments[present.id]
            equal = self._tables.openings.get(present.id, {}) == request
            made = reopen_or_reject(present, payment, equal=equal, until=until, now=self.clock.now)
            if isinstance(made, ReadyToOpen):
                _check_rise(present, made.payment)
                self._tables.payments[present.id] = made.payment
                self.revisions[present.id] += 1
            return made

    async def discard(self, payment_id: str) -> None:
        async with self._locks[payment_id]:
            row = self._tables.payments[payment_id]
            if row.version > 0 or self.facts(payment_id):
                self.revisions[payment_id] += 1
                self._tables.payments[payment_id] = replace(row, opening_until=None)
                return
            for key, (claim, home) in list(self._tables.claims.items()):
                self._tables.claims[key] = (claim, None if home == payment_id else home)
            del self._tables.payments[payment_id], self._tables.openings[payment_id]
            del self._tables.references[row.account, row.reference]
            self._tables.entries.pop(payment_id, None)

    # -- what the tests look at ----------------------------------------------------------------------------------------

    @property
    def events(self) -> tuple[Event, ...]:
        """All events, oldest first."""
        return tuple(self._tables.events)

    @property
    def heard(self) -> tuple[Claim, ...]:
        """The early claims that were queued when their payments came."""
        return tuple(self._tables.heard)

    @property
    def kept(self) -> tuple[Claim, ...]:
        """The claims that wait for their payments to come."""
        return tuple(one for one in self._tables.kept.values() if one is not None)

    def proposal(self, proposal_id: str) -> Proposal:
        return self._tables.proposals[proposal_id]

    def put_proposal(self, proposal: Proposal) -> None:
        """What the console or the API writes. No two of a payment wait, as proposals_waiting of schemas/sql has it."""
        waiting = [one for one in self._tables.proposals.values() if not one.state.ended and one.id != proposal.id]
        if not proposal.state.ended and any(one.payment_id == proposal.payment_id for one in waiting):
            raise Refused(f"a proposal about {proposal.payment_id} waits")
        self._tables.proposals[proposal.id] = proposal

    @property
    def audit(self) -> tuple[AuditRecord, ...]:
        return tuple(self._tables.audit)

    def payment(self, payment_id: str) -> Payment:
        return self._tables.payments[payment_id]

    def case(self, payment_id: str) -> Case | None:
        payment = self._tables.payments.get(payment_id)
        if payment is None:
            return None
        resolutions = tuple(one for owner, one in self._tables.resolutions if owner == payment_id)
        return Case(
            payment=payment,
            facts=self.facts(payment_id),
            resolutions=resolutions,
            version_floor=self.version_floor,
        )

    def facts(self, payment_id: str) -> tuple[Fact, ...]:
        return tuple(self._tables.facts.get(payment_id, {}).values())

    def entries(self, payment_id: str) -> tuple[Entry, ...]:
        return self._tables.entries.get(payment_id, ())

    def came_to(self, proposed: str) -> str | None:
        """The payment that was given to the request which proposed this id."""
        return self._tables.proposed.get(proposed)

    def events_of(self, payment_id: str) -> tuple[Event, ...]:
        return self._tables.told.get(payment_id, ())

    def due(self, now: datetime) -> tuple[Payment, ...]:
        """The payments that the sweep takes: their `next_check_at` has come; the longest waiting first."""
        waiting = [
            (row.next_check_at, row.id)
            for row in self._tables.payments.values()
            if row.next_check_at is not None and row.next_check_at <= now
        ]
        return tuple(self._tables.payments[payment_id] for _, payment_id in sorted(waiting))

    def next_look(self) -> datetime | None:
        """When the sweep has its next payment to take."""
        times = (row.next_check_at for row in self._tables.payments.values())
        return min((at for at in times if at is not None), default=None)

    def swept(self, payment_ids: Collection[str], look_again_at: datetime) -> None:
        """Write what the sweep writes on the payments that it takes: they are due again if their claims are lost."""
        for payment_id in payment_ids:
            self._tables.payments[payment_id] = replace(self.payment(payment_id), next_check_at=look_again_at)

    def rest(self, payment_id: str, until: datetime | None = None) -> None:
        """Mark a payment as idle: no question about it is in flight, and it is not swept until then."""
        self._tables.payments[payment_id] = replace(self.payment(payment_id), lease_until=None, next_check_at=until)
        self.revisions[payment_id] += 1

    def limits_of(self, account: str) -> AccountLimits | None:
        return self._tables.allowances.get(account)

    def _home(self, claim: Claim | Lookup) -> str | None:
        """The payment that a claim is about: by its path, else by the gateway's ids, else by our reference."""
        tables, account = self._tables, claim.account
        if claim.payment_id is not None:
            row = tables.payments.get(claim.payment_id)
            return row.id if row is not None and row.account == account else None
        by_session = tables.sessions.get((account, claim.session_id or ""))
        by_transaction = tables.transactions.get((account, claim.transaction_id or ""))
        by_reference = tables.references.get((account, claim.reference or ""))
        return by_session or by_transaction or by_reference or None


class FakeLockedLedger:
    def __init__(self, ledger: FakeLedger, payment_ids: frozenset[str]) -> None:
        self._ledger, self._payment_ids = ledger, payment_ids

    async def look(self, claims: Sequence[Claim]) -> LookResult:
        return await self._ledger.look(claims, self._payment_ids)

    async def write(self, writes: Sequence[Write]) -> WriteResult:
        return await self._ledger.write(writes)


class FakeLimits:
    def __init__(self, now: datetime, limits_by_account: Mapping[str, AccountLimits]) -> None:
        self.now, self.limits_by_account = now, limits_by_account
        self.kept: dict[str, AccountLimits] = {}

    async def save(self, limits_by_account: Sequence[AccountLimits]) -> None:
        self.kept.update({one.account: one for one in limits_by_account})


class FakeTurns:
    """The turns of one process; several processes share `held`, as sessions of one database do."""

    def __init__(self, held: set[str] | None = None) -> None:
        self.held = set[str]() if held is None else held

    async def take(self, payment_ids: Collection[str]) -> frozenset[str]:
        mine = frozenset(payment_ids) - self.held
        self.held |= mine
        return mine

    def give_back(self, payment_ids: Iterable[str]) -> None:
        self.held -= set(payment_ids)


class FakeBatch:
    """One transaction.

    Unique keys are taken under one lock from the first write to the end, so no deadlock can arise.
    """

    def __init__(
        self,
        tables: Tables,
        writing: asyncio.Lock,
        locks: AsyncExitStack,
        now: datetime,
        cases: Mapping[str, Case],
        revisions: Counter[str],
    ) -> None:
        self.now = now
        self.cases = cases
        self.layer = Tables(under=tables)
        self._revisions, self._stored = revisions, set[str]()
        self._tables = tables
        self._writing = writing
        self._locks = locks
        self._writes = False

    async def record(self, claims: Sequence[Claim], payment_id: str) -> bool:
        """Record claims about this payment. False where one of them, or its signed event, is there already."""
        await self._write()
        return all(self._record(claim, payment_id) for claim in claims)

    def _record(self, claim: Claim, payment_id: str) -> bool:
        layer = self.layer
        if claim.id in layer.claims:
            return False
        signed = claim.event_id is not None and claim.authenticity is Authenticity.SIGNED
        if signed and (claim.account, claim.event_id) in layer.signed_events:
            return False
        layer.claims[claim.id] = (claim, payment_id)
        if signed and claim.event_id is not None:
            layer.signed_events[claim.account, claim.event_id] = claim.id
        return True

    async def reserve(self, keys: Sequence[Keys]) -> dict[str, TakenKeys]:
        await self._write()
        layer, told = self.layer, {}
        self._let_go([key for key in keys if key.returned])
        for key in sorted(keys, key=lambda key: key.payment_id):
            order = False
            if key.order_ref is not None and not key.returned:
                row = layer.orders.get((key.merchant, key.order_ref), Order())
                order = row.paid_by not in (None, key.payment_id)
                if not order:
                    layer.orders[key.merchant, key.order_ref] = replace(row, paid_by=key.payment_id)
            told[key.payment_id] = TakenKeys(
                transactions=_take(layer.transactions, key, key.transactions),
                sessions=_take(layer.sessions, key, key.sessions),
                references=frozenset(
                    one
                    for one in key.references
                    if layer.references.get((key.account, one), key.payment_id) not in ("", key.payment_id)
                ),
                order=order,
            )
        return told

    async def taken(self, case: Case, named: str | None) -> TakenKeys:
        layer, payment, answers = self.layer, case.payment, [fact.answer for fact in case.facts]
        paid = {transaction_of(fact.answer, payment) for fact in case.facts if fact.answer.paid or fact.unproven}
        named_too = paid | ({named} if named is not None else set())
        sessions = {one.session_id for one in answers if one.session_id}
        references = {one.reference for one in answers if one.reference} - {payment.reference}
        account, mine = payment.account, (None, payment.id)
        others = [one for one in layer.payments.values() if one.id != payment.id]
        return TakenKeys(
            transactions=frozenset(one for one in named_too if layer.transactions.get((account, one)) not in mine),
            sessions=frozenset(one for one in sessions if layer.sessions.get((account, one)) not in mine),
            references=frozenset(references) & frozenset(one.reference for one in others if one.account == account),
            order=payment.order_ref is not None
            and any(
                (one.merchant, one.order_ref, one.status) == (payment.merchant, payment.order_ref, Status.COMPLETED)
                for one in others
            ),
        )

    def _let_go(self, keys: Sequence[Keys]) -> None:
        """Free orders, except those of which another attempt counts as completed."""
        returned = {key.payment_id for key in keys}
        for place in {(key.merchant, key.order_ref or "") for key in keys}:
            row = self.layer.orders.get(place)
            if row is not None and not any(
                (one.merchant, one.order_ref) == place and one.status is Status.COMPLETED and one.id not in returned
                for one in self.layer.payments.values()
            ):
                self.layer.orders[place] = replace(row, paid_by=None)

    async def begin_executions(self, payment_ids: Collection[str]) -> frozenset[str]:
        await self._write()
        begun = set()
        for payment_id in sorted(payment_ids):
            payment = self.cases[payment_id].payment
            if payment.order_ref is not None:
                place = (payment.merchant, payment.order_ref)
                row = self.layer.orders.get(place, Order())
                if {row.paid_by, row.executing} - {None, payment_id}:
                    continue
                self.layer.orders[place] = replace(row, executing=payment_id)
            begun.add(payment_id)
        return frozenset(begun)

    async def insert(self, payments: Sequence[Payment]) -> None:
        """The rows whose reference is free, as the cases of this batch."""
        await self._write()
        layer, cases = self.layer, {}
        for payment in payments:
            place = (payment.account, payment.reference)
            if not layer.references.get(place):
                _check_row(payment)
                layer.references[place] = payment.id
                layer.payments[payment.id] = payment
                cases[payment.id] = Case(payment=payment)
        self.cases = dict(sorted(cases.items()))

    async def withdraw(self, payment_ids: Sequence[str]) -> None:
        tables = (self.layer.references, self.layer.sessions, self.layer.transactions)
        for payment_id in payment_ids:
            del self.layer.payments[payment_id]
            for table in tables:
                own = _own(table)
                for key in [key for key, owner in own.items() if owner == payment_id]:
                    del table[key]
        self.cases = {key: case for key, case in self.cases.items() if key not in payment_ids}

    async def adopt_row(self, payment: Payment, request: dict[str, Any], *, proposed: str) -> str | None:
        await self._write()
        layer, before = self.layer, self.layer.payments[payment.id]
        other = layer.references.get((payment.account, payment.reference))
        if other and other != payment.id:
            return other
        layer.references[before.account, before.reference] = ""  # free it
        layer.references[payment.account, payment.reference] = payment.id
        layer.openings[payment.id] = request
        layer.proposed[proposed] = payment.id
        return None

    async def queue_early_claims(self, payment: Payment, *, signed_only: bool) -> None:
        await self._write()
        named = (payment.session_id, payment.transaction_id, payment.reference)
        waiting = [
            one
            for one in self.layer.kept.values()
            if one is not None and one.account == payment.account and one.received_at > self.now - KEPT_FOR
        ]
        waiting.sort(key=lambda one: (one.received_at, one.id))
        heard, gone = dict[str, Claim](), set[str]()
        for place, name in enumerate(named):
            alike = [one for one in waiting if name is not None and names(one)[place] == name]
            guessed = [one for one in alike if not is_signed(one) and not signed_only]
            heard |= {one.id: one for one in alike if is_signed(one) or one in guessed[:KEPT_CANDIDATES]}
            gone |= {one.id for one in guessed}
        self.layer.heard.extend(heard.values())
        for claim_id in heard.keys() | gone:
            self.layer.kept[claim_id] = None

    async def store(self, changes: Sequence[Change]) -> None:
        await self._write()
        for change in changes:
            self._store(change)
            self._stored.add(change.payment.id)

    async def audit(self, record: AuditRecord) -> None:
        self.layer.audit.append(record)

    async def approved_proposal(self, proposal_id: str) -> Proposal | None:
        await self._write()
        proposal = self.layer.proposals.get(proposal_id)
        return proposal if proposal is not None and proposal.state is ProposalState.APPROVED else None

    async def end_proposal(
        self, proposal: Proposal, state: ProposalState, code: str | None = None, words: str | None = None
    ) -> None:
        if self.layer.proposals[proposal.id].state is not ProposalState.APPROVED:
            raise Refused(f"{proposal.id} has ended")
        ended = replace(proposal, state=state, refusal_code=code, refusal=words, ended_at=self.now)
        self.layer.proposals[proposal.id] = ended

    async def commit(self) -> None:
        self._tables.take_over(self.layer)
        self._revisions.update(self._stored)

    def _store(self, change: Change) -> None:
        layer, payment = self.layer, change.payment
        before = self.cases[payment.id].payment
        _check_row(payment)
        _check_rise(before, payment)
        self._check_own(before, payment)
        layer.payments[payment.id] = payment
        if change.facts:
            known = layer.facts.get(payment.id, {})
            layer.facts[payment.id] = known | {fact.key: fact for fact in change.facts}
        if change.entries:
            entries = (*layer.entries.get(payment.id, ()), *change.entries)
            counted = _counted(entries[:-1], entries[-1]) if change.repeats else None
            layer.entries[payment.id] = counted or entries
        if change.resolution is not None:
            layer.resolutions.append((payment.id, change.resolution))
        if change.event is not None:
            self._tell(change.event)
        if change.order_freed and payment.order_ref is not None:
            place = (payment.merchant, payment.order_ref)
            order = layer.orders.get(place, Order())
            if order.executing == payment.id:
                layer.orders[place] = replace(order, executing=None)

    def _check_own(self, before: Payment, payment: Payment) -> None:
        """As payments_own_their_keys() of schemas/sql does."""
        for column, taken_keys in (("session_id", self.layer.sessions), ("transaction_id", self.layer.transactions)):
            name = getattr(payment, column)
            changed = name is not None and name != getattr(before, column)
            if changed and taken_keys.get((payment.account, name)) != payment.id:
                raise Refused(f"{column} {name} is not {payment.id}'s own")

    def _tell(self, event: Event) -> None:
        told = self.layer.told.get(event.payment_id, ())
        if any(one.version == event.version or one.id == event.id for one in told):
            raise Refused(f"event {event.id} was written before")
        if event.type is EventType.COMPLETED and any(one.type is EventType.COMPLETED for one in told):
            raise Refused(f"{event.payment_id} was published as completed before")
        self.layer.told[event.payment_id] = (*told, event)
        self.layer.events.append(event)

    async def _write(self) -> None:
        if not self._writes:
            await self._locks.enter_async_context(self._writing)
            self._writes = True


def _named(claim: Claim) -> str | None:
    """The key under which a kept unsigned claim is counted."""
    return next((name for name in names(claim) if name is not None), None)


def _take(taken: MutableMapping[tuple[str, str], str], key: Keys, wanted: Collection[str]) -> frozenset[str]:
    """Take the free keys. Returns the keys that belong to other payments."""
    taken_keys = {one: taken.setdefault((key.account, one), key.payment_id) for one in sorted(wanted)}
    return frozenset(one for one, owner in taken_keys.items() if owner != key.payment_id)


def _counted(entries: tuple[Entry, ...], new: Entry) -> tuple[Entry, ...] | None:
    """The timeline where a repeated answer is counted in its predecessor; None when the entry stands for itself."""
    questions = 0
    for place in reversed(range(len(entries))):
        one = entries[place]
        if one.kind is new.kind:
            if questions != 1 or _said(one) != _said(new):
                return None
            data = one.data | {"times": one.data.get("times", 1) + 1, "last_at": msgspec.to_builtins(new.at)}
            return (*entries[:place], replace(one, data=data))
        if (one.kind, one.data.get("source"), one.data.get("trigger")) not in _OUR_SCHEDULES:
            return None
        questions += one.kind is EntryKind.QUESTION
    return None


def _said(answer: Entry) -> dict[str, Any]:
    return {name: value for name, value in answer.data.items() if name not in ("seconds", "times", "last_at")}


_OUR_SCHEDULES = ((EntryKind.CLAIM, Source.SWEEP, None), (EntryKind.QUESTION, None, "schedule"))


def _own(table: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The rows that the layer itself wrote."""
    assert isinstance(table, ChainMap)
    return table.maps[0]


def _check_row(row: Payment) -> None:
    came = row.amount if row.accepted_amount is None else row.accepted_amount
    whole = row.refunded_amount >= came
    if row.amount <= 0 or not 0 <= row.refunded_amount <= max(row.amount, came) or row.version < 0:
        raise Refused(f"{row!r}: amounts or version out of range")
    if row.status.paid and (row.status is Status.REFUNDED) != whole:
        raise Refused(f"{row!r}: refunded in full exactly when its status is refunded")


def _check_rise(before: Payment, after: Payment) -> None:
    never_told = before.version == 0 and before.status is Status.EXPIRED
    if after.status.rank < before.status.rank and not never_told:
        raise Refused(f"{before!r} would fall to {after.status}")
    if after.version < before.version or after.refunded_amount < before.refunded_amount:
        raise Refused(f"{before!r} would go back in version or refunds")
    if before.completed_told and not after.completed_told:
        raise Refused(f"{before!r} would take back a published event")
