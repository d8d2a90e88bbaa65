"""Running the shipped processes for a test, and waiting for their results: conditions with deadlines, never pauses."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.harness import QUICK, System

T = TypeVar("T")
LOOK_SECONDS = 0.02
UNTOLD = ("Traceback", "never retrieved", "was destroyed")
"""Python itself prints these for uncaught exceptions; they are no lines of our log."""


@contextmanager
def directory() -> Iterator[Path]:
    """A directory of its own. Not pytest's: the embedded server runs as another user, who must be able to enter."""
    place = Path(tempfile.mkdtemp(prefix="payproof-test-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def running(*, settings: str = QUICK, merchants: str = "", secret: str | None = None) -> Iterator[System]:
    """The sandbox and the service, started as a user would, and everything ended afterwards."""
    with directory() as place:
        system = System(place, settings=settings, merchants=merchants, secret=secret)
        system.start()
        try:
            yield system
        finally:
            system.stop()


def loud(log: str) -> list[str]:
    """The lines of a process's log, in JSON, that should wake a person."""
    return [
        line
        for line in log.splitlines()
        if _level(line) in ("error", "critical") or any(word in line for word in UNTOLD)
    ]


def _level(line: str) -> object:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said.get("level") if isinstance(said, dict) else None


async def until(look: Callable[[], Awaitable[T | None] | T | None], *, what: str, seconds: float = 60.0) -> T:
    """Call `look` until it returns a value, at once or after a wait. Fails with `what` in the message."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                looked = look()
                found = await looked if isinstance(looked, Awaitable) else looked
                if found is not None and found is not False:
                    return found
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds:g} s") from None


async def told_until_its_end(process: asyncio.subprocess.Process, seconds: float) -> tuple[bytes, bytes]:
    """What a process writes to its two pipes until it ends.

    It is killed where it has not ended by then; raises TimeoutError.
    """
    try:
        return await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
