"""What stands on RabbitMQ, made in one place; connected while its parts run."""

from __future__ import annotations

from msgspec import Struct

from worker.amqp.bus import RabbitBus
from worker.amqp.inbox import Inbox
from worker.amqp.publisher import Publisher
from worker.config import Config
from worker.metrics import Metrics
from worker.postgres.bus import PostgresBus
from worker.postgres.database import Database


class Broker(Struct, frozen=True):
    """What stands on RabbitMQ, where the configuration names one."""

    publisher: Publisher
    inbox: Inbox
    bus: RabbitBus


def broker_of(config: Config, database: Database, metrics: Metrics) -> Broker | None:
    """The parts, not yet connected; None where claims and events stay in Postgres."""
    url = config.settings.amqp_url
    if url is None:
        return None
    providers = {account.provider.name for account in config.accounts}
    publisher, inbox = Publisher(url, providers), Inbox(url, providers, metrics)
    return Broker(publisher, inbox, RabbitBus(publisher, inbox, PostgresBus(database), database.clock, metrics))
