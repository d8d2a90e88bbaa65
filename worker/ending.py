"""Ending tasks that were begun: cancelled, and waited for.

The one thing to get wrong: once. In Python 3.11 a cancellation that meets the end of a call under `asyncio.wait_for` is
swallowed there, and a loop that made the call goes on as if nothing had been said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

CANCEL_AGAIN_SECONDS = 1.0


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them until all have ended."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
