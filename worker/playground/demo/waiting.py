"""Waiting for a condition that nothing announces: it is checked repeatedly, until a deadline.

A story always waits for a visible condition, and never pauses for a fixed time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

UNTIL_SECONDS = 40.0
LOOK_SECONDS = 0.1


class Otherwise(Exception):
    """The story did not go as it should; the message is shown in its row."""


async def until(holds: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    """Wait until `holds` returns true. Raises Otherwise with the given text."""
    try:
        async with asyncio.timeout(UNTIL_SECONDS):
            while not await holds():  # noqa: ASYNC110 - what is waited for can only be asked about
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise Otherwise(f"{otherwise} within {UNTIL_SECONDS:g} s") from None
