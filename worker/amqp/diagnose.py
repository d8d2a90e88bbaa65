"""Troubles of the broker, for the operator who sets payproof up.

A connection proves little: a broker in alarm accepts connections and declares queues, and then confirms no message. So
a message is published that no queue gets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed
from msgspec import Struct
from msgspec.structs import replace

from schemas.secret import Secret
from worker.amqp.dead_queue import GET_SECONDS
from worker.amqp.link import CONNECT_SECONDS, UNREACHABLE, connected, open_channel, why_away
from worker.amqp.message_size import MAX_MESSAGE
from worker.amqp.publisher import confirm, probe, probe_message
from worker.amqp.refusals import BrokerRefusedError, TopologyError
from worker.amqp.topology import DEAD, DECLARE_SECONDS, declared
from worker.runtime.broker_nodes import address_of, nodes_of

SIZE_SECONDS = 5.0


class Diagnosis(Struct, frozen=True, kw_only=True):
    """`trouble`: in words, why claims cannot go over the broker; None if they can. `silent`: queues that do not answer.

    `dead` is how many dead letters wait at the broker; None if that is unknown. `bounded`: whether the broker refuses
    messages of more than MAX_MESSAGE bytes; None if that could not be seen. `away`: the nodes that take no connection,
    where another one does.
    """

    trouble: str | None = None
    silent: tuple[str, ...] = ()
    dead: int | None = None
    bounded: bool | None = None
    away: tuple[str, ...] = ()


async def diagnose(url: Secret, providers: Collection[str]) -> Diagnosis:
    """Connect to each node; at one of them declare, and publish a probe. Missing queues are made.

    Every wait has a deadline. Raises nothing.
    """
    nodes = nodes_of(url)
    reached = await asyncio.gather(*map(_reached, nodes)) if len(nodes) > 1 else [True]
    if not any(reached):
        return await _diagnose(url, providers)
    away = tuple(address_of(node) for node, well in zip(nodes, reached, strict=True) if not well)
    return replace(await _diagnose(nodes[reached.index(True)], providers), away=away)


async def _reached(node: Secret) -> bool:
    with suppress(BrokerRefusedError, *UNREACHABLE):
        async with connected(node, "payproof doctor"):
            return True
    return False


async def _diagnose(url: Secret, providers: Collection[str]) -> Diagnosis:
    found = Diagnosis()
    try:
        async with connected(url, "payproof doctor") as connection:
            async with asyncio.timeout(CONNECT_SECONDS + DECLARE_SECONDS):
                waiting = await declared(connection, providers)
                channel = await open_channel(connection, confirms=True)
            answers = await asyncio.gather(*[_answers(connection, *queue) for queue in waiting.items()])
            silent = tuple(name for name, answered in zip(waiting, answers, strict=True) if not answered)
            found = Diagnosis(silent=silent, dead=None if DEAD in silent else waiting[DEAD])
            try:
                await probe(channel)
            except TimeoutError:
                words = (
                    "it takes connections and confirms nothing, as in a memory or disk alarm (rabbitmqctl status "
                    "tells); until that is over, claims go through Postgres"
                )
                return replace(found, trouble=words)
            found = replace(found, bounded=await _bounded(connection))
    except (BrokerRefusedError, TopologyError) as error:
        return Diagnosis(trouble=str(error))
    except ChannelNotFoundEntity as error:
        words = f"it lets us in, and something is missing that this user may not make: start consume first ({error})"
        return Diagnosis(trouble=words)
    except UNREACHABLE as error:
        words = (
            f"it cannot be reached ({why_away(error)}); check PAYPROOF_AMQP_URL, and whether RabbitMQ runs there; "
            "until it can, claims go through Postgres"
        )
        return Diagnosis(trouble=words)
    return found


async def _bounded(connection: AbstractConnection) -> bool | None:
    """Whether the broker refuses a message over the limit, which no queue would get; None if it does not answer."""
    try:
        async with asyncio.timeout(SIZE_SECONDS):
            await confirm(await open_channel(connection, confirms=True), probe_message(b"\0" * (MAX_MESSAGE + 1)))
    except ChannelPreconditionFailed:
        return True
    except UNREACHABLE:
        return None
    return False


async def _answers(connection: AbstractConnection, name: str, waiting: int | None) -> bool:
    """Whether a queue has a leader. RabbitMQ calls a queue without a leader empty, so an empty queue is read from."""
    if waiting != 0:
        return waiting is not None
    try:
        async with asyncio.timeout(GET_SECONDS):
            channel = await open_channel(connection, confirms=False)
            queue = await channel.get_queue(name, ensure=False)
            if (message := await queue.get(fail=False, timeout=None)) is not None:  # it came just now, and goes back
                await message.nack(requeue=True)
            await channel.close()
    except ChannelAccessRefused:  # it cannot be told: this role reads no such queue
        return True
    except UNREACHABLE:
        return False
    return True
