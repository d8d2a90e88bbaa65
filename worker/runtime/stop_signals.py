"""SIGTERM and SIGINT, from the first moment of a process on: one that comes before the event loop is kept for it."""

from __future__ import annotations

import asyncio
import signal
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Takes both signals over when it is made, in the main thread."""

    def __init__(self) -> None:
        self._came = False
        for sign in _SIGNALS:
            signal.signal(sign, self._keep)

    def set(self, stop: asyncio.Event) -> None:
        """Have the running loop set `stop` at a signal. Sets it at once if one came before."""
        for sign in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(sign, stop.set)
        if self._came:
            stop.set()

    def _keep(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
