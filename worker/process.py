"""The process: every part made once, here, and given what it needs; started, drained and closed in one place.

The one thing to get wrong: the order of the end. Stop intake, drain what is in flight, release, close.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import structlog
import uvloop
from aiohttp import web

from consumers.rules import Rules
from schemas.payments import Change, Payment
from worker.broker import Broker, broker_of
from worker.config import Config
from worker.deliver.endpoints import endpoints_of
from worker.deliver.event_publisher import AWAY_SECONDS
from worker.deliver.relay import Relay
from worker.deliver.role import Deliver
from worker.http_apps import ops_app, public_app
from worker.ingress.waiters import PaymentWaiters
from worker.ops.health import Ops
from worker.ops.state_metrics import state_metrics_of
from worker.postgres.database import UNAVAILABLE, Database, connect
from worker.postgres.events.publish_cursor import start_publishing
from worker.postgres.ledger.failures import PostgresFailures
from worker.postgres.ledger.ledger import PostgresLedger
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.queue.turns import PostgresTurns
from worker.postgres.server.embedded import EmbeddedError, embedded, revive
from worker.postgres.server.identity import NOT_AS_ROOT, is_root
from worker.postgres.server.schema import bring_up_to_date, expect_present
from worker.postgres.server.sessions import expect_sessions
from worker.postgres.tokens import PostgresTokens
from worker.postgres.wakeups import Wakeup
from worker.retention import run_retention
from worker.runtime.cancellation import ended_at_exit
from worker.runtime.clock import set_within
from worker.runtime.encryption import ArchiveCipher
from worker.runtime.http_listener import Runner
from worker.runtime.tuning import allow_files, look_less_for_garbage
from worker.telemetry.metrics import Metrics
from worker.telemetry.tracing import OFF, Tracing, tracing_of
from worker.verify.consume import Consumer
from worker.verify.gateways import gateways
from worker.verify.sweep import Sweep

ROLES = ("ingress", "consume", "sweep", "relay", "deliver")
HTTP_DRAIN_SECONDS = 10
DRAIN_SECONDS = 45
LOOK_SECONDS = 3
JITTER = 0.05

log = structlog.get_logger()


def serve(config: Config, roles: Collection[str] = ROLES) -> None:
    """Run these roles until SIGTERM or SIGINT; returns when everything is drained.

    Raises SessionsLent where consume would work through a pooler that has no session for it.
    """
    allow_files()
    look_less_for_garbage()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, stop.set)
        if config.settings.database_url is None and is_root():
            log.warning("embedded.as_root", to_do=NOT_AS_ROOT)
        url, publishes = config.settings.database_url, "relay" in roles and config.settings.amqp_url is not None
        if url is not None and ("consume" in roles or publishes):
            await expect_sessions(url.reveal())
        async with opened(config) as database:
            await run_roles(config, roles, database, stop, tracing_of(os.environ))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Database]:
    """The database of the configuration, embedded where none is named, brought to the present schema.

    Raises SchemaNewer where a newer program took away what this one needs.
    """
    async with _server(config) as dsn:
        applied = await bring_up_to_date(dsn)
        if applied:
            log.info("schema.migrated", files=list(applied))
        async with connect(dsn) as database:
            yield database


@asynccontextmanager
async def opened_as_it_is(config: Config) -> AsyncIterator[Database]:
    """The same for a command that only looks: its schema must not be older. Raises SchemaDiffers."""
    async with _server(config) as dsn:
        await expect_present(dsn)
        async with connect(dsn) as database:
            yield database


@asynccontextmanager
async def _server(config: Config) -> AsyncIterator[str]:
    url = config.settings.database_url
    if url is not None:
        yield url.reveal()
        return
    async with embedded(config.settings.data_dir) as dsn:
        yield dsn


def rules_of(config: Config) -> Rules:
    return Rules(
        accounts={account.id: account for account in config.accounts},
        checks=config.checks,
        public_url=config.settings.public_url,
        jitter=JITTER,
    )


async def run_roles(
    config: Config, roles: Collection[str], database: Database, stop: asyncio.Event, tracing: Tracing = OFF
) -> None:
    """Run until `stop` is set, or a part fails, which ends the process loudly."""
    metrics, waiters, rules, turns = (
        Metrics(config.accounts),
        PaymentWaiters(),
        rules_of(config),
        PostgresTurns(database),
    )
    queue = PostgresBus(database, turns.holder)
    broker = broker_of(config, rules, database, queue, metrics)
    bus = broker.bus if broker else queue
    sweep, relay, deliver = (
        Sweep(database, bus, rules.accounts, metrics, tracing),
        Relay(database, metrics, broker.publisher if broker else None, tracing),
        Deliver(database, endpoints_of(config), metrics, private=config.allow_private_webhooks, tracing=tracing),
    )
    ledger, tasks = (
        PostgresLedger(
            database,
            ArchiveCipher(config.archive.cipher_keys),
            _changed(metrics, waiters),
            metrics.drop,
            relay.sequenced if "consume" in roles else None,
        ),
        dict[str, asyncio.Task[None]](),
    )

    def on_wakeup(wakeup: Wakeup) -> None:
        bus.wake(wakeup.claims)
        waiters.notify(wakeup.outcomes)
        consumer.payments_changed(wakeup.outcomes)
        sweep.wake_if_due(wakeup.look_at)
        relay.on_wakeup(wakeup)
        deliver.wake(placed=wakeup.placed)

    async def look_again() -> None:
        on_wakeup(Wakeup(events=True, placed=True, claims=[account.provider.name for account in config.accounts]))
        waiters.notify_all()

    def missing() -> list[str]:
        return sorted(name for name, task in tasks.items() if task.done())

    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, tracing.close)
        if not await _begin(database, broker, deliver, roles, stop):
            return
        asking = await stack.enter_async_context(gateways(PostgresTokens(database), database.clock.now))
        stack.push_async_callback(turns.close)
        consumer = Consumer(
            bus, ledger, turns, rules, asking, PostgresFailures(database), database.clock, metrics, tracing
        )
        parts: dict[str, Callable[[], Awaitable[None]]] = {
            "clock": database.keep_clock,
            "housekeeping": partial(run_retention, database, config, roles),
            "notices": partial(database.listen, on_wakeup, connected=look_again),
        }
        if config.settings.database_url is None:
            parts["postgres"] = partial(_keep_postgres, database, config.settings.data_dir)
        if broker:
            parts["publisher"] = broker.publisher.run
        if "consume" in roles:
            parts |= {"lost claims": queue.free_lost} | ({"inbox": broker.pool.run} if broker else {})
        if broker and "ingress" in roles:  # a shop may publish what it may post, and that takes the ingress's rights
            parts |= {"expected inbox": broker.expected.run, "registering": broker.expected_consumer.run}
        working = {"sweep": sweep.run, "relay": relay.run, "consume": consumer.run, "deliver": deliver.run}
        parts |= {role: run for role, run in working.items() if role in roles}
        async with asyncio.TaskGroup() as group, ended_at_exit(tasks):
            tasks |= {name: group.create_task(_run(run)) for name, run in parts.items()}
            await _tried(broker, stop)
            servers = []
            if "ingress" in roles:
                servers.append(
                    await _listen(
                        public_app(config, rules, database, ledger, bus, asking, waiters, metrics, tracing),
                        *("PAYPROOF_LISTEN", config.settings.listen, config.settings.public_path),
                    )
                )
            state_metrics = state_metrics_of(config, database, broker, metrics)
            ops = Ops(database, broker, metrics, state_metrics, missing, roles)
            servers.append(await _listen(ops_app(ops), "PAYPROOF_OPS_LISTEN", config.settings.ops_listen))
            log.info("process.ready", roles=sorted(roles), listen=_address(config), public_url=rules.public_url)
            await stop.wait()
            log.info("process.stopping")
            for server in servers:
                await server.cleanup()
            await _drain(tasks, consumer, deliver, broker)
    log.info("process.stopped")


async def _begin(
    database: Database, broker: Broker | None, deliver: Deliver, roles: Collection[str], stop: asyncio.Event
) -> bool:
    """Note where the broker and the endpoints begin in the log, before an event gets its place here.

    Events that have their places before count as told in other ways. False: the process is to end before that is noted.
    """
    while not stop.is_set():
        try:
            if broker and not {"consume", "relay"}.isdisjoint(roles):
                await start_publishing(database)
            if "deliver" in roles:
                await deliver.begin()
        except UNAVAILABLE as error:
            log.warning("process.start_failed", error=type(error).__name__)
            await set_within(stop, AWAY_SECONDS)
        else:
            return True
    return False


def _changed(metrics: Metrics, waiters: PaymentWaiters) -> Callable[[Payment, Change], None]:
    def changed(before: Payment, change: Change) -> None:
        metrics.changed(before, change)
        if change.event is not None:
            waiters.tell(change.payment)

    return changed


async def _tried(broker: Broker | None, stop: asyncio.Event) -> None:
    """Wait until the broker, where one is configured, is there or known to be away, or for the end."""
    if broker is None:
        return
    waits = [asyncio.ensure_future(broker.publisher.tried.wait()), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for one in waits:
        one.cancel()


async def _drain(
    tasks: Mapping[str, asyncio.Task[None]], consumer: Consumer, deliver: Deliver, broker: Broker | None
) -> None:
    """Have the roles take nothing new, and wait until the work in hand is done."""
    consumer.stop()
    deliver.stop()
    if broker:
        broker.expected_consumer.stop()
    if working := [tasks[name] for name in ("consume", "deliver", "registering") if name in tasks]:
        await asyncio.wait(working, timeout=DRAIN_SECONDS)


async def _run(part: Callable[[], Awaitable[None]]) -> None:
    await part()


async def _keep_postgres(database: Database, data_dir: Path) -> None:
    """Start the embedded server again should it die; no other program does."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await database.fetch("SELECT")
        except UNAVAILABLE as error:
            log.warning("postgres.away", error=type(error).__name__)
            try:
                await asyncio.to_thread(revive, data_dir)
            except EmbeddedError as failed:
                log.error("postgres.start_failed", why=str(failed))  # noqa: TRY400 - its words say it all


async def _listen(app: web.Application, setting: str, address: tuple[str, int], path: str = "") -> Runner:
    # A body is read as it was sent: a signature is over those bytes, and a bad gzip stream must not become a 500.
    runner = Runner(app, path=path, auto_decompress=False, shutdown_timeout=HTTP_DRAIN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, *address, reuse_address=True).start()
    except OSError as error:
        error.add_note(f"{setting} says where to listen")
        raise
    return runner


def _address(config: Config) -> str:
    host, port = config.settings.listen
    return f"{host}:{port}"
