"""What the parts of a process share: its configuration, database, metrics, and where claims go."""

from __future__ import annotations

import math
from collections.abc import Collection

from msgspec import Struct

from consumers.ports.bus import ClaimPublisher
from consumers.rules import Rules
from worker.amqp.rabbit_bus import RabbitBus
from worker.broker import Broker, broker_of
from worker.config import Config, rules_of
from worker.config.operators import Operators
from worker.ingress.waiters import PaymentWaiters
from worker.postgres.database import Database
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.queue.turns import PostgresTurns
from worker.telemetry.metrics import Metrics
from worker.telemetry.tracing import Tracing
from worker.telemetry.tracing.traced_publisher import TracedPublisher


class Shared(Struct, frozen=True, kw_only=True):
    """The objects that several parts use. `queue` is the spool of the broker where there is one."""

    config: Config
    roles: Collection[str]
    database: Database
    rules: Rules
    operators: Operators
    metrics: Metrics
    tracing: Tracing
    waiters: PaymentWaiters
    turns: PostgresTurns
    queue: PostgresBus
    broker: Broker | None

    @property
    def bus(self) -> RabbitBus | PostgresBus:
        return self.broker.bus if self.broker else self.queue

    @property
    def publisher(self) -> ClaimPublisher:
        """Where new claims are published."""
        return TracedPublisher(self.bus, self.tracing, self.database.clock.now) if self.tracing.on else self.bus


def shared_by_roles(
    config: Config, roles: Collection[str], operators: Operators, database: Database, tracing: Tracing
) -> Shared:
    metrics, rules, turns = Metrics(config.accounts), rules_of(config), PostgresTurns(database)
    queue = PostgresBus(database, turns.holder)
    limit = rules.second_person_from
    metrics.second_person_from.set(math.inf if limit is None else float(limit))
    return Shared(
        config=config,
        roles=roles,
        database=database,
        rules=rules,
        operators=operators,
        metrics=metrics,
        tracing=tracing,
        waiters=PaymentWaiters(),
        turns=turns,
        queue=queue,
        broker=broker_of(config, rules, database, queue, metrics),
    )
