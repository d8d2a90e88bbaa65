"""Events of the feed sent to one receiver, one after the other, each until it is taken: nothing is passed over.

A position is stored once the receiver has answered 2xx. After a kill in between, that event is sent once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress

from rich.console import Console
from rich.text import Text

from worker.cli.event_feed import EventFeed, EventPage, LoggedEvent
from worker.cli.listen_state import ListenState, Position, Seen
from worker.config.webhook_endpoints import Endpoint
from worker.deliver.sender import Sender, SentAttempt
from worker.terminal_text import printable_line

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
LONGEST_BODY = 40
"""Lines of a refusal's body that are printed."""


class Forwarding:
    """`types` are the events that are sent, None for all; others are skipped. `reader` names the state's position."""

    def __init__(
        self,
        feed: EventFeed,
        sender: Sender,
        endpoint: Endpoint,
        state: ListenState,
        reader: str,
        types: Collection[str] | None,
        console: Console,
    ) -> None:
        self._feed, self._sender, self._endpoint, self._types = feed, sender, endpoint, types
        self._state, self._reader, self._console = state, reader, console
        self._last: LoggedEvent | None = None
        self._again, self._asked = asyncio.Event(), False

    def send_again(self) -> None:
        """Send the event that waits for its next attempt now; where none waits, the last one once more."""
        self._again.set()

    async def run(self, begin: Position) -> None:
        """Runs until it is cancelled. Raises CommandFailed."""
        position, seen = begin, begin.seen
        while True:
            page = await self._next_page(position.cursor)
            if page.events:
                seen = Seen(position.cursor, len(page.events), page.events[-1].id)
            for event in page.events:
                if event.id in position.taken or not (self._types is None or event.type in self._types):
                    continue
                await self._send_until_taken(event)
                position = Position(position.cursor, (*position.taken, event.id), seen)
                self._state.keep(self._reader, position)
            if page.next != position.cursor:
                position = Position(page.next, seen=seen)
                self._state.keep(self._reader, position)

    async def _next_page(self, cursor: str) -> EventPage:
        """Wait for the page behind the cursor. Meanwhile the last event is sent again whenever that is asked for."""
        reading = asyncio.ensure_future(self._feed.read(cursor or None))
        try:
            while not reading.done():
                pressed = asyncio.ensure_future(self._again.wait())
                await asyncio.wait((reading, pressed), return_when=asyncio.FIRST_COMPLETED)
                pressed.cancel()
                if self._again.is_set():
                    self._again.clear()
                    if self._last is None:
                        self._say("", "there is no event yet that could be sent again", "yellow")
                    else:
                        await self._attempt(self._last)
            return reading.result()
        finally:
            reading.cancel()

    async def _send_until_taken(self, event: LoggedEvent) -> None:
        self._last, pause = event, FIRST_PAUSE
        while not await self._attempt(event):
            self._say("", f"sent again in {pause:g} s", "yellow")
            self._again.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._again.wait()
            self._again.clear()
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _attempt(self, event: LoggedEvent) -> bool:
        """Send it once. Returns whether the receiver took it."""
        self._say("-->", f"{event.type} {event.id}", "bold")
        sent = await self._sender.send(self._endpoint, event.id, event.body)
        status = sent.response.status
        taken = status is not None and 200 <= status < 300
        self._say("<--", f"{sent.response.words} after {sent.seconds:.3f} s", "green" if taken else "red")
        if not taken:
            self._show_body(sent)
        if status == 401 and not self._asked:
            self._say("", f"does the receiver have the secret in {self._state.secret_in}?", "yellow")
            self._asked = True
        return taken

    def _show_body(self, sent: SentAttempt) -> None:
        for line in sent.began.decode(errors="replace").splitlines()[:LONGEST_BODY]:
            self._say("", f"| {line}", "dim")

    def _say(self, mark: str, words: str, style: str) -> None:
        line = Text.assemble(f"{mark:<4}", (words, style))
        self._console.print(printable_line(line), soft_wrap=True)


def sentence_printer(console: Console) -> Callable[[str], None]:
    """Returns a function that prints a sentence of the command's own, beside the lines of events."""
    return lambda words: console.print(printable_line(Text(words, "yellow")), soft_wrap=True)
