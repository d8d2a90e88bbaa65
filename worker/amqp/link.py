"""A connection to the broker that is made again whenever it ends, to the next node where the broker is a cluster.

A library that reconnects by itself may come back without its consumers. Here an ended connection is never revived: each
user of a connection declares everything again on a new connection.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from itertools import cycle
from typing import NoReturn

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import (
    AMQPConnectionError,
    AMQPError,
    AuthenticationError,
    ChannelInvalidStateError,
    ProbableAuthenticationError,
)

from consumers.pacing import Backoff
from schemas.secret import Secret
from worker.amqp.message_size import bound_messages
from worker.amqp.refusals import BrokerRefusedError, TopologyError
from worker.runtime.broker_nodes import nodes_of

CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 2.0
PREPARE_SECONDS = 15.0
HEARTBEAT_SECONDS = 5  # a silent broker is given up after three of them
RECONNECT = Backoff(timedelta(seconds=0.1), timedelta(seconds=3))

UNREACHABLE = (AMQPError, OSError, TimeoutError, ChannelInvalidStateError, asyncio.InvalidStateError)
"""The errors of the libraries when the broker is away, or a channel of ours is closed. They stay in this package."""

log = structlog.get_logger()


class ConnectionEndedError(AMQPConnectionError):
    """The connection ended during a call. It belongs to UNREACHABLE.

    The libraries raise RuntimeError or a bare Exception for it.
    """


Use = Callable[[AbstractConnection], Awaitable[None]]


async def run_with_reconnect(url: Secret, name: str, *, prepare: Use, use: Use, failed: Callable[[], None]) -> NoReturn:
    """Connect, call `prepare` and then `use`; when `use` returns or the broker goes away, begin again, until cancelled.

    `url` names one node of the broker, or several. Each new connection goes to the next node, because a node can take
    connections and yet be of no use: suspended, or cut off from the others. The first node is drawn, so that processes
    spread over the nodes. `name` is the connection's name at the broker. `failed` is called each time that the broker
    is away. Raises BrokerRefusedError and TopologyError until `prepare` has succeeded once, because then the
    configuration is wrong. Later they are logged and tried again.
    """
    failures, proven, nodes = 0, False, nodes_of(url)
    for node in cycle(random.sample(nodes, len(nodes))):
        try:
            async with connected(node, name) as connection:
                async with asyncio.timeout(PREPARE_SECONDS):
                    await prepare(connection)
                failures, proven = 0, True
                await use(connection)
        except (BrokerRefusedError, TopologyError) as error:
            if not proven:
                raise
            log.error("broker.refused", connection=name, why=str(error))  # noqa: TRY400 - its words say it all
        except UNREACHABLE as error:
            log.warning("broker.away", connection=name, error=why_away(error))
            failed()
        await asyncio.sleep(RECONNECT.pause(failures).total_seconds())
        failures += 1
    raise AssertionError("a URL has at least one node")


@asynccontextmanager
async def connected(url: Secret, name: str) -> AsyncIterator[AbstractConnection]:
    """A connection to the first node of `url` that takes one. Raises BrokerRefusedError, and one of UNREACHABLE.

    It is closed with the block. Closing takes CLOSE_SECONDS at most.
    """
    connection = await _connect_to_any(nodes_of(url), name)
    try:
        with using_connection():
            yield connection
    finally:
        with suppress(*UNREACHABLE):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()


@contextmanager
def using_connection() -> Iterator[None]:
    """Raises ConnectionEndedError for what waited on a connection while that was closed in good order."""
    try:
        yield
    except Exception as error:
        if ended_in_good_order(error):
            raise ConnectionEndedError("the connection was closed") from error
        raise


def ended_in_good_order(error: BaseException) -> bool:
    """Whether aiormq raised this for a connection that was closed in good order: it has no type of its own then."""
    return type(error) is Exception


def why_away(error: BaseException) -> str:
    """The kind of one of UNREACHABLE; of a certificate that is not accepted, why."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {cause.verify_message}"
    return type(error).__name__


async def open_channel(connection: AbstractConnection, *, confirms: bool) -> AbstractChannel:
    """A new channel. With `confirms`, publishing a message that no queue takes raises. Raises one of UNREACHABLE.

    A message of more than MAX_MESSAGE bytes is read as its description; see `message_size.py`.
    """
    try:
        channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    except ChannelInvalidStateError:
        raise
    except RuntimeError as error:  # aiormq and aio-pika say so of a connection that has ended
        raise ConnectionEndedError(str(error)) from error
    await bound_messages(channel)
    return channel


def closing_of(connection: AbstractConnection) -> asyncio.Event:
    """An event that is set when the connection ends for any reason; aio-pika's `closed()` tells only of our closing."""
    ending = asyncio.Event()
    connection.close_callbacks.add(lambda *_: ending.set())
    return ending


async def _connect_to_any(nodes: Sequence[Secret], name: str) -> AbstractConnection:
    for node in nodes[:-1]:
        with suppress(*UNREACHABLE):
            return await _connect(node, name)
    return await _connect(nodes[-1], name)


async def _connect(url: Secret, name: str) -> AbstractConnection:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await aio_pika.connect(url.reveal(), name=name, heartbeat=HEARTBEAT_SECONDS)
    except (AuthenticationError, ProbableAuthenticationError) as error:
        raise BrokerRefusedError("the broker refuses the user or password of PAYPROOF_AMQP_URL") from error
    except (RuntimeError, StopAsyncIteration, EOFError) as error:  # closed by the other side before it was open for us
        raise ConnectionEndedError(str(error)) from error
