"""Work that comes and goes under an old snapshot, and what each look for open work reads then.

`Looks` makes the looks by the code of the product. Its statements are recorded and explained again with their values,
in a transaction that is rolled back, so the blocks are those that the statement reads for these bounds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from schemas.secret import Secret
from tests.fakes.providers import PLAIN, account
from worker.config import Webhook
from worker.config.webhook_endpoints import endpoint_of
from worker.postgres.database import Connection, Database
from worker.postgres.events.deliveries import lease_deliveries, next_delivery_at
from worker.postgres.events.event_log import assign_positions
from worker.postgres.queue.claim_looks import ClaimLooks
from worker.postgres.queue.due import next_due_at, take_due
from worker.postgres.reads.installation_state import read_state
from worker.postgres.watermark import Watermark, Watermarks

HOOK = endpoint_of("shop", Webhook(url="https://shop.example/", secret=Secret("whsec_")))
ENDPOINT, ACCOUNT, PROVIDER = HOOK.id, "shop-a", "ipay"
_ID = "'pay_' || lpad(n::text, 26, '0')"
_AT = "now() - interval '1 h' + (n % 3000) * interval '1 s'"
_N = "generate_series($1::int, $2::int) AS n"
_COMES_AND_GOES = (
    f"INSERT INTO queue (claim_id, provider, body, available_at) SELECT n::text, '{PROVIDER}', '{{}}', {_AT} FROM {_N}",
    "UPDATE queue SET holder = 1, available_at = available_at + interval '40 s'",
    "DELETE FROM queue",
    f"""INSERT INTO payments (id, merchant, account, provider, reference, amount, currency, description, metadata,
            status, holds, version, late, amount_verified, refunded_amount, aliases, opened_at, expires_at, opened,
            completed_told, closing_told, hint_asks, step, execute_tries, execute_unanswered, candidates,
            candidate_dropped, next_check_at)
        SELECT {_ID}, 'shop', '{ACCOUNT}', '{PROVIDER}', n::text, 10, 'BDT', '', '{{}}', 'pending', '{{}}', 1, false,
            false, 0, '{{}}', {_AT}, now(), true, false, false, '{{}}', 0, 0, false, '[]', false, {_AT} FROM {_N}""",
    "UPDATE payments SET next_check_at = next_check_at + interval '30 s' WHERE next_check_at IS NOT NULL",
    "UPDATE payments SET next_check_at = NULL, status = 'completed' WHERE next_check_at IS NOT NULL",
    f"""INSERT INTO events (id, payment_id, version, type, merchant, account, time, body)
        SELECT {_ID} || '.1', {_ID}, 1, 'payment.opened', 'shop', '{ACCOUNT}', {_AT},
            convert_to(repeat(md5(n::text), 30), 'UTF8') FROM {_N}""",
    "UPDATE events SET place = right(payment_id, 9)::int WHERE place IS NULL",
    f"""INSERT INTO deliveries (endpoint, event_id, place, next_at)
        SELECT '{ENDPOINT}', {_ID} || '.1', n, {_AT} FROM {_N}""",
    "UPDATE deliveries SET next_at = next_at + interval '30 s' WHERE next_at IS NOT NULL",
    "UPDATE deliveries SET next_at = NULL, delivered_at = now() WHERE next_at IS NOT NULL",
)
"""A row comes, is taken in hand and is done, in each table. All that is from the last hour, and older than a minute."""


class Cost(Struct, frozen=True):
    """What a look cost: blocks of 8 KB, from memory or disk, and milliseconds."""

    blocks: int
    ms: float


@asynccontextmanager
async def old_snapshot(dsn: str) -> AsyncIterator[None]:
    """Hold a snapshot of now, as a dump does."""
    holder = await asyncpg.connect(dsn)
    try:
        await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await holder.execute("SELECT FROM payments LIMIT 1")
        yield
        await holder.execute("ROLLBACK")
    finally:
        await holder.close()


async def come_and_go(database: Database, first: int, last: int) -> None:
    """Let these numbers of claims, payments, events and deliveries come and be done."""
    await database.execute(
        f"INSERT INTO endpoints (id, merchant, url, place) VALUES ('{ENDPOINT}', 'shop', 'https://shop.example/', 0)"
        " ON CONFLICT DO NOTHING"
    )
    for statement in _COMES_AND_GOES:
        await database.execute(statement, *((first, last) if "$1" in statement else ()))


async def explained(connection: Connection[Any], sql: str, *values: Any) -> Cost:
    """Run the statement, roll it back, and tell what it cost."""
    rolling = connection.transaction()
    await rolling.start()
    try:
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *values)
    finally:
        await rolling.rollback()
    whole = msgspec.json.decode(rows[0][0])[0]
    plan = whole["Plan"]
    return Cost(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], whole["Execution Time"])


class _Recorded:
    """A connection whose statements are noted."""

    def __init__(self, connection: Connection[Any], statements: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._connection, self._statements = connection, statements

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._connection, name)
        if name not in ("fetch", "fetchrow", "fetchval", "execute"):
            return attribute

        def noting(sql: str, *values: Any) -> Any:
            self._statements.append((sql, values))
            return attribute(sql, *values)

        return noting


class _Recording(Database):
    """The same database; the statements of every block are noted."""

    def __init__(self, database: Database) -> None:
        super().__init__(database._pool, database._dsn, database.primary)
        self.clock = database.clock
        self.statements = list[tuple[str, tuple[Any, ...]]]()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        async with super().connection() as connection:
            yield _Recorded(connection, self.statements)


class Looks:
    """The looks of one process, by name. `cost` makes a look and tells what its statements cost together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recording = recording = _Recording(database)
        self._claims, self._due, self._mark = ClaimLooks(recording), Watermarks(), Watermark()
        self._claims.providers.add(PROVIDER)
        self._state = Watermarks()
        accounts = {ACCOUNT: None}
        self.by_name: dict[str, Callable[[], Awaitable[object]]] = {
            "queue: claims that are free": lambda: self._claims.take(PROVIDER, 50, low_priority=True, holder=1),
            "queue: claims of dead workers": self._claims.free_lost,
            "queue: how many claims": self._claims.count,
            "sweep: payments that are due": lambda: take_due(recording, 50, accounts, self._due),
            "sweep: when the next is due": lambda: next_due_at(recording, accounts, self._due),
            "events: positions given by the relay": lambda: assign_positions(recording, 500),
            "events: may a write give positions": lambda: recording.fetch("SELECT places_are_ours()"),
            "deliveries: those that are due": self._lease,
            "deliveries: when the next is due": self._next,
            "metrics: all that every process tells": lambda: read_state(
                recording, [account(ACCOUNT, PLAIN.provider.capabilities)], [HOOK], self._state
            ),
        }

    async def _lease(self) -> object:
        async with self._recording.connection() as connection:
            return await lease_deliveries(connection, ENDPOINT, 8, self._database.clock.now(), self._mark, probe=False)

    async def _next(self) -> None:
        async with self._recording.connection() as connection:
            await next_delivery_at(connection, ENDPOINT, self._database.clock.now(), self._mark)

    async def cost(self, name: str, *, events_from_the_start: bool = False) -> Cost:
        """What the next look costs. Where events are looked from is noted in the database; see 0025."""
        self._recording.statements.clear()
        await self.by_name[name]()
        async with self._database.connection() as connection:
            if events_from_the_start:
                await connection.execute("SELECT setval('events_searched_at', 0)")
            costs = [await explained(connection, sql, *values) for sql, values in self._recording.statements]
        return Cost(sum(one.blocks for one in costs), sum(one.ms for one in costs))
