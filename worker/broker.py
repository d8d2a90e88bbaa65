"""The parts of a process that use RabbitMQ, made in one place. They connect when they run."""

from __future__ import annotations

from msgspec import Struct

from consumers.rules import Rules
from worker.amqp.consumer_pool import ConsumerPool
from worker.amqp.publisher import Publisher
from worker.amqp.rabbit_bus import RabbitBus
from worker.config import Config
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.claim_queue import PostgresBus
from worker.requests.expected_consumer import ExpectedConsumer, expected_pool
from worker.requests.expected_handler import ExpectedPaymentHandler
from worker.telemetry.metrics import Metrics
from worker.verify.concurrency import WINDOW


class Broker(Struct, frozen=True):
    """The parts that use RabbitMQ, where the configuration names a broker."""

    publisher: Publisher
    pool: ConsumerPool
    expected: ConsumerPool
    expected_consumer: ExpectedConsumer
    bus: RabbitBus


def broker_of(config: Config, rules: Rules, database: Database, spool: PostgresBus, metrics: Metrics) -> Broker | None:
    """Make these parts, not yet connected.

    Returns None without a configured broker: claims and events stay in Postgres.
    """
    url = config.settings.amqp_url
    if url is None:
        return None
    providers = {account.provider.name for account in config.accounts}
    publisher, pool = Publisher(url, providers), ConsumerPool(url, providers, metrics, prefetch=WINDOW)
    bus = RabbitBus(publisher, pool, spool, database.clock, metrics)
    expected = expected_pool(url, metrics)
    handler = ExpectedPaymentHandler(
        PostgresLedger(database, changed=metrics.changed, dropped=metrics.drop), rules, config, database.clock
    )
    expected_consumer = ExpectedConsumer(expected, publisher, handler, database.clock, metrics)
    return Broker(publisher, pool, expected, expected_consumer, bus)
