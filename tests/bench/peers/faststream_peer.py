"""FastStream, httpx and SQLAlchemy's asyncio: what a competent team would write in a week, durable like payproof.

It is not handicapped: it has uvloop, pools of database and HTTP connections that fit its prefetch, statements that
SQLAlchemy compiles once, and a quiet log.
"""

from __future__ import annotations

import asyncio
import logging

import httpx
import uvloop
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitQueue
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

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

PREFETCH = 50
"""Claims of one gateway that are worked on at a time."""
CONNECTIONS = 20


class Verifier:
    def __init__(self, broker: RabbitBroker, engine: AsyncEngine, client: httpx.AsyncClient) -> None:
        self._broker, self._engine, self._client = broker, engine, client
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")  # a SELECT needs no BEGIN and ROLLBACK
        self._events = RabbitExchange(EXCHANGE, declare=False)

    async def verify(self, claim: Claim) -> None:
        """An exception returns the message to its queue; it is acknowledged after this returns."""
        async with self._reading.connect() as connection:
            payment = (await connection.execute(payment_of(claim))).one()
        reply = await self._client.get(question(claim, payment))
        reply.raise_for_status()
        transaction_id, at = transaction_in(claim, payment, reply.json()), now()
        async with self._engine.begin() as connection:
            new = (await connection.execute(seen(claim, payment, reply.text))).one_or_none()
            if new and (await connection.execute(completed(payment, transaction_id, at))).one_or_none():
                body = event(claim, payment, transaction_id, at)
                await connection.execute(told(payment, body))
            else:
                body = (await connection.execute(telling(payment))).scalar_one()
        await self._broker.publish(
            body.encode(),
            exchange=self._events,
            routing_key=routing_key(payment),
            persist=True,
            mandatory=False,
            message_id=f"{payment.id}.2",
            message_type="payment.completed",
            content_type="application/cloudevents+json",
        )


async def main() -> None:
    places = Places.told()
    engine = create_async_engine(places.engine_url("asyncpg"), pool_size=CONNECTIONS, max_overflow=0)
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=places.gateway, limits=limits, timeout=10.0) as client:
        broker = RabbitBroker(places.broker, logger=None)
        verifier = Verifier(broker, engine, client)
        for gateway in GATEWAYS:
            broker.subscriber(
                RabbitQueue(f"payproof.claims.{gateway}", declare=False),
                channel=Channel(prefetch_count=PREFETCH),
                ack_policy=AckPolicy.NACK_ON_ERROR,
            )(verifier.verify)
        await FastStream(broker, logger=None).run()
    await engine.dispose()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
