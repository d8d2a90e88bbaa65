"""A process that reconciles a statement and stops before its follow-up, to be killed: `dying DSN`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from schemas.callbacks import Claim
from tests.integration.statements import Books, line
from worker.postgres.database import connect
from worker.postgres.queue.claim_queue import PostgresBus


class Stuck(PostgresBus):
    async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
        print("judged", flush=True)
        await asyncio.Event().wait()


async def main(dsn: str) -> None:
    async with connect(dsn) as database:
        books = Books(database)
        books.bus = Stuck(database)
        await books.run([line(2, reference="a")])


asyncio.run(main(sys.argv[1]))
