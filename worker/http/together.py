"""Claims that come together are made durable together: what came while others were on their way goes as one.

The one thing to get wrong: whose failure it is. A bus that is away fails all of them alike; whatever else goes wrong is
one claim's doing, so they go one by one and only that one fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from consumers.bus import Bus, BusAway
from schemas.callbacks import Claim

AT_ONCE = 2
"""So many groups are on their way at a time. Over the queue in Postgres each takes a connection."""
LARGEST = 200

_Waiting = tuple[Claim, "asyncio.Future[None]"]


class Together:
    """`publish` returns when the claim is durable, as the bus's own does; those for later go when no others wait."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._now, self._later = deque[_Waiting](), deque[_Waiting]()
        self._groups: set[asyncio.Task[None]] = set()

    @property
    def in_line(self) -> int:
        """How many wait for their group to leave."""
        return len(self._now) + len(self._later)

    async def publish(self, claim: Claim, *, later: bool = False) -> None:
        """Make it durable. Raises BusAway."""
        durable = asyncio.get_running_loop().create_future()
        (self._later if later else self._now).append((claim, durable))
        if len(self._groups) < AT_ONCE:
            group = asyncio.create_task(self._go())
            self._groups.add(group)
            group.add_done_callback(self._groups.discard)
        await durable

    async def _go(self) -> None:
        while line := self._now or self._later:
            later = line is self._later
            await self._publish([line.popleft() for _ in range(min(LARGEST, len(line)))], later)

    async def _publish(self, group: Sequence[_Waiting], later: bool) -> None:
        try:
            await self._bus.publish([claim for claim, _ in group], later=later)
        except Exception as error:  # noqa: BLE001 - it is raised again where each of them waits
            if len(group) > 1 and not isinstance(error, BusAway):
                for one in group:
                    await self._publish([one], later)
                return
            for _, durable in group:
                if not durable.done():  # whoever waited may have gone
                    durable.set_exception(error)
        else:
            for _, durable in group:
                if not durable.done():
                    durable.set_result(None)
        finally:
            for _, durable in group:
                durable.cancel()  # we end; nobody knows whether it is durable
