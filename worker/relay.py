"""The relay: events get their place in the log, which is when readers see them, as soon as they are committed."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from worker.metrics import Metrics
from worker.postgres.database import UNAVAILABLE, Database
from worker.postgres.log import place

BATCH = 500
POLL_SECONDS = 5.0

log = structlog.get_logger()


class Relay:
    """Runs until cancelled. `hear` is told that events were written."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database, self._metrics = database, metrics
        self._wake = asyncio.Event()

    def hear(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            try:
                placed = await place(self._database, BATCH)
            except UNAVAILABLE as error:
                log.warning("relay.unavailable", error=type(error).__name__)
                placed = 0
            self._metrics.placed.inc(placed)
            if placed < BATCH:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
