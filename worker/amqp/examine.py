"""What is wrong with the broker, for whoever sets payproof up.

The one thing to get wrong: a connection proves nothing. A broker in alarm takes connections, declares queues, and then
confirms no message; so one is published, to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from schemas.secret import Secret
from worker.amqp.link import CONNECT_SECONDS, UNREACHABLE, connected
from worker.amqp.publisher import probe
from worker.amqp.refusals import BrokerRefusedError, TopologyError
from worker.amqp.topology import declare


async def trouble(url: Secret, providers: Collection[str]) -> str | None:
    """What keeps claims from going over the broker, in words; None: nothing. Makes the queues that are missing."""
    try:
        async with connected(url, "payproof doctor") as connection:
            async with asyncio.timeout(CONNECT_SECONDS):
                await declare(connection, providers)
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            try:
                await probe(channel)
            except TimeoutError:
                return (
                    "it takes connections and confirms nothing, as in a memory or disk alarm (rabbitmqctl status "
                    "tells); until that is over, claims go through Postgres"
                )
    except (BrokerRefusedError, TopologyError) as error:
        return str(error)
    except UNREACHABLE as error:
        return f"it cannot be reached ({type(error).__name__}); until it can, claims go through Postgres"
    return None
