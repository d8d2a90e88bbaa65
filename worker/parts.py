"""The parts of a process: its loops, each with the functions that stop and wake it, as the chosen roles need them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from msgspec import Struct

from schemas.changes import Change
from schemas.payments import Payment
from worker.api.event_waiters import EventWaiters
from worker.config.webhook_endpoints import endpoints_of
from worker.deliver.relay import Relay
from worker.deliver.role import Deliver
from worker.deliver.traced_relay import TracedRelay, trace_positions
from worker.failover import watch_primary
from worker.http_apps import public_app
from worker.ingress.byte_budgets import ByteBudgets
from worker.ingress.waiters import PaymentWaiters
from worker.postgres.events.event_log import SequencedEvent
from worker.postgres.ledger.failures import PostgresFailures
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.tokens import PostgresTokens
from worker.postgres.wakeups import Wakeup
from worker.postgres.watermark import START
from worker.reconciliation.upload_runner import UploadRunner
from worker.retention import run_retention
from worker.runtime.encryption import ArchiveCipher
from worker.shared import Shared
from worker.telemetry.metrics import Metrics
from worker.verify.approvals import Approvals
from worker.verify.consume import Consumer
from worker.verify.gateways import Gateways, gateways
from worker.verify.sweep import Sweep


class ProcessPart(Struct, frozen=True):
    """A loop of the process. After `stop` it takes nothing new, and `run` returns when its work is done.

    `hear` is called with every wakeup, of this process or of another.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    stop: Callable[[], None] | None = None
    hear: Callable[[Wakeup], None] | None = None


def deliver_role(shared: Shared) -> Deliver:
    config = shared.config
    endpoints, private = endpoints_of(config), config.allow_private_webhooks
    return Deliver(shared.database, endpoints, shared.metrics, private=private, tracing=shared.tracing)


@asynccontextmanager
async def parts_of(
    shared: Shared, deliver: Deliver | None
) -> AsyncIterator[tuple[list[ProcessPart], web.Application | None]]:
    """The parts of the chosen roles, and the public application where `ingress` is chosen.

    `deliver` is that role, or None. Their connections are closed when the block is left.
    """
    roles, parts = shared.roles, [*_of_every_role(shared)]
    relay = _relay(shared) if "relay" in roles else None
    if "sweep" in roles:
        parts.append(_sweep(shared))
    if relay is not None:
        parts.append(ProcessPart("relay", relay.run, hear=relay.on_wakeup))
    if deliver:
        parts.append(
            ProcessPart("deliver", deliver.run, deliver.stop, lambda wakeup: deliver.wake(placed=wakeup.placed))
        )
    if "reconcile" in roles:
        runner = UploadRunner(
            shared.database, shared.rules, shared.queue, ArchiveCipher(shared.config.archive.cipher_keys)
        )
        parts.append(ProcessPart("reconcile", runner.run, runner.stop))
    if {"consume", "ingress"}.isdisjoint(roles):
        yield parts, None
        return
    ledger, public = _ledger(shared, relay), None
    async with (
        shared.database.reading() as reading,
        gateways(PostgresTokens(shared.database), shared.database.clock.now) as asking,
    ):
        try:
            if "consume" in roles:
                parts += _consume(shared, ledger, asking)
            if "ingress" in roles:
                parts += _expected(shared)
                budgets = ByteBudgets(shared.config.archive.max_size, shared.database.clock.now)
                parts.append(ProcessPart("byte budgets", partial(budgets.run, shared.database)))
                looking = EventWaiters(shared.database, shared.config.settings.max_connections)
                parts.append(ProcessPart("event waiters", looking.run, looking.stop, looking.on_wakeup))
                public = public_app(
                    *(shared.config, shared.rules, shared.database, reading, ledger, shared.publisher, asking),
                    *(shared.waiters, looking, budgets, shared.metrics),
                )
            yield parts, public
        finally:
            await shared.turns.close()


def wakeups_part(shared: Shared, parts: Sequence[ProcessPart]) -> ProcessPart:
    """A part that listens to wakeups, and wakes those parts, the bus and waiting browsers.

    After each connection it wakes all of them, for the wakeups that it may have missed.
    """

    def on_wakeup(wakeup: Wakeup) -> None:
        shared.bus.wake(wakeup.claims)
        shared.waiters.notify(wakeup.outcomes)
        for part in parts:
            if part.hear is not None:
                part.hear(wakeup)

    async def look_again() -> None:
        providers = [account.provider.name for account in shared.config.accounts]
        on_wakeup(Wakeup(events=True, placed=True, approvals=True, claims=providers, look_at=START))
        shared.waiters.notify_all()

    return ProcessPart("notices", partial(shared.database.listen, on_wakeup, connected=look_again))


def _of_every_role(shared: Shared) -> list[ProcessPart]:
    parts = [
        ProcessPart("clock", shared.database.keep_clock),
        ProcessPart("failover", partial(watch_primary, shared.database, shared.publisher, shared.roles)),
        ProcessPart("housekeeping", partial(run_retention, shared.database, shared.config, shared.roles)),
    ]
    return [*parts, ProcessPart("publisher", shared.broker.publisher.run)] if shared.broker else parts


def _relay(shared: Shared) -> Relay:
    parts = shared.database, shared.metrics, shared.broker.publisher if shared.broker else None, shared.tracing
    return TracedRelay(*parts) if shared.tracing.on else Relay(*parts)


def _sweep(shared: Shared) -> ProcessPart:
    sweep = Sweep(shared.database, shared.publisher, shared.rules.accounts, shared.metrics)
    return ProcessPart("sweep", sweep.run, hear=lambda wakeup: sweep.wake_if_due(wakeup.look_at))


def _ledger(shared: Shared, relay: Relay | None) -> PostgresLedger:
    # Only consume writes into the archive, so only consume is given its keys.
    keys = shared.config.archive.cipher_keys if "consume" in shared.roles else ()
    return PostgresLedger(
        shared.database,
        ArchiveCipher(keys),
        _changed(shared.metrics, shared.waiters),
        shared.metrics.drop,
        _sequenced(shared, relay) if "consume" in shared.roles else None,
        contacts=shared.config.contacts.hashing if "ingress" in shared.roles else None,
    )


def _sequenced(shared: Shared, relay: Relay | None) -> Callable[[Sequence[SequencedEvent]], None]:
    """Called with the events that got their positions as this process wrote them."""

    def sequenced(events: Sequence[SequencedEvent]) -> None:
        shared.metrics.sequenced.inc(len(events))
        if shared.tracing.on:
            trace_positions(shared.tracing, [one.body for one in events])
        if relay is not None:
            relay.remember(events)

    return sequenced


def _consume(shared: Shared, ledger: PostgresLedger, asking: Gateways) -> list[ProcessPart]:
    consumer = Consumer(
        *(shared.bus, ledger, shared.turns, shared.rules, asking, PostgresFailures(shared.database)),
        *(shared.database.clock, shared.metrics, shared.tracing),
    )
    approvals = Approvals(shared.database, ledger, shared.rules)
    parts = [
        ProcessPart("lost claims", shared.queue.free_lost),
        ProcessPart("approvals", approvals.run, approvals.stop, approvals.on_wakeup),
        ProcessPart("consume", consumer.run, consumer.stop, lambda wakeup: consumer.payments_changed(wakeup.outcomes)),
    ]
    return [*parts, ProcessPart("inbox", shared.broker.pool.run)] if shared.broker else parts


def _expected(shared: Shared) -> list[ProcessPart]:
    """The parts that take the payment requests that shops publish. They need the database rights of `ingress`."""
    broker = shared.broker
    if broker is None:
        return []
    return [
        ProcessPart("expected inbox", broker.expected.run),
        ProcessPart("registering", broker.expected_consumer.run, broker.expected_consumer.stop),
    ]


def _changed(metrics: Metrics, waiters: PaymentWaiters) -> Callable[[Payment, Change], None]:
    def changed(before: Payment, change: Change) -> None:
        metrics.changed(before, change)
        if change.event is not None:
            waiters.tell(change.payment)

    return changed
