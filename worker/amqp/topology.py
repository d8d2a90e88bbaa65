"""The topology at the broker: four exchanges, and queues for each gateway, expected payments and dead letters.

The broker refuses to declare a queue that exists with other arguments. No restart mends that, so it is an error that
names the queue, and it is never worked around. A user without the right to make them finds what others have made: only
the role consume needs that right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Final, TypeVar

import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from worker.amqp.link import open_channel
from worker.amqp.refusals import TopologyError

CLAIMS: Final = "payproof.claims"
EVENTS: Final = "payproof.events"
DEAD: Final = "payproof.dead"
EXPECTED: Final = "payproof.expected"
"""A topic exchange, so that a shop's broker user needs only the right to write to it, and only with its own key."""

DECLARE_SECONDS = 5.0
DELIVERY_LIMIT = 20
"""Only a backstop: lost connections count as deliveries. Claims that fail by themselves are counted in Postgres."""

NO_LIMIT = 1_000_000_000
"""Newer brokers drop a message of a quorum queue after 20 deliveries, and each look at a dead letter is a delivery."""

T = TypeVar("T")
log = structlog.get_logger()

_EXCHANGES = {
    DEAD: ExchangeType.FANOUT,
    EVENTS: ExchangeType.TOPIC,
    EXPECTED: ExchangeType.TOPIC,
    CLAIMS: ExchangeType.DIRECT,
}
_WORK_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": DEAD,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",  # at-least-once demands it
}
_DEAD_ARGUMENTS: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT}


def claims_queue(provider: str) -> str:
    return f"{CLAIMS}.{provider}"


async def declare(connection: AbstractConnection, providers: Collection[str]) -> None:
    """Make the exchanges and queues that are missing. Raises TopologyError, and one of UNREACHABLE of `link.py`.

    A queue that does not answer, as without a leader, is logged and left out. It does not hold up the others.
    """
    for name, waiting in (await declared(connection, providers)).items():
        if waiting is None:
            log.warning("queue.silent", queue=name)


async def declared(connection: AbstractConnection, providers: Collection[str]) -> Mapping[str, int | None]:
    """As `declare`. Returns by queue how many messages wait in it, None if it does not answer.

    0 may also mean that it does not answer: RabbitMQ says 0 of a queue whose leader is silent.
    """
    found = False
    try:
        await _exchanges(connection, found=False)
    except ChannelAccessRefused:
        found = True
        await _exchanges(connection, found=True)
    queues = [(claims_queue(provider), _WORK_ARGUMENTS, CLAIMS, provider) for provider in sorted(providers)]
    wanted = [(DEAD, _DEAD_ARGUMENTS, DEAD, ""), (EXPECTED, _WORK_ARGUMENTS, EXPECTED, "#"), *queues]
    results = await asyncio.gather(
        *[_found(connection, queue[0]) if found else _queue(connection, *queue) for queue in wanted],
        return_exceptions=True,
    )
    waiting: dict[str, int | None] = {}
    for (name, *_), result in zip(wanted, results, strict=True):
        if isinstance(result, BaseException) and not isinstance(result, TimeoutError):
            raise result
        waiting[name] = None if isinstance(result, TimeoutError) else result
    return waiting


async def _exchanges(connection: AbstractConnection, *, found: bool) -> None:
    """Declare the exchanges, or only look whether they are `found`. Raises ChannelNotFoundEntity where they are not."""
    async with await open_channel(connection, confirms=False) as channel:
        for name, kind in _EXCHANGES.items():
            await _agreed(name, channel.declare_exchange(name, kind, durable=True, passive=found))


async def _found(connection: AbstractConnection, name: str) -> int:
    """How many messages wait in a queue that is there. Raises ChannelNotFoundEntity where it is not."""
    async with asyncio.timeout(DECLARE_SECONDS):
        async with await open_channel(connection, confirms=False) as channel:
            queue = await channel.declare_queue(name, passive=True)
    return queue.declaration_result.message_count or 0


async def _queue(connection: AbstractConnection, name: str, arguments: dict[str, Any], exchange: str, key: str) -> int:
    """Declare and bind a queue, on a channel of its own: a queue that does not answer blocks its channel.

    Returns how many messages wait in it.
    """
    async with asyncio.timeout(DECLARE_SECONDS):
        channel = await open_channel(connection, confirms=False)
        queue = await _agreed(name, channel.declare_queue(name, durable=True, arguments=arguments))
        await queue.bind(exchange, key)
        await channel.close()
    return queue.declaration_result.message_count or 0


async def _agreed(name: str, declaration: Awaitable[T]) -> T:
    try:
        return await declaration
    except ChannelPreconditionFailed as error:
        raise TopologyError(
            f"the broker has {name} already, otherwise than it must be ({error}); "
            f"empty it, delete it and start again, or give payproof a virtual host of its own"
        ) from error
