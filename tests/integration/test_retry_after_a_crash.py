"""The process dies at each point where a POST waits for another system; the same request again gets its payment.

The points are counted in an undisturbed run: before and after each call of the database, each commit and each call of
the gateway. A dead process does nothing more, not even its cleanup.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from consumers.account import Account
from consumers.ports.openings import Opened, Opening, OpeningOutcome
from consumers.reconciliation.statement_facts import StatementSource
from consumers.reconciliation.unexpected import UnmatchedLine, record_unexpected
from schemas.answers import Inconclusive, Trouble
from schemas.callbacks import Claim
from schemas.statements import Line
from schemas.words import Authenticity, Source, Status
from tests.integration.shops import NEAR, ORDER, RULES, TRACKED, Got, Shops, serving
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.wakeups import Wakeup
from worker.runtime.ids import new_payment_id

CALLS = ("fetch", "fetchrow", "fetchval", "execute")
NO_REPLY = Inconclusive(trouble=Trouble.NO_REPLY, detail="no reply")


class Killed(asyncio.CancelledError):
    """Stands for SIGKILL: our code neither catches nor delays it."""


class Fate:
    """Death at the `at`-th point, and at every later point; never at 0."""

    def __init__(self) -> None:
        self.at = self.passed = 0

    def point(self) -> None:
        self.passed += 1
        if self.at and self.passed >= self.at:
            raise Killed


class Fragile:
    """A connection whose every call passes a point before it is made, and another before its result is known."""

    def __init__(self, connection: Any, fate: Fate) -> None:
        self._connection, self._fate = connection, fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name not in CALLS:
            return found

        async def call(*given: Any, **named: Any) -> Any:
            self._fate.point()
            result = await found(*given, **named)
            self._fate.point()
            return result

        return call

    def transaction(self, **how: Any) -> FragileTransaction:
        return FragileTransaction(self._connection.transaction(**how), self._fate)


class FragileTransaction:
    def __init__(self, transaction: Any, fate: Fate) -> None:
        self._transaction, self._fate = transaction, fate
        self._committed = False

    async def start(self) -> None:
        self._fate.point()
        await self._transaction.start()

    async def commit(self) -> None:
        self._fate.point()  # everything is written and nothing is committed
        await self._transaction.commit()
        self._committed = True
        self._fate.point()  # committed, but the caller never learns it

    async def rollback(self) -> None:
        if not self._committed:
            await self._transaction.rollback()

    async def __aenter__(self) -> None:
        await self.start()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.commit()
        finally:
            await self.rollback()


class FragileDatabase(Database):
    fate: Fate

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        async with super().connection() as connection:
            yield Fragile(connection, self.fate)

    def notify(self, wakeup: Wakeup) -> None:
        """Sent beside the requests, at no fixed moment, so it could be a point of either request."""


class Gateway:
    """Opens every checkout in a session of its own, unless it is `silent`."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self.silent = False

    async def __call__(self, account: Account, opening: Opening) -> OpeningOutcome:
        self._fate.point()
        outcome = NO_REPLY if self.silent else Opened(session_id=f"S-{secrets.token_hex(8)}", checkout_url=NEAR)
        self._fate.point()
        return outcome


@asynccontextmanager
async def process(database: Database, dsn: str, fate: Fate) -> AsyncIterator[Shops]:
    """A process that meets its fate."""
    fragile = FragileDatabase(database._pool, dsn, database.primary)
    fragile.clock = database.clock
    fragile.fate = fate
    async with serving(fragile, ledger=PostgresLedger(fragile), open_checkout=Gateway(fate)) as shops:
        yield shops


async def nothing(shops: Shops, number: int) -> None:
    """No row yet: the reference is free."""


async def left_unopened(shops: Shops, number: int) -> None:
    """Another key's request left the row: its gateway did not reply."""
    gateway = shops.api.open_checkout
    assert isinstance(gateway, Gateway)
    gateway.silent = True
    got = await shops.open(key=f"first-{number}", reference=reference(number))
    gateway.silent = False
    assert got.status == 504


async def left_untracked(shops: Shops, number: int) -> None:
    """Another key's request died between the row and its session."""
    tracked = {**TRACKED, "reference": reference(number), "session_id": f"TR-{number}"}
    assert (await shops.post("/v1/payments/track", tracked, key=f"first-{number}")).status == 201
    database, row = shops.database, "(SELECT id FROM payments WHERE reference = $1)"
    await database.execute(f"DELETE FROM events WHERE payment_id = {row}", reference(number))
    await database.execute(f"DELETE FROM sessions WHERE payment_id = {row}", reference(number))
    await database.execute("ALTER TABLE payments DISABLE TRIGGER USER")
    await database.execute(
        "UPDATE payments SET opened = false, session_id = NULL, version = 0 WHERE reference = $1", reference(number)
    )
    await database.execute("ALTER TABLE payments ENABLE TRIGGER USER")


async def found_money(shops: Shops, number: int) -> None:
    """A statement named the money before the shop announced it."""
    now = shops.database.clock.now()
    line = Line(
        row=17,
        kind="payment",
        status=Status.COMPLETED,
        word="Completed",
        amount=Decimal(ORDER["amount"]),
        transaction_id=f"T-{number}",
        reference=reference(number),
        at=now - timedelta(days=3),
    )
    about = StatementSource(account="shop-one", name="march.csv", newest=now)
    account = RULES.accounts["shop-one"]
    await record_unexpected(shops.api.ledger, RULES, account, about, [UnmatchedLine(line=line)], new_payment_id)


async def told_early(shops: Shops, number: int) -> None:
    """The gateway reported the payment before the shop registered it."""
    claim = Claim(
        id=f"claim-{number}",
        account="shop-one",
        provider="onepaybd",
        source=Source.IPN,
        authenticity=Authenticity.UNSIGNED,
        received_at=shops.database.clock.now(),
        session_id=f"TR-{number}",
    )
    assert await shops.api.ledger.keep([claim]) == {}


async def opens(shops: Shops, number: int) -> Got:
    return await shops.open(key=f"key-{number}", reference=reference(number))


async def tracks(shops: Shops, number: int) -> Got:
    tracked = {**TRACKED, "reference": reference(number), "session_id": f"TR-{number}"}
    return await shops.post("/v1/payments/track", tracked, key=f"key-{number}")


def reference(number: int) -> str:
    return f"order-{number}"


async def time_passes(database: Database) -> None:
    """The dead process's locks and leases are over, and openings that hold a buyer's data are deleted."""
    await database.execute("UPDATE idempotency SET busy_until = clock_timestamp() WHERE busy_until IS NOT NULL")
    await database.execute("UPDATE payments SET opening_until = clock_timestamp() WHERE opening_until IS NOT NULL")
    await database.execute("DELETE FROM openings o USING payments p WHERE p.id = o.payment_id AND p.opened")


Step = Callable[[Shops, int], Awaitable[Any]]


@pytest.mark.parametrize(
    ("before", "request_of"),
    [
        (nothing, opens),
        (nothing, tracks),
        (left_unopened, opens),
        (left_untracked, tracks),
        (told_early, tracks),
        (found_money, opens),
        (found_money, tracks),
    ],
)
async def test_wherever_the_process_dies_the_same_request_again_gets_its_payment(
    database: Database, dsn: str, before: Step, request_of: Step
) -> None:
    fate = Fate()
    async with process(database, dsn, fate) as doomed, process(database, dsn, Fate()) as shops:
        await before(shops, 0)
        await time_passes(database)
        assert (await request_of(doomed, 0)).status == 201
        points = fate.passed
        assert points > 10
        for number in range(1, points + 1):
            await before(shops, number)
            await time_passes(database)
            fate.at, fate.passed = number, 0
            with pytest.raises(aiohttp.ClientError):
                await request_of(doomed, number)
            await time_passes(database)
            again = await request_of(shops, number)
            assert again.status == 201, f"dead at point {number} of {points}: {again.body}"
            replayed = await request_of(shops, number)
            assert (replayed.status, replayed.raw) == (201, again.raw)
            found = (await shops.get("/v1/payments", reference=reference(number))).body["payments"]
            assert [one["payment_id"] for one in found] == [again.body["payment_id"]]
            if before is told_early:
                assert f"claim-{number}" in [claim["id"] for claim in await shops.queued()]


async def test_whose_row_was_taken_up_and_opened_by_another_gets_that_payment(database: Database, dsn: str) -> None:
    async with process(database, dsn, Fate()) as shops:
        await left_unopened(shops, 1)
        await time_passes(database)
        second = await opens(shops, 1)
        first = await shops.open(key="first-1", reference=reference(1))
        third = await shops.open(key="third", reference=reference(1))
    assert (second.status, first.status, third.problem[1]) == (201, 201, "reference_used")
    assert second.body["payment_id"] == first.body["payment_id"] == third.body["payment_id"]
