"""The application that gateways, browsers and shops reach, made over a test's database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from msgspec.structs import replace

from tests.integration.shops import RULES
from worker.api.event_waiters import EventWaiters
from worker.config import Config
from worker.http_apps import public_app
from worker.ingress.byte_budgets import ByteBudgets
from worker.ingress.waiters import PaymentWaiters
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.tokens import PostgresTokens
from worker.telemetry.metrics import Metrics
from worker.verify.gateways import gateways


@asynccontextmanager
async def application(
    database: Database, config: Config, event_waiters: EventWaiters | None = None
) -> AsyncIterator[web.Application]:
    rules = replace(RULES, public_url=config.settings.public_url)
    async with gateways(PostgresTokens(database)) as asking:
        yield public_app(
            *(config, rules, database, database, PostgresLedger(database), PostgresBus(database), asking),
            *(
                PaymentWaiters(),
                event_waiters or EventWaiters(database),
                ByteBudgets(10**9, database.clock.now),
                Metrics(),
            ),
        )
