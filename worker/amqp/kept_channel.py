"""One channel that is used again and again, for what must be asked often.

aio-pika keeps a few kilobytes for each channel that was ever opened, until its connection ends. So a channel for each
question would let a process grow for as long as the broker is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractChannel, AbstractConnection

from worker.amqp.link import open_channel


class KeptChannel:
    """A channel without confirms, used by one caller at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._kept: tuple[AbstractConnection, AbstractChannel] | None = None

    @asynccontextmanager
    async def on(self, connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
        """The channel on this connection; it is opened where there is none. Raises one of UNREACHABLE.

        After an error, or when the caller is cancelled, it is closed, because a late answer would be taken for that to
        the next question.
        """
        async with self._turn:
            kept, self._kept = self._kept, None
            if kept is not None and kept[0] is connection and not kept[1].is_closed:
                channel = kept[1]
            else:
                channel = await open_channel(connection, confirms=False)
            try:
                yield channel
            except BaseException:
                await channel.close()
                raise
            self._kept = connection, channel
