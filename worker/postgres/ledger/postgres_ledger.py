"""The ledger in Postgres: looks and writes, batches, claims without a payment, and payments that wait for a checkout.

Other processes are told of a change once it is committed. A write that gives events their positions tells them itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import msgspec

from consumers.commands.reopen import ReadyToOpen, ReferenceTaken
from consumers.ports.readings import LookResult, Lookup
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.ports.writes import Write, WriteResult
from schemas.callbacks import Claim
from schemas.changes import Change
from schemas.payments import Glance, Payment
from worker.postgres.database import Connection, Database, despite_others
from worker.postgres.driver_errors import translated
from worker.postgres.events.event_log import SequencedEvent
from worker.postgres.ledger.account_limits import PostgresLimits, open_limits
from worker.postgres.ledger.batch import BatchEnd, CommittedBatch, PostgresBatch, open_batch, referenced
from worker.postgres.ledger.checkout_rows import create_or_reopen, discard
from worker.postgres.ledger.claims import names_of, record_unfound
from worker.postgres.ledger.find_payments import FIND, find
from worker.postgres.ledger.inserted_batch import PostgresInsertedBatch, open_inserted
from worker.postgres.ledger.kept_claims import keep_early_claims, wait_for_turns
from worker.postgres.ledger.look import look
from worker.postgres.ledger.news import news_of
from worker.postgres.ledger.rows import PAYMENT, payment_of, planned_once
from worker.postgres.ledger.write import PostgresLockedLedger, Tried, open_locked, put, write_all
from worker.postgres.wakeups import Wakeup
from worker.postgres.witness import SeenEvent
from worker.runtime.contacts import ContactKeys
from worker.runtime.encryption import ArchiveCipher

_PEEK = f"SELECT {', '.join(Glance.__struct_fields__)} FROM payments WHERE id = ANY({planned_once(1)})"  # noqa: S608
_HOLDER = f"""
    SELECT {PAYMENT} FROM sessions s JOIN payments p ON p.id = s.payment_id WHERE s.account = $1 AND s.session_id = $2
"""  # noqa: S608 - our own names


class PostgresLedger:
    """See consumers.ports.ledger.Ledger; also the CheckoutStore and the UnexpectedPayments of the domain.

    `cipher` encrypts the callbacks of the archive. `changed` is called with a payment as it was and its change, once
    the change is committed. `dropped` is called with a gateway and how many of its early claims were given up.
    `sequenced` is called with events that got their positions when they were written, in order. Without it, relays
    assign all positions. `contacts` hashes what a request tells of its buyer, to find the payment by it.
    """

    def __init__(
        self,
        database: Database,
        cipher: ArchiveCipher | None = None,
        changed: Callable[[Payment, Change], None] = lambda *_: None,
        dropped: Callable[[str, int], None] = lambda *_: None,
        sequenced: Callable[[Sequence[SequencedEvent]], None] | None = None,
        contacts: ContactKeys | None = None,
    ) -> None:
        self._database, self._changed, self._dropped, self._sequenced = database, changed, dropped, sequenced
        self._cipher, self._contacts = cipher or ArchiveCipher(), contacts or ContactKeys()

    @asynccontextmanager
    async def batch(self, payment_ids: Collection[str]) -> AsyncIterator[PostgresBatch]:
        async with self._transaction() as (connection, commit):
            yield await open_batch(connection, sorted(payment_ids), BatchEnd(commit, self._tell))

    @asynccontextmanager
    async def inserted(self, payments: Sequence[Payment]) -> AsyncIterator[PostgresInsertedBatch]:
        async with self._transaction() as (connection, commit):
            yield await open_inserted(connection, payments, BatchEnd(commit, self._tell))

    @asynccontextmanager
    async def _transaction(
        self,
    ) -> AsyncIterator[tuple[Connection[asyncpg.Record], Callable[[], Awaitable[None]]]]:
        """A connection with a transaction, and the call that commits it. Without that call nothing is changed."""
        async with self._database.connection() as connection:
            transaction, committed = connection.transaction(), False

            async def commit() -> None:
                nonlocal committed
                await transaction.commit()
                committed = True

            await transaction.start()
            try:
                yield connection, commit
            finally:
                if not committed:
                    # A session that failed has no transaction left. The error that ended the block is raised.
                    with suppress(DatabaseUnavailable), translated():
                        await transaction.rollback()

    def _tell(self, batch: CommittedBatch) -> None:
        for before, change in batch.changes:
            self._changed(before, change)
        self._database.witness.saw(_events_of([change for _, change in batch.changes]), batch.since)
        self._count_dropped(batch.dropped)
        if batch.wakeup is not None:
            self._database.notify(batch.wakeup)

    async def look(self, claims: Sequence[Claim], payment_ids: Collection[str] = ()) -> LookResult:
        async with self._database.connection() as connection:
            return await look(connection, claims, payment_ids)

    async def write(self, writes: Sequence[Write]) -> WriteResult:
        return await write_all(writes, lambda part: despite_others(partial(self._put, part)))

    async def _put(self, writes: Sequence[Write]) -> Tried:
        async with self._database.connection() as connection:
            placing = self._sequenced is not None
            news = self._news(writes, [write.change.event.id for write in writes if write.change.event is not None])
            wakeups = self._database.payloads(news) if news is not None and placing else []
            tried = await put(connection, writes, self._cipher, placing=placing, wakeups=wakeups)
        self._tell_written(tried.done, tried.places)
        return tried

    @asynccontextmanager
    async def locked(self, payment_ids: Collection[str]) -> AsyncIterator[PostgresLockedLedger]:
        async with self._transaction() as (connection, commit):
            locked = await open_locked(connection, sorted(payment_ids), self._cipher)
            yield locked
            if locked.written:
                await commit()
        self._tell_written(locked.written, {})

    def _tell_written(self, writes: Sequence[Write], places: Mapping[str, int]) -> None:
        """Tell of committed writes. If their events got `places`, the statement itself has sent the wakeup."""
        for write in writes:
            self._changed(write.reading.case.payment, write.change)
            self._database.witness.saw(_events_of([write.change]), write.reading.since)
            self._database.witness.heard(write.claims, write.change.payment.id, write.reading.since)
        if (news := self._news(writes, places)) is None:
            return
        if self._sequenced is None or not places:
            self._database.notify(news)
            return
        self._sequenced(_in_their_order(writes, places))
        self._database.told(news)
        if news.events:
            self._database.notify(Wakeup(events=True))

    def _news(self, writes: Sequence[Write], placed: Collection[str]) -> Wakeup | None:
        return news_of([write.change for write in writes], self._database.clock.now(), placed=placed)

    @asynccontextmanager
    async def limits(self, accounts: Collection[str]) -> AsyncIterator[PostgresLimits]:
        async with self._database.connection() as connection, connection.transaction():
            yield await open_limits(connection, accounts)

    async def set_aside(self, claims: Sequence[Claim]) -> None:
        since = self._database.primary.since  # before the write: the next server may lack it
        async with self._database.connection() as connection:
            await record_unfound(connection, self._cipher, sorted(claims, key=lambda claim: claim.id))
        self._database.witness.heard(claims, None, since)

    async def referenced(self, names: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        async with self._database.connection() as connection:
            return await referenced(connection, names)

    async def find(self, lookups: Sequence[Claim | Lookup]) -> Mapping[str, str]:
        if not lookups:
            return {}
        async with self._database.connection() as connection:
            return await find(connection, lookups)

    async def keep(self, claims: Sequence[Claim]) -> Mapping[str, str]:
        since = self._database.primary.since
        async with self._database.connection() as connection, connection.transaction():
            await wait_for_turns(connection, claims)
            rows = await connection.fetch(FIND, *names_of(claims))
            found = {row["claim_id"]: row["payment_id"] for row in rows if row["payment_id"] and not row["past"]}
            past = {row["claim_id"] for row in rows if row["past"]}
            await record_unfound(connection, self._cipher, [claim for claim in claims if claim.id in past])
            dropped = await keep_early_claims(
                connection, self._cipher, [claim for claim in claims if claim.id not in found and claim.id not in past]
            )
        self._count_dropped(dropped)
        self._database.witness.heard(claims, None, since)
        return found

    def _count_dropped(self, dropped: Mapping[str, int]) -> None:
        for provider, count in dropped.items():
            self._dropped(provider, count)

    async def peek(self, wanted: Sequence[tuple[str, str]]) -> list[Glance | None]:
        """For each (account, payment id), the payment now, unlocked; None if the account has no such payment."""
        rows = await self._database.fetch(_PEEK, list({payment_id for _, payment_id in wanted}))
        glances = [msgspec.convert(dict(row), Glance) for row in rows]
        found = {(glance.account, glance.id): glance for glance in glances}
        return [found.get(name) for name in wanted]

    async def holder(self, account: str, session_id: str) -> Payment | None:
        rows = await self._database.fetch(_HOLDER, account, session_id)
        return payment_of(rows[0]) if rows else None

    async def create(self, payment: Payment, request: dict[str, Any], lease: timedelta) -> ReadyToOpen | ReferenceTaken:
        while True:
            async with self._database.connection() as connection, connection.transaction():
                made = await create_or_reopen(connection, payment, request, lease, self._contacts)
            if made is not None:
                return made

    async def discard(self, payment_id: str) -> None:
        async with self._database.connection() as connection, connection.transaction():
            await discard(connection, payment_id)


def _events_of(changes: Iterable[Change]) -> Iterator[SeenEvent]:
    for change in changes:
        if (event := change.event) is not None:
            yield SeenEvent(
                id=event.id,
                type=event.type,
                merchant=event.merchant,
                account=event.account,
                reference=change.payment.reference,
            )


def _in_their_order(writes: Sequence[Write], places: Mapping[str, int]) -> list[SequencedEvent]:
    placed = [
        SequencedEvent(
            place=places[event.id],
            id=event.id,
            type=event.type,
            merchant=event.merchant,
            account=event.account,
            body=event.body,
            since=write.reading.since,
        )
        for write in writes
        if (event := write.change.event) is not None and event.id in places
    ]
    return sorted(placed, key=lambda event: event.place)
