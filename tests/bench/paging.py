"""`python -m tests.bench.paging`: how quickly a log of a million events is read, at its beginning, middle and end.

A Postgres of its own is filled with events of the usual size, nine in ten of one shop's, and read over HTTP as that
shop reads them; another shop has been quiet since the middle. A page should cost the same at every position.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from tests.integration.shops import KEYS, Shops, serving
from tests.processes import directory
from worker.api.read import _events_cursor
from worker.postgres.database import Database, connect
from worker.postgres.events.event_log import READ, position_before
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations

EVENTS, PAGE, LOOKS = 1_000_000, 1_000, 20
CHUNK = 50_000
START = datetime(2026, 1, 1, tzinfo=UTC)

_PAYMENTS = """
    INSERT INTO payments (id, merchant, account, provider, reference, amount, currency, description, metadata, status,
        holds, version, late, amount_verified, refunded_amount, aliases, opened_at, expires_at, opened, completed_told,
        closing_told, hint_asks, step, execute_tries, execute_unanswered, candidates, candidate_dropped)
    SELECT 'pay_' || lpad(n::text, 26, '0'), 'shop', 'shop-ipay', 'ipay', 'order-' || n, 10, 'BDT', '', '{}', 'pending',
        '{}', 1, false, false, 0, '{}', now(), now(), true, false, false, '{}', 0, 0, false, '[]', false
    FROM generate_series($1::int, $2::int) AS n
"""
_EVENTS = """
    INSERT INTO events (id, payment_id, version, type, merchant, account, time, body, place)
    SELECT 'pay_' || lpad(n::text, 26, '0') || '.1', 'pay_' || lpad(n::text, 26, '0'), 1, 'payment.opened',
        CASE WHEN n % 10 = 0 AND n < $3 / 2 THEN 'other' ELSE 'shop' END, 'shop-ipay',
        $4::timestamptz + n * interval '1 s',
        convert_to('{"id":"pay_' || lpad(n::text, 26, '0') || '.1","filling":"' || repeat(md5(n::text), 22) || '"}',
                   'UTF8'), n
    FROM generate_series($1::int, $2::int) AS n
"""


async def main(events: int) -> None:
    with directory() as home:
        home.chmod(0o755)  # the server's own user must get through
        with embedded_here(home / "data") as url:
            await apply_migrations(url)
            async with connect(url) as database:
                await _fill(database, events)
                async with serving(database) as shops:
                    await _measure(shops, events)


async def _fill(database: Database, events: int) -> None:
    began = time.monotonic()
    for first in range(1, events + 1, CHUNK):
        last = min(first + CHUNK - 1, events)
        await database.execute(_PAYMENTS, first, last)
        await database.execute(_EVENTS, first, last, events, START)
    await database.execute("ANALYZE events")
    print(f"{events:,} events of about 800 bytes written in {time.monotonic() - began:.0f} s")


async def _measure(shops: Shops, events: int) -> None:
    for name, place in (("beginning", 0), ("middle", events // 2), ("end", events - 2 * PAGE)):
        seconds = await _timed(lambda place=place: _page(shops, place))
        print(f"a page of {PAGE:,} at the {name}: {_shown(seconds)}, {PAGE / statistics.median(seconds):,.0f} events/s")
    seconds = await _timed(lambda: _page(shops, events))
    print(f"nothing new: {_shown(seconds)}")
    seconds = await _timed(lambda: _page(shops, events // 2, shop="other"))
    print(f"nothing new for a shop that has been quiet for {events // 2:,} events of others: {_shown(seconds)}")
    for share in (0.01, 0.5, 0.99):
        since = START + timedelta(seconds=events * share)
        seconds = await _timed(lambda since=since: position_before(shops.database, "shop", since))
        print(f"the place of a time, {share:.0%} into the log: {_shown(seconds)}")
    began, read, after = time.monotonic(), 0, ""
    while page := (got := (await shops.get("/v1/events", limit=PAGE, **({"after": after} if after else {}))).body)[
        "events"
    ]:
        read, after = read + len(page), got["next"]
    took = time.monotonic() - began
    print(f"the whole log, {read:,} events page after page: {took:.0f} s, {read / took:,.0f} events/s")
    plan = await shops.database.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) {READ}", "shop", events // 2, PAGE)
    print("\n".join(row[0] for row in plan))


async def _page(shops: Shops, place: int, shop: str = "shop") -> None:
    params = {"limit": PAGE, "after": _events_cursor(shop, place)}
    headers = {"Authorization": f"Bearer {KEYS[shop]}"}
    async with shops.session.get(f"{shops.url}/v1/events", params=params, headers=headers) as response:
        assert response.status == 200, await response.text()
        await response.read()


async def _timed(once: Callable[[], Awaitable[object]]) -> list[float]:
    await once()
    seconds = []
    for _ in range(LOOKS):
        began = time.monotonic()
        await once()
        seconds.append(time.monotonic() - began)
    return seconds


def _shown(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds) * 1000:.1f} ms, at most {max(seconds) * 1000:.1f} ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    asyncio.run(main(parser.parse_args().events))
