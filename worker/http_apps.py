"""The HTTP applications: for gateways, browsers and shops; for the people of the console; and for monitoring."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from consumers.ports.bus import ClaimPublisher
from consumers.rules import Rules
from schemas.wire import MAX_BODY
from worker.api.auth import authenticate
from worker.api.context import Api
from worker.api.entry import entry_routes
from worker.api.event_waiters import EventWaiters
from worker.api.problems import problems
from worker.api.routes import routes
from worker.config import Config
from worker.config.operators import Operators
from worker.ingress.buyer_errors import buyer_errors
from worker.ingress.byte_budgets import ByteBudgets
from worker.ingress.ingress import ingress_of
from worker.ingress.returns import Returns
from worker.ingress.waiters import PaymentWaiters
from worker.ingress.webhooks import Webhooks
from worker.ops.health import Ops
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.reads.read_turns import ReadTurns
from worker.runtime.http_listener import guarded
from worker.telemetry.metrics import Metrics
from worker.verify.gateways import Gateways


def public_app(
    config: Config,
    rules: Rules,
    database: Database,
    reading: Database,
    ledger: PostgresLedger,
    bus: ClaimPublisher,
    gateways: Gateways,
    waiters: PaymentWaiters,
    event_waiters: EventWaiters,
    budgets: ByteBudgets,
    metrics: Metrics,
) -> web.Application:
    """`reading` is the pool for what shops read: see ReadTurns."""
    ingress = ingress_of(config, ledger, bus, database.clock, waiters, budgets, metrics)
    api = Api(
        config=config,
        rules=rules,
        database=database,
        reads=ReadTurns(reading),
        event_waiters=event_waiters,
        ledger=ledger,
        bus=bus,
        open_checkout=gateways.open,
        wrong_key_wait=ingress.limits.wrong_key_wait,
        address=ingress.limits.address,
        keys_refused=metrics.keys_refused,
    )
    app = web.Application(client_max_size=MAX_BODY, middlewares=[problems, buyer_errors, authenticate(api)])
    own = [*routes(api), *entry_routes(config.settings.public_url)]
    app.add_routes([*Returns(ingress).routes(), *Webhooks(ingress).routes(), *own])
    app.on_response_prepare.append(guarded(config.settings.public_url))
    app.on_shutdown.append(partial(_end_waits, event_waiters))
    return app


async def _end_waits(event_waiters: EventWaiters, _: web.Application) -> None:
    """Answer the requests that wait for events, so that the end of the process does not wait for them."""
    event_waiters.stop()


@asynccontextmanager
async def console_of(
    config: Config, operators: Operators, database: Database, claims: ClaimPublisher, metrics: Metrics
) -> AsyncIterator[web.Application]:
    """The console, with a small pool of its own: its pages take no connection from callbacks."""
    from worker.console.console_app import console_app  # noqa: PLC0415 - a process without a console imports no page

    async with database.reading(writes=True) as own:
        yield console_app(config, operators, own, claims, metrics.sign_in)


def ops_app(ops: Ops) -> web.Application:
    app = web.Application()
    app.add_routes(ops.routes())
    app.on_response_prepare.append(guarded())
    return app
