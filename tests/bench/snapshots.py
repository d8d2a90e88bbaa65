"""`python -m tests.bench.snapshots`: what looks for open work cost while an old snapshot keeps all dead rows.

Claims, payments, events and deliveries come and are done under one snapshot, as during a dump. After each size, every
look is made by the code of the product over tables without open work: once from the start, as after a process begins
and every 30 s, and once from its mark, as all other times. In the same run, the statements of release 0.3.0 and of the
first form of migration 0025 are measured beside them. Blocks are of 8 KB, from memory or disk.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.integration.old_snapshot import (
    ACCOUNT,
    ENDPOINT,
    PROVIDER,
    Cost,
    Looks,
    come_and_go,
    explained,
    old_snapshot,
)
from tests.processes import directory
from worker.postgres.database import Database, connect
from worker.postgres.server.embedded import embedded_here
from worker.postgres.server.migrate import apply_migrations

SIZES = (20_000, 100_000)

BEFORE: dict[str, tuple[str, tuple[Any, ...]]] = {
    "queue: claims that are free": (
        """UPDATE queue SET holder = $4, available_at = clock_timestamp() + interval '40 s', attempts = attempts + 1
           WHERE id = ANY(ARRAY(
               SELECT id FROM queue WHERE provider = $1 AND available_at <= clock_timestamp() AND later <= $3
               ORDER BY later, available_at, id LIMIT $2 FOR UPDATE SKIP LOCKED))
           RETURNING id, claim_id, attempts, failures, queued_at, body""",
        (PROVIDER, 50, True, 1),
    ),
    "queue: claims of dead workers": (
        """WITH RECURSIVE holders (holder) AS (
               SELECT min(holder) FROM queue
               UNION ALL
               SELECT (SELECT min(q.holder) FROM queue q WHERE q.holder > holders.holder)
               FROM holders WHERE holders.holder IS NOT NULL)
           UPDATE queue SET holder = NULL, available_at = clock_timestamp()
           WHERE id = ANY(ARRAY(
               SELECT id FROM queue
               WHERE holder = ANY(ARRAY(
                   SELECT holder FROM holders WHERE holder IS NOT NULL AND holder NOT IN (
                       SELECT classid::bigint << 32 | objid::bigint FROM pg_locks
                       WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND database = (
                           SELECT oid FROM pg_database WHERE datname = current_database()))))
               FOR UPDATE SKIP LOCKED))
           RETURNING provider""",
        (),
    ),
    "queue: how many claims": (
        "SELECT provider, count(*) AS waiting FROM queue WHERE NOT later GROUP BY provider",
        (),
    ),
    "sweep: payments that are due": (
        """SELECT due.id FROM unnest($1::text[], $2::int[]) AS a (account, most) CROSS JOIN LATERAL (
               SELECT p.id FROM payments p WHERE p.account = a.account AND p.next_check_at <= clock_timestamp()
               ORDER BY p.next_check_at LIMIT a.most FOR UPDATE SKIP LOCKED) AS due""",
        ([ACCOUNT], [50]),
    ),
    "sweep: when the next is due": (
        """SELECT min(due.at) AS at FROM unnest($1::text[]) AS a (account) CROSS JOIN LATERAL (
               SELECT p.next_check_at AS at FROM payments p
               WHERE p.account = a.account AND p.next_check_at IS NOT NULL ORDER BY p.next_check_at LIMIT 1) AS due""",
        ([ACCOUNT],),
    ),
    "events: positions given by the relay": ("SELECT FROM events WHERE place IS NULL LIMIT 1", ()),
    "events: may a write give positions": (
        "SELECT exists (SELECT FROM events WHERE place IS NULL AND time < now() - interval '1 min')",
        (),
    ),
    "deliveries: those that are due": (
        """SELECT event_id FROM deliveries WHERE endpoint = $1 AND next_at <= now()
           ORDER BY next_at, place LIMIT 8 FOR UPDATE SKIP LOCKED""",
        (ENDPOINT,),
    ),
    "deliveries: when the next is due": (
        "SELECT next_at FROM deliveries WHERE endpoint = $1 AND next_at IS NOT NULL ORDER BY next_at LIMIT 1",
        (ENDPOINT,),
    ),
}


async def main(sizes: list[int]) -> None:
    console = Console(width=160)
    with directory() as home:
        home.chmod(0o755)  # the server's own user must get through
        with embedded_here(home / "data") as url:
            await apply_migrations(url)
            async with connect(url) as database:
                looks = Looks(database)
                for name in looks.by_name:
                    await looks.cost(name)
                console.print(await _measured(database, looks, "no row has come yet"))
                done = 0
                async with old_snapshot(url):
                    for size in sizes:
                        await come_and_go(database, done + 1, size)
                        done = size
                        console.print(await _measured(database, looks, f"{size:,} rows have come and gone"))


async def _measured(database: Database, looks: Looks, title: str) -> Table:
    """A table of this moment. Each statement runs twice, and the second run counts."""
    table = Table("look", "before", "from the start", "from the mark", title=f"{title}: blocks and milliseconds")
    for name in looks.by_name:
        before = await _before(database, *BEFORE[name]) if name in BEFORE else None
        await looks.by_name["events: positions given by the relay"]()  # as a relay does every few seconds
        await looks.cost(name)
        marked = await looks.cost(name)
        start = await Looks(database).cost(name, events_from_the_start=True)
        table.add_row(name, "" if before is None else _shown(before), _shown(start), _shown(marked))
    return table


async def _before(database: Database, sql: str, values: tuple[Any, ...]) -> Cost:
    async with database.connection() as connection:
        await connection.execute("SET enable_seqscan = off")  # as in the functions of the schema
        await explained(connection, sql, *values)
        cost = await explained(connection, sql, *values)
        await connection.execute("RESET enable_seqscan")
    return cost


def _shown(cost: Cost) -> str:
    return f"{cost.blocks:>7,} {cost.ms:>8.2f} ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    asyncio.run(main(sorted(parser.parse_args().sizes)))
