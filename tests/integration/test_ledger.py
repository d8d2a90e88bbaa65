"""One contract, two implementations: the ledger in memory and the ledger in Postgres."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from schemas.callbacks import Claim
from tests.fakes.ledger import FakeLedger, Refused
from tests.integration.conformance_kept import KeptConformance, Waiting
from tests.integration.conformance_ledger import NOON, Kept, LedgerConformance
from tests.integration.conformance_looking import LookingConformance
from tests.integration.conformance_unexpected import Books, UnexpectedConformance
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.due import take_due


class TestFakeLedger(LedgerConformance, LookingConformance, UnexpectedConformance, KeptConformance):
    @pytest.fixture
    def ledger(self) -> FakeLedger:
        return FakeLedger()

    @pytest.fixture
    def books(self, ledger: FakeLedger, kept: Kept) -> Books:
        return Books(ledger=ledger, kept=kept)

    @pytest.fixture
    def waiting(self, ledger: FakeLedger, kept: Kept) -> Waiting:
        async def queued() -> list[Claim]:
            return list(ledger.heard)

        return Waiting(kept=kept, queued=queued)

    @pytest.fixture
    def kept(self, ledger: FakeLedger) -> Kept:

        async def events(payment_id: str) -> list[tuple[str, str, bytes]]:
            return [(event.id, event.type, event.body) for event in ledger.events_of(payment_id)]

        async def entries(payment_id: str) -> list[tuple[str, datetime, dict[str, Any]]]:
            return [(entry.kind, entry.at, entry.data) for entry in ledger.entries(payment_id)]

        async def sweeps() -> None:
            ledger.swept([payment.id for payment in ledger.due(NOON)], NOON + timedelta(seconds=30))

        return Kept(ledger=ledger, refusals=(Refused,), events=events, entries=entries, sweeps=sweeps)


class TestPostgresLedger(LedgerConformance, LookingConformance, UnexpectedConformance, KeptConformance):
    @pytest.fixture
    def books(self, database: Database, kept: Kept) -> Books:
        return Books(ledger=PostgresLedger(database), kept=kept)

    @pytest.fixture
    def waiting(self, database: Database, kept: Kept) -> Waiting:
        async def queued() -> list[Claim]:
            rows = await database.fetch("SELECT body FROM queue ORDER BY id")
            return [msgspec.json.decode(row["body"], type=Claim) for row in rows]

        return Waiting(kept=kept, queued=queued)

    @pytest.fixture
    def kept(self, database: Database) -> Kept:
        async def events(payment_id: str) -> list[tuple[str, str, bytes]]:
            rows = await database.fetch("SELECT * FROM events WHERE payment_id = $1 ORDER BY version", payment_id)
            return [(row["id"], row["type"], row["body"]) for row in rows]

        async def entries(payment_id: str) -> list[tuple[str, datetime, dict[str, Any]]]:
            rows = await database.fetch("SELECT * FROM entries WHERE payment_id = $1 ORDER BY seq", payment_id)
            return [(row["kind"], row["at"], row["data"]) for row in rows]

        async def sweeps() -> None:
            await take_due(database, 100, {"shop-a": None})

        refusals = (asyncpg.IntegrityConstraintViolationError,)
        ledger = PostgresLedger(database)
        return Kept(ledger=ledger, refusals=refusals, events=events, entries=entries, sweeps=sweeps)


_ITS_SESSION = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"


async def test_a_batch_that_is_cancelled_while_its_session_ends_is_cancelled(database: Database) -> None:
    """A worker that shuts down beside its database must not take its cancellation for a lost session and go on."""
    begun = asyncio.Event()

    async def work() -> None:
        async with PostgresLedger(database).batch([]):
            await database.execute(f"SELECT pg_terminate_backend(pid) FROM ({_ITS_SESSION}) AS it")
            begun.set()
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await begun.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await database.fetch("SELECT 1"), "another session is there for the next"
