"""How claims fare while the sweep works on payments that are due: claims that wait, and claims that come meanwhile.

Due payments bring events of their own: most were paid, and those whose gateway cannot be asked expire. So each kind is
counted by its own payment numbers, and due payments by the log itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import aio_pika
import asyncpg
from msgspec import Struct

from tests.bench.drain import load
from tests.bench.hearing import hearing
from tests.bench.installation import open_payments, service, simulated_gateways
from tests.bench.numbered import claim, payment_id_sql
from tests.bench.servers import Servers
from tests.bench.spread import Spread, spread
from tests.bench.stages import Stages, stages
from worker.amqp.messages import claim_message
from worker.amqp.publisher import confirm
from worker.postgres.server.migrate import apply_migrations

ROLES = "consume,relay,sweep"
SECONDS = 300.0
OPENED = timedelta(hours=25)
"""So long ago that each gateway is asked; some are asked only after the payment can no longer be paid."""
RATE = 20.0
"""Fresh claims a second, while nothing else waits: few enough that the machine's limit is not measured."""

FRESH = 400
WARM = 0.1
_ENDED = f"""
    SELECT count(*) FROM events
    WHERE id IN (SELECT {payment_id_sql()} || '.2' FROM generate_series($1::bigint, $2::bigint) AS n)
        AND time BETWEEN $3 AND $4
"""
_FRESH_FROM, _DUE_FROM = 2_000_000, 5_000_000


class Swept(Struct, frozen=True, kw_only=True):
    """Waiting claims processed a second, and due payments processed a second meanwhile; then fresh claims at RATE.

    `fresh_milliseconds` is from a fresh claim's publication to its event, and `stages` is where that time went.
    """

    due: int
    waiting_per_second: float
    due_per_second_meanwhile: float
    due_per_second: float
    fresh_milliseconds: Spread
    stages: Stages

    def __str__(self) -> str:
        medians = ", ".join(f"{name} {getattr(self.stages, name).p50:.0f}" for name in self.stages.__struct_fields__)
        return (
            f"{self.due:,} due: {self.waiting_per_second:,.0f} waiting claims a second and "
            f"{self.due_per_second_meanwhile:,.0f} of those due; then {self.due_per_second:,.0f} a second of those due "
            f"beside {RATE:g} fresh claims a second, ms: {self.fresh_milliseconds}; medians: {medians}"
        )


async def swept(both: Servers, waiting: int, *, due: int, run: int) -> Swept:
    """Measure with so many claims waiting, and so many payments due."""
    start = run * 10_000_000 + 1
    waits = range(start, start + waiting)
    fresh = range(start + _FRESH_FROM, start + _FRESH_FROM + FRESH)
    dues = range(start + _DUE_FROM, start + _DUE_FROM + due)
    await apply_migrations(both.database.url)
    if due:
        await open_payments(both.database.url, dues[0], dues[-1], OPENED)
    await open_payments(both.database.url, fresh[0], fresh[-1])
    await open_payments(both.database.url, waits[0], waits[-1])
    await load(both.broker.url, waits[0], waits[-1])
    with simulated_gateways(both) as gateways:
        async with hearing(both.broker.url) as heard:
            child = service(both, gateways.url, ROLES)
            child.start()
            try:
                await heard.all_of(waits, SECONDS)
                began = time.perf_counter()
                sent = await _send(both.broker.url, fresh)
                ended = time.perf_counter()
                await heard.all_of(fresh, SECONDS)
            finally:
                child.stop()
    times = sorted(heard.at[n] for n in waits)[int(waiting * WARM) :]
    return Swept(
        due=due,
        waiting_per_second=len(times) / (times[-1] - times[0]),
        due_per_second_meanwhile=await _rate(both.database.url, dues, times[0], times[-1]),
        due_per_second=await _rate(both.database.url, dues, began, ended),
        fresh_milliseconds=spread([(heard.at[n] - sent[n]) * 1000 for n in fresh]),
        stages=await stages(both.database.url, sent, heard.at),
    )


async def _send(url: str, numbers: Collection[int]) -> Mapping[int, float]:
    """Publish their claims at RATE, each at its time. Returns the time of each."""
    sent: dict[int, float] = {}
    async with await aio_pika.connect(url) as connection, asyncio.timeout(len(numbers) / RATE + SECONDS):
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for nth, n in enumerate(numbers):
                await asyncio.sleep(began + nth / RATE - time.perf_counter())
                post = claim_message(claim(n, datetime.now(UTC)))
                sent[n] = time.perf_counter()
                tasks.create_task(confirm(channel, post))
    return sent


async def _rate(url: str, numbers: Sequence[int], since: float, until: float) -> float:
    """How many of these payments ended a second between two times of `time.perf_counter`."""
    if not numbers:
        return 0.0
    wall = time.time() - time.perf_counter()
    times = [datetime.fromtimestamp(at + wall, UTC) for at in (since, until)]
    connection = await asyncpg.connect(url)
    try:
        ended = await connection.fetchval(_ENDED, numbers[0], numbers[-1], *times)
    finally:
        await connection.close()
    return int(ended) / (until - since)
