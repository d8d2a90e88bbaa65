"""`payproof events`: the log as it grows, one JSON line each; and one event sent to its endpoints again.

Events are printed as the bytes that were written, as subscribers get them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.cli.commanded import commanded
from worker.runtime.durations import read_duration

if TYPE_CHECKING:
    from worker.postgres.database import Database

events = App(name="events", help="Read the event log; send an event again.")

POLL_SECONDS = 1.0
PAGE = 1000
LONGEST_SECONDS = 36_500 * 86_400


@events.command
def tail(
    *,
    merchant: Annotated[str | None, Parameter(help="Needed where there are several.")] = None,
    since: Annotated[
        str | None,
        Parameter(help="Begin with events from a time on, or so long ago: 2026-11-20, 2h. Without, with the next one."),
    ] = None,
    follow: Annotated[bool, Parameter(help="Wait for new events until Ctrl-C, or end after the newest.")] = True,
) -> int:
    """Print events in the log's order, from --since on or from now, and follow the log until Ctrl-C.

    --no-follow ends by itself, after the newest event; it needs --since to have something to print.
    """
    from worker.cli.configured import configuration, merchant_meant
    from worker.postgres.events.event_log import newest_position, position_before
    from worker.postgres.events.old_events import log_floor, missing_since
    from worker.postgres.server.opened import opened_as_it_is

    begin = None if since is None else read_since(since)
    interrupt = _Interrupt()

    async def run() -> None:
        interrupt.ends(asyncio.current_task())
        config = configuration()
        whose = merchant_meant(config, merchant)
        async with opened_as_it_is(config) as database:
            if begin is None:
                after = await newest_position(database, whose)
            else:
                moment = begin if isinstance(begin, datetime) else database.clock.now() - begin
                after = await position_before(database, whose, moment)
                if words := missing_since(await log_floor(database, whose), moment):
                    print(words, file=sys.stderr)
            if not follow and begin is None:
                print("nothing is newer than now; --since 1h prints the last hour's events", file=sys.stderr)
            if follow and sys.stderr.isatty():
                print("follows the log: each new event is printed as it comes; Ctrl-C ends it", file=sys.stderr)
            await _print(database, whose, after, interrupt, follow=follow)

    try:
        asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    return 0


@events.command
def resend(
    event: Annotated[str, Parameter(help="The event's id, as pay_….2.")],
    *,
    endpoint: Annotated[str | None, Parameter(help="The id or URL of one endpoint; else all that want it.")] = None,
) -> int:
    """Send one event to its merchant's endpoints again, delivered or not. A running `serve` sends it."""
    from worker.cli.configured import configuration
    from worker.cli.meant_endpoint import meant_endpoint
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.events.endpoint_rows import known_endpoints
    from worker.postgres.events.event_log import whose_event
    from worker.postgres.events.resend import resend as send_again
    from worker.postgres.server.opened import opened_as_it_is

    config = configuration()

    async def run() -> int:
        async with opened_as_it_is(config) as database:
            found = await whose_event(database, event)
            if found is None:
                raise CommandFailed(f"there is no event {event}")
            merchant, kind = found
            if endpoint is None:
                configured = await known_endpoints(database, endpoints_of(config))
                meant = [one for one in configured if one.merchant == merchant and kind in one.types]
            else:
                meant = [await meant_endpoint(config, endpoint, database)]
            payment_id = event.rpartition(".")[0] or None
            record = commanded("event.resent", merchant=merchant, payment_id=payment_id, subject=event)
            sent = [one for one in meant if await send_again(database, one.id, event, record)]
            for one in sent:
                print(f"{event} is due to {one.label} at {one.host}; a running `payproof serve` sends it")
            if not sent:
                raise CommandFailed(f"no endpoint of {merchant} that `payproof serve` has begun with gets {event}")
        return 0

    return asyncio.run(run())


class _Interrupt:
    """Ctrl-C during a command: it ends a write that no process reads at once, and cancels all other work.

    KeyboardInterrupt is raised in a write alone. Raised anywhere else it may meet a callback that swallows it, and the
    command would go on. Pressed again, it is raised anywhere: then something waits that cancelling does not reach, such
    as a name's resolution.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._writing = self.pressed = False

    def ends(self, task: asyncio.Task[None] | None) -> None:
        """From now on Ctrl-C ends this task, in place of its former effect."""
        self._task = task
        signal.signal(signal.SIGINT, self._press)

    def _press(self, *_: object) -> None:
        again, self.pressed = self.pressed, True
        if self._writing or again:
            raise KeyboardInterrupt
        if self._task is not None and not self._task.done():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def write(self, line: bytes) -> None:
        """Write to stdout, past Python's buffer: that is written at the end, even to a pipe that is not read.

        After Ctrl-C it writes no more. Ctrl-C in the middle raises KeyboardInterrupt.
        """
        left = memoryview(line)
        self._writing = True
        try:
            while left and not self.pressed:
                left = left[os.write(sys.stdout.fileno(), left) :]
        finally:
            self._writing = False


def read_since(text: str) -> datetime | timedelta:
    """The time, in this machine's zone where it names none, or how long ago. Raises WrongUsage."""
    seconds = read_duration(text)
    if seconds is not None and seconds <= LONGEST_SECONDS:
        return timedelta(seconds=seconds)
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        wanted = "a time such as 2026-11-20 or 2026-11-20T09:30:00+06:00, or how long ago, such as 30m, 2h or 7d"
        raise WrongUsage(f"--since: {text} is not {wanted}") from None


async def _print(database: Database, merchant: str, after: int, interrupt: _Interrupt, *, follow: bool) -> None:
    """Print the events after the position `after`. Raises KeyboardInterrupt after Ctrl-C.

    Raises BrokenPipeError when the pipe's reader has gone, also while there is nothing to print.
    """
    from worker.postgres.events.event_log import read

    while not interrupt.pressed:
        rows = await read(database, merchant, after, PAGE)
        for row in rows:
            after = row["place"]
            interrupt.write(row["body"] + b"\n")
        if rows:
            continue
        if not follow:
            return
        await asyncio.sleep(POLL_SECONDS)
        _look_for_reader()
    raise KeyboardInterrupt


def _look_for_reader() -> None:
    """Raise BrokenPipeError where the pipe's reader has gone. A pipe tells it only to a write or a poll."""
    asking = select.poll()
    asking.register(sys.stdout.fileno(), 0)
    if any(state & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, state in asking.poll(0)):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
