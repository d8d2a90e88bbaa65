"""`payproof demo`: everything embedded, and a simulated shopper through every gateway and every trouble.

In any case the two processes and their database are ended first. The exit code is 0 only if every story ended as it
should.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from worker.playground.demo.children import ChildError
from worker.playground.demo.lifetime import shortening
from worker.playground.demo.playing import StoryRow, play, staged
from worker.playground.demo.showing import Screen
from worker.playground.demo.stories import STORIES
from worker.playground.demo.system import System

AS_IT_SHOULD, OTHERWISE = 0, 1
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def play_demo(*, exit_after: bool) -> int:
    """Play every story and show how each ended; without `exit_after`, stay up until Ctrl-C. Returns the exit code."""
    screen = Screen()
    place = Path(tempfile.mkdtemp(prefix="payproof-demo-"))
    system = System(place)
    code, worth_reading = OTHERWISE, True
    try:
        code = asyncio.run(_play_all(system, screen, exit_after=exit_after))
        worth_reading = code != AS_IT_SHOULD
    except ChildError as error:
        screen.say(str(error), "bold red")
    except asyncio.CancelledError:
        screen.say("Interrupted.", "bold red")
        worth_reading = False
    finally:
        for sign in ENDING:  # a second signal must not interrupt the shutdown
            signal.signal(sign, signal.SIG_IGN)
        system.stop()
        if worth_reading:
            screen.say(f"The logs are in {place}: payproof.log and sandbox.log.")
        else:
            shutil.rmtree(place, ignore_errors=True)
    return code


async def _play_all(system: System, screen: Screen, *, exit_after: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    running = asyncio.current_task()
    assert running is not None, "this is a task"
    for sign in ENDING:
        loop.add_signal_handler(sign, running.cancel)
    screen.say("Starting the gateways and the service, with a database of their own ...")
    await asyncio.to_thread(system.start)
    began = time.monotonic()
    async with staged(system) as stage:
        with screen.progress(len(STORIES)) as progress:
            async with shortening(system) as shorten:
                playing = replace(stage, shorten=shorten)
                rows = await play(STORIES, playing, lambda _: progress.advance(progress.task_ids[0]))
        screen.results(rows)
        screen.held(rows)
        screen.verdict(rows, time.monotonic() - began)
        if not exit_after:
            await asyncio.to_thread(system.calm_down)
            screen.addresses(system)
            for sign in ENDING:
                loop.add_signal_handler(sign, stop.set)
            await stop.wait()
    return _code(rows)


def _code(rows: list[StoryRow]) -> int:
    return OTHERWISE if any(row.wrong for row in rows) else AS_IT_SHOULD
