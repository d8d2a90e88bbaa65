"""The process: its parts (`worker.parts`) are started, drained and closed here.

At the end the order counts: stop intake, drain the work in flight, release, close.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from functools import partial

import structlog
import uvloop
from aiohttp import web

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from consumers.timing import TIMING
from worker.broker import Broker
from worker.config import Config, load
from worker.config.operators import Operators
from worker.deliver.event_publisher import AWAY_SECONDS
from worker.deliver.role import Deliver
from worker.http_apps import console_of, ops_app
from worker.ops.health import Ops
from worker.ops.state_metrics import state_metrics_of
from worker.parts import ProcessPart, deliver_role, parts_of, wakeups_part
from worker.postgres.database import Database
from worker.postgres.events.publish_cursor import start_publishing
from worker.postgres.server.identity import NOT_AS_ROOT, is_root
from worker.postgres.server.opened import keep_postgres, opened
from worker.postgres.server.session_check import expect_urls
from worker.runtime.cancellation import ended_at_exit, run_unless
from worker.runtime.connection_limits import ConnectionCounters, ConnectionLimits
from worker.runtime.http_listener import Runner
from worker.runtime.stop_signals import StopSignals
from worker.runtime.tuning import allow_files, look_less_for_garbage
from worker.shared import Shared, shared_by_roles
from worker.telemetry.tracing import OFF, Tracing, tracing_of

ROLES = ("ingress", "consume", "sweep", "relay", "deliver", "reconcile", "console")
HTTP_DRAIN_SECONDS = 10
OPERATORS_CONNECTIONS, CONSOLE_CONNECTIONS = 100, 400
UPLOAD_SECONDS, UPLOADS_BYTES = 240.0, 96 * 1024 * 1024
"""For files that people upload to the console, each of 20 MB at most: longer than its own deadline for a form."""

log = structlog.get_logger()


def serve_roles(config: Config, roles: Collection[str], signals: StopSignals) -> None:
    """Run these roles until SIGTERM or SIGINT; returns when everything is drained.

    A signal during the start ends whatever the start waits for: a database that is silent, or another migration.
    Raises WrongPooler where the database's URLs cannot be used as they are.
    """
    allow_files()
    look_less_for_garbage()

    async def run() -> None:
        stop, operators = asyncio.Event(), Operators(config.console)
        signals.set(stop)
        again = partial(load, os.environ, roles=roles) if _has_console(config, roles) else None
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, operators.read_anew, again)
        async with AsyncExitStack() as stack:
            database = await run_unless(stop, _open(config, roles, stack))
            if database is None:
                log.info("process.start_cancelled")
            else:
                await run_roles(config, roles, database, stop, tracing_of(os.environ), operators)
        log.info("process.stopped")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def _open(config: Config, roles: Collection[str], stack: AsyncExitStack) -> Database:
    """Open the database, at its present schema, until `stack` is left."""
    if config.settings.database_url is None and is_root():
        log.warning("embedded.as_root", to_do=NOT_AS_ROOT)
    pooled = "consume" not in roles  # it keeps prepared statements and plans, and most transactions are its own
    await expect_urls(config.settings.database_url, config.settings.database_direct_url, pooled=pooled)
    return await stack.enter_async_context(opened(config, pooled=pooled))


async def run_roles(
    config: Config,
    roles: Collection[str],
    database: Database,
    stop: asyncio.Event,
    tracing: Tracing = OFF,
    operators: Operators | None = None,
) -> None:
    """Run until `stop` is set. A part that fails ends the process with its error."""
    shared = shared_by_roles(config, roles, operators or Operators(config.console), database, tracing)
    deliver = deliver_role(shared) if "deliver" in roles else None
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, tracing.close)
        if not await run_unless(stop, _begin(database, shared.broker, deliver, roles)):
            log.info("process.start_cancelled")
            return
        parts, public = await stack.enter_async_context(parts_of(shared, deliver))
        parts.append(wakeups_part(shared, parts))
        console = None
        if "console" in roles and _has_console(config, roles):
            console = await stack.enter_async_context(
                console_of(config, shared.operators, database, shared.queue, shared.metrics)
            )
        if config.settings.database_url is None:
            parts.append(ProcessPart("postgres", partial(keep_postgres, database, config.settings.data_dir)))
        await _run_parts(shared, parts, public, console, stop)


async def _begin(database: Database, broker: Broker | None, deliver: Deliver | None, roles: Collection[str]) -> bool:
    """Store where publishing and each new endpoint begin in the log, before this process assigns positions.

    Older events are neither published nor sent as webhooks. Returns True once this is stored, however long the database
    is away.
    """
    while True:
        try:
            if broker and not {"consume", "relay"}.isdisjoint(roles):
                await start_publishing(database)
            if deliver:
                await deliver.begin()
        except DatabaseUnavailable as error:
            log.warning("process.start_failed", error=error_name(error))
            await asyncio.sleep(AWAY_SECONDS)
        else:
            return True


async def _run_parts(
    shared: Shared,
    parts: Collection[ProcessPart],
    public: web.Application | None,
    console: web.Application | None,
    stop: asyncio.Event,
) -> None:
    """Run the parts and listen, until `stop` is set. Then take nothing new, and drain the work in flight."""
    tasks = dict[str, asyncio.Task[None]]()

    def missing() -> list[str]:
        return sorted(name for name, task in tasks.items() if task.done())

    async with asyncio.TaskGroup() as group, ended_at_exit(tasks):
        tasks |= {part.name: group.create_task(_run(part.run)) for part in parts}
        await _wait_for_broker(shared.broker, stop)
        servers = await _listen(shared, public, console, missing)
        settings, public_url = shared.config.settings, shared.rules.public_url
        listen = f"{settings.listen[0]}:{settings.listen[1]}"
        pages = None if console is None else f"{settings.console_listen[0]}:{settings.console_listen[1]}"
        log.info("process.ready", roles=sorted(shared.roles), listen=listen, console=pages, public_url=public_url)
        await stop.wait()
        log.info("process.stopping")
        for server in servers:
            await server.cleanup()
        await _drain(parts, tasks)


async def _run(part: Callable[[], Awaitable[None]]) -> None:
    await part()


async def _wait_for_broker(broker: Broker | None, stop: asyncio.Event) -> None:
    """Wait until the first attempt to connect to the broker has ended, or until `stop` is set."""
    if broker is None:
        return
    waits = [asyncio.ensure_future(broker.publisher.tried.wait()), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for one in waits:
        one.cancel()


def _has_console(config: Config, roles: Collection[str]) -> bool:
    """Whether operators are configured, or the console was chosen by name. Nobody else can sign in to it."""
    return bool(config.console.operators) or ("console" in roles and len(roles) < len(ROLES))


async def _listen(
    shared: Shared,
    public: web.Application | None,
    console: web.Application | None,
    missing: Callable[[], list[str]],
) -> list[Runner]:
    """Listen for operators, and for gateways, browsers and shops where this process serves them."""
    settings, servers = shared.config.settings, list[Runner]()
    if public is not None:
        limits = ConnectionLimits(most=settings.max_connections, proxies=settings.trusted_proxies)
        counters = shared.metrics.connections("public")
        servers.append(
            await _listener(public, "PAYPROOF_LISTEN", settings.listen, limits, counters, settings.public_path)
        )
    if console is not None:
        limits = ConnectionLimits(
            most=CONSOLE_CONNECTIONS,
            proxies=settings.trusted_proxies,
            body_seconds=UPLOAD_SECONDS,
            held_bytes=UPLOADS_BYTES,
        )
        counters = shared.metrics.connections("console")
        servers.append(await _listener(console, "PAYPROOF_CONSOLE_LISTEN", settings.console_listen, limits, counters))
    state_metrics = state_metrics_of(shared.config, shared.database, shared.broker, shared.metrics)
    ops = Ops(shared.database, shared.broker, shared.metrics, state_metrics, missing, shared.roles)
    limits, counters = ConnectionLimits(most=OPERATORS_CONNECTIONS), shared.metrics.connections("operators")
    return [*servers, await _listener(ops_app(ops), "PAYPROOF_OPS_LISTEN", settings.ops_listen, limits, counters)]


async def _listener(
    app: web.Application,
    setting: str,
    address: tuple[str, int],
    limits: ConnectionLimits,
    counters: ConnectionCounters,
    path: str = "",
) -> Runner:
    # A body is read as it was sent. A signature covers those bytes, and a bad gzip stream must not become a 500.
    runner = Runner(
        app, path=path, limits=limits, counters=counters, auto_decompress=False, shutdown_timeout=HTTP_DRAIN_SECONDS
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, *address, reuse_address=True).start()
    except OSError as error:
        error.add_note(f"{setting} says where to listen")
        raise
    return runner


async def _drain(parts: Collection[ProcessPart], tasks: Mapping[str, asyncio.Task[None]]) -> None:
    """Have the parts take nothing new, and wait for their work in hand, for at most `TIMING.drain`."""
    working = []
    for part in parts:
        if part.stop is not None:
            part.stop()
            working.append(tasks[part.name])
    if working:
        await asyncio.wait(working, timeout=TIMING.drain.total_seconds())
