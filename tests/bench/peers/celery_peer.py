"""Celery, requests and SQLAlchemy: what a competent team would write in a week, durable like payproof.

By default Celery acknowledges before a task ran and publishes without confirms. Here tasks are acknowledged late and
are redelivered when their worker is lost, queues are quorum queues, and publishes are confirmed. Of 2, 4 and 8
processes, 8 did most on two cores, so it runs with 8.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import requests
from celery import Celery
from kombu import Exchange, Queue
from sqlalchemy import Engine, create_engine

from tests.bench.numbered import GATEWAYS
from tests.bench.peers.payments import (
    EXCHANGE,
    Claim,
    Places,
    completed,
    event,
    now,
    payment_of,
    question,
    routing_key,
    seen,
    telling,
    told,
    transaction_in,
)

TASK = "peer.verify"
CLAIMS = "peer.claims"


def queue_of(gateway: str) -> str:
    return f"peer.claims.{gateway}"


app = Celery("peer", broker=os.environ.get("PEER_BROKER"), set_as_current=False)
app.conf.update(
    task_queues=[
        Queue(
            queue_of(gateway),
            Exchange(CLAIMS, type="topic", durable=True),  # as its delayed retries demand
            routing_key=queue_of(gateway),
            queue_arguments={"x-queue-type": "quorum"},
        )
        for gateway in GATEWAYS
    ],
    task_default_queue=queue_of(GATEWAYS[0]),
    task_default_exchange=CLAIMS,
    task_default_exchange_type="topic",
    task_create_missing_queues=False,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_detect_quorum_queues=True,
    worker_prefetch_multiplier=8,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
)


@cache
def engine() -> Engine:
    """One connection per process: it works on one task at a time. Made after the fork."""
    return create_engine(Places.told().engine_url("psycopg"), pool_size=1, max_overflow=0)


@cache
def reading() -> Engine:
    """The same pool; a SELECT needs no BEGIN and ROLLBACK."""
    return engine().execution_options(isolation_level="AUTOCOMMIT")


@cache
def session() -> requests.Session:
    return requests.Session()


# Celery has no types.
@app.task(name=TASK, autoretry_for=(OSError,), retry_backoff=True, max_retries=None)  # type: ignore[untyped-decorator]
def verify(message: Mapping[str, Any]) -> None:
    claim = Claim.model_validate(message)
    with reading().connect() as connection:
        payment = connection.execute(payment_of(claim)).one()
    reply = session().get(Places.told().gateway + question(claim, payment), timeout=10.0)
    reply.raise_for_status()
    transaction_id, at = transaction_in(claim, payment, reply.json()), now()
    with engine().begin() as connection:
        new = connection.execute(seen(claim, payment, reply.text)).one_or_none()
        if new and connection.execute(completed(payment, transaction_id, at)).one_or_none():
            body = event(claim, payment, transaction_id, at)
            connection.execute(told(payment, body))
        else:
            body = connection.execute(telling(payment)).scalar_one()
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            body.encode(),
            exchange=EXCHANGE,
            routing_key=routing_key(payment),
            delivery_mode="persistent",
            content_type="application/cloudevents+json",
            content_encoding="binary",
            message_id=f"{payment.id}.2",
            type="payment.completed",
            retry=True,
        )


def wait_in_queues(broker: str, claims: list[Mapping[str, Any]]) -> None:
    """Publish, confirmed, what a web process of this team would have published for each callback. Blocks."""
    with app.connection_for_write(broker) as connection, app.amqp.Producer(connection) as producer:
        for queue in app.amqp.queues.values():
            queue(connection.default_channel).declare()
            queue(connection.default_channel).purge()
        for claim in claims:
            queue = queue_of(claim["provider"])
            verify.apply_async((claim,), producer=producer, exchange=CLAIMS, routing_key=queue)
