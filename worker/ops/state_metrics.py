"""The state of the database and of the broker, as gauges for Prometheus: read there, not counted here.

All processes read the same rows and report the same figures, so these must not be summed. A query takes the `max` over
the processes, and each help text says so. One process that still runs is enough.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

import structlog
from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from consumers.account import Account
from consumers.ports.unavailable import DatabaseUnavailable, error_name
from schemas.words import Hold
from worker.broker import Broker
from worker.config import Config
from worker.config.webhook_endpoints import Endpoint, endpoints_of
from worker.postgres.database import Database
from worker.postgres.reads.account_state import AccountState
from worker.postgres.reads.installation_state import DatabaseState, EndpointState, read_state
from worker.postgres.watermark import Watermarks
from worker.telemetry.metrics import Metrics

READ_SECONDS = 2.0
KEEP_SECONDS = 5.0
SAME = " (the same from every process: take the max)"

log = structlog.get_logger()


class BrokerState(Struct, frozen=True):
    """How many claims wait at the broker, by gateway, and how many dead letters. Empty and None while it is away."""

    waiting: dict[str, int]
    dead: int | None


def state_metrics_of(config: Config, database: Database, broker: Broker | None, metrics: Metrics) -> StateMetrics:
    """Make the gauges and register them among the metrics of this process."""
    state_metrics = StateMetrics(
        *(database, broker, config.accounts, endpoints_of(config)),
        *(config.checks.give_up, config.archive.max_size, config.retention.events),
    )
    metrics.registry.register(state_metrics)
    return state_metrics


class StateMetrics(Collector):
    """Read by `refresh`, at most once in KEEP_SECONDS. A gauge that could not be read is left out.

    Where an old snapshot keeps very many dead rows, a reading from the start ends at its deadline. It is then put off
    for half a minute, so that the database does not count as away. Rows that it alone would find are missing meanwhile.
    """

    def __init__(
        self,
        database: Database,
        broker: Broker | None,
        accounts: Collection[Account],
        endpoints: Sequence[Endpoint],
        give_up: float,
        archive_max_size: int,
        events_retention: float | None = None,
    ) -> None:
        self._database, self._broker = database, broker
        self._accounts, self._endpoints, self._give_up = accounts, endpoints, give_up
        self._archive_max_size, self._events_retention = archive_max_size, events_retention
        self._providers = sorted({account.provider.name for account in accounts})
        self._marks = Watermarks()
        self._reading = asyncio.Lock()
        self._until = 0.0
        self._state: DatabaseState | None = None
        self._at_broker: BrokerState | None = None

    async def refresh(self) -> bool:
        """Read the state, unless that was done just now; ends within its deadlines.

        Returns whether the database answered.
        """
        async with self._reading:
            if time.monotonic() >= self._until:
                self._state, self._at_broker = await asyncio.gather(self._read(), self._ask_broker())
                self._until = time.monotonic() + (KEEP_SECONDS if self._state is not None else 0)
            return self._state is not None

    async def _read(self) -> DatabaseState | None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await read_state(self._database, self._accounts, self._endpoints, self._marks)
        except (DatabaseUnavailable, TimeoutError) as error:
            log.warning("state_metrics.read_failed", error=error_name(error))
            for mark in self._marks.values():  # it may be too much to read from the start; see the class
                mark.skip(self._database.clock.now())
            return None

    async def _ask_broker(self) -> BrokerState | None:
        if self._broker is None:
            return None
        publisher = self._broker.publisher
        return BrokerState(*await asyncio.gather(publisher.depths(), publisher.dead()))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        give_up = "payproof_checks_give_up_seconds"
        yield GaugeMetricFamily(give_up, f"The configured give_up{SAME}", value=self._give_up)
        bound = "payproof_archive_max_bytes"
        yield GaugeMetricFamily(bound, f"The configured bound of the archive{SAME}", value=self._archive_max_size)
        up = float(self._state is not None)
        yield GaugeMetricFamily("payproof_database_up", "1 while Postgres answers this process within 2 s", value=up)
        if self._state is not None:
            yield from self._payments(self._state)
            yield from self._events(self._state)
            archive = _gauge("payproof_archive_bytes", "Size of the archive of callbacks on disk, with its indexes")
            archive.add_metric([], self._state.archive_bytes)
            yield archive
            snapshot = _gauge(
                "payproof_oldest_snapshot_transactions",
                "Transactions since the oldest snapshot began that keeps dead rows: of a dump, a standby, a session",
            )
            snapshot.add_metric([], self._state.snapshot)
            yield snapshot
            yield from _of_accounts(self._state.accounts)
            yield from _of_endpoints(self._state.endpoints)
            yield _of_retention(self._state.retention)
            yield from _of_decisions(self._state)
            orphaned = _gauge(
                "payproof_deliveries_orphaned", "Webhooks that wait for an endpoint in no configuration", "endpoint"
            )
            for endpoint, waiting in self._state.orphans.items():
                orphaned.add_metric([endpoint], waiting)
            yield orphaned
        yield from self._claims(self._state, self._at_broker)

    def _payments(self, state: DatabaseState) -> Iterator[GaugeMetricFamily]:
        held = _gauge("payproof_payments_held", "Payments held now; counted up to 10,000", "provider", "hold")
        providers = {*self._providers, *(provider for provider, _ in state.held)}
        for provider in sorted(providers):
            for hold in Hold:
                held.add_metric([provider, hold.value], state.held.get((provider, hold.value), 0))
        yield held
        stopped = _gauge(
            "payproof_payments_stopped", "Payments not asked in a loop any more, as they fail by themselves", "provider"
        )
        for provider in sorted({*self._providers, *state.stopped}):
            stopped.add_metric([provider], state.stopped.get(provider, 0))
        yield stopped

    def _events(self, state: DatabaseState) -> Iterator[GaugeMetricFamily]:
        unsequenced = _gauge("payproof_oldest_unsequenced_event_seconds", "Age of the oldest event without a position")
        unsequenced.add_metric([], state.unsequenced)
        yield unsequenced
        newest = _gauge(
            "payproof_newest_event_timestamp_seconds", "When the last event that has its position was written"
        )
        if state.newest is not None:
            newest.add_metric([], state.newest)
        yield newest
        lost = _gauge("payproof_events_lost", "Events that a failover lost; for a day, or until their payment is back")
        lost.add_metric([], state.lost)
        yield lost
        held_back = _gauge(
            "payproof_events_held_back_seconds",
            "How long events are kept past [retention] events because RabbitMQ has not confirmed them",
        )
        retention = math.inf if self._events_retention is None else self._events_retention
        held_back.add_metric([], max(0.0, state.unpublished - retention))
        yield held_back
        if self._broker is not None:
            unpublished = _gauge(
                "payproof_oldest_unpublished_event_seconds", "Age of the oldest event that RabbitMQ has not confirmed"
            )
            unpublished.add_metric([], state.unpublished)
            yield unpublished

    def _claims(self, state: DatabaseState | None, broker: BrokerState | None) -> Iterator[GaugeMetricFamily]:
        waiting = _gauge("payproof_claims_waiting", "Claims that wait or are in hand, wherever they lie", "provider")
        low = _gauge("payproof_claims_low_priority", "Claims that repeat others, taken after all others", "provider")
        spool = _gauge("payproof_claims_in_spool", "Claims in Postgres, although RabbitMQ should have them", "provider")
        dead = _gauge("payproof_dead_letters", "Dead letters, by where they lie", "place")
        for provider in self._providers:
            counts = [state.queued.get(provider, 0)] if state else []
            counts += [broker.waiting[provider]] if broker and provider in broker.waiting else []
            if counts:
                waiting.add_metric([provider], sum(counts))
            if state:
                low.add_metric([provider], state.low_priority.get(provider, 0))
            if state and self._broker is not None:
                spool.add_metric([provider], state.queued.get(provider, 0))
        if state:
            dead.add_metric(["postgres"], state.dead)
        if broker and broker.dead is not None:
            dead.add_metric(["broker"], broker.dead)
        yield from (waiting, low, spool, dead)


def _of_accounts(accounts: Sequence[AccountState]) -> Iterator[GaugeMetricFamily]:
    labels = ("provider", "account")
    unresolved = _gauge(
        "payproof_oldest_unresolved_seconds", "Age of the oldest payment that is pending and not held", *labels
    )
    overdue = _gauge("payproof_oldest_overdue_check_seconds", "How long a payment has been due for a question", *labels)
    breaker_open = _gauge(
        "payproof_account_breaker_open", "1 while the gateway gives this account no answers and is probed", *labels
    )
    forgetful = _gauge(
        "payproof_account_forgetful", '1 while the gateway says "not found" of one payment after the other', *labels
    )
    calls = _gauge("payproof_account_calls_left", "Calls left of the account's budget, where it has one", *labels)
    for one in accounts:
        names = [one.provider, one.account]
        unresolved.add_metric(names, one.unresolved)
        overdue.add_metric(names, one.overdue)
        breaker_open.add_metric(names, one.breaker_open)
        forgetful.add_metric(names, one.forgetful)
        if one.calls is not None:
            calls.add_metric(names, one.calls)
    yield from (unresolved, overdue, breaker_open, forgetful, calls)


def _of_endpoints(endpoints: Sequence[EndpointState]) -> Iterator[GaugeMetricFamily]:
    disabled = _gauge("payproof_endpoint_disabled", "1 while nothing is sent, because it answered 410", "endpoint")
    breaker_open = _gauge("payproof_endpoint_breaker_open", "1 while it fails and is only probed", "endpoint")
    waiting = _gauge("payproof_deliveries_waiting", "Webhooks that wait; counted up to 10,000", "endpoint")
    given_up = _gauge("payproof_deliveries_given_up", "Webhooks whose schedule ended in failure", "endpoint")
    oldest = _gauge(
        "payproof_oldest_undelivered_event_seconds", "Age of the oldest event not delivered to it", "endpoint"
    )
    for one in endpoints:
        for family, value in (
            (disabled, one.disabled),
            (breaker_open, one.breaker_open),
            (waiting, one.waiting),
            (given_up, one.given_up),
            (oldest, one.oldest),
        ):
            family.add_metric([one.endpoint], value)
    yield from (disabled, breaker_open, waiting, given_up, oldest)


def _of_decisions(state: DatabaseState) -> Iterator[GaugeMetricFamily]:
    unseconded = _gauge("payproof_oldest_open_proposal_seconds", "Age of the oldest proposal that nobody decided about")
    approved = _gauge("payproof_oldest_approved_proposal_seconds", "How long an approved proposal waits for a worker")
    statement = _gauge(
        "payproof_oldest_waiting_statement_seconds", "How long an uploaded statement waits while nobody reconciles any"
    )
    unseconded.add_metric([], state.open_proposal)
    approved.add_metric([], state.approved_proposal)
    statement.add_metric([], state.statement)
    yield from (unseconded, approved, statement)


def _of_retention(succeeded: Mapping[str, float]) -> GaugeMetricFamily:
    last_run = _gauge("payproof_retention_last_run_timestamp_seconds", "Last run that left nothing to delete", "task")
    for task, at in sorted(succeeded.items()):
        last_run.add_metric([task], at)
    return last_run


def _gauge(name: str, says: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says + SAME, labels=labels)
