"""The state of the database and of the broker, as gauges for Prometheus: read there, not counted here.

All processes read the same rows and report the same figures, so these must not be summed. A query takes the `max` over
the processes, and each help text says so. One process that still runs is enough.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from consumers.account import Account
from consumers.ports.unavailable import DatabaseUnavailable, error_name
from worker.broker import Broker
from worker.config import Config
from worker.config.webhook_endpoints import Endpoint, endpoints_of
from worker.ops.state_gauges import SAME, BrokerState, claims_gauges, database_gauges
from worker.postgres.database import Database
from worker.postgres.reads.installation_state import DatabaseState, read_state
from worker.postgres.watermark import Watermarks
from worker.telemetry.metrics import Metrics

READ_SECONDS = 2.0
KEEP_SECONDS = 5.0

log = structlog.get_logger()


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
            yield from database_gauges(self._state, self._at_broker, self._providers, self._events_retention)
        yield from claims_gauges(self._state, self._at_broker, self._providers)
