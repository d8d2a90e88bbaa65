"""`payproof listen`: a shop's events sent on to a receiver on this machine, with nothing but an API key.

It reads `/v1/events` of any payproof, also of one in production, and signs as the role `deliver` does. The API key
comes from the environment and the webhook secret from a file: neither stands among the arguments of a process.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from worker.cli.command_errors import WrongUsage

if TYPE_CHECKING:
    from worker.cli.forwarding import Forwarding
    from worker.cli.listen_state import ListenState, Position

KEY = "PAYPROOF_API_KEY"
BEGINNING, NEWEST = "beginning", "newest"


def listen(
    *,
    forward_to: Annotated[str, Parameter(help="Where the receiver listens, as http://127.0.0.1:3000/hooks/payproof.")],
    events: Annotated[
        tuple[str, ...], Parameter(help="Send these types alone, as payment.completed; all, unless given.", negative=())
    ] = (),
    from_: Annotated[
        str | None,
        Parameter(name="--from", help="A cursor, newest or beginning; without it, where the last run ended."),
    ] = None,
    url: Annotated[str, Parameter(help="Where payproof is.", env_var="PAYPROOF_URL")] = "http://127.0.0.1:8080",
) -> int:
    """Send your events on to a receiver on this machine, signed, each until it is taken; Ctrl-C ends it.

    Needs an API key that may read events, in PAYPROOF_API_KEY. On a terminal, r sends the last event again. It goes on
    where it ended, so no event is lost; one may be sent twice.
    """
    key = os.environ.get(KEY, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise WrongUsage(f"{KEY}: set it to an API key that may read events")
    service, receiver = _address("--url", url).rstrip("/"), _address("--forward-to", forward_to)
    asyncio.run(_listen(service, receiver, key, _types(events), from_))
    return 0


async def _listen(service: str, receiver: str, key: str, types: frozenset[str], begin: str | None) -> None:
    import aiohttp

    from schemas.secret import Secret
    from worker.api.cursors import read_cursor
    from worker.cli.event_feed import EventFeed
    from worker.cli.forwarding import Forwarding, said_to
    from worker.cli.listen_state import alone, opened, state_directory
    from worker.config.webhook_endpoints import Endpoint
    from worker.deliver.sender import sender

    console, directory = Console(highlight=False), state_directory(os.environ)
    _warn(console, service)
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        sender(lambda: datetime.now(UTC), private=True) as sending,
    ):
        feed = EventFeed(http, service, key, said_to(console))
        newest = await feed.newest()
        merchant = read_cursor(newest).partition(".")[0]
        reader = f"{merchant} {receiver}"
        state = opened(directory, service)
        with alone(directory, f"{service} {reader}"):
            endpoint = Endpoint(
                id="listen", merchant=merchant, url=receiver, host="", secrets=(Secret(state.secret),), types=()
            )
            forwarding = Forwarding(feed, sending, endpoint, state, reader, types, console)
            position = _begin(begin, state.position(reader), newest)
            state.keep(reader, position)
            _greet(state, merchant, service, receiver, resumed=begin is None and position.cursor != newest)
            try:
                with _keys(forwarding):
                    await forwarding.run(position)
            finally:
                kept = state.position(reader)
                cursor = kept.cursor if kept is not None and kept.cursor else BEGINNING
                print(f"ended at the cursor {cursor}; payproof listen goes on from there", flush=True)


def _begin(asked: str | None, kept: Position | None, newest: str) -> Position:
    from worker.cli.listen_state import Position

    if asked is None:
        return kept or Position(newest)
    return Position({NEWEST: newest, BEGINNING: ""}.get(asked, asked))


def _greet(state: ListenState, merchant: str, service: str, receiver: str, *, resumed: bool) -> None:
    if state.new:
        print(f"webhook secret: {state.secret}")
        print(f"Give it to your receiver. It is shown only now, and kept in {state.path}.")
    else:
        print(f"webhook secret: the same as before, in {state.path}")
    where = "from where the last run ended" if resumed else "new ones as they come"
    print(f"events of {merchant} at {service} go to {receiver}, {where}")
    keys = "; r sends the last event again" if sys.stdin.isatty() else ""
    print(f"Ctrl-C ends it{keys}.", flush=True)


def _warn(console: Console, service: str) -> None:
    from worker.config.url_parts import is_loopback, split_url

    scheme, host = split_url(service)
    if scheme == "http" and not is_loopback(host):
        console.print(f"!! the API key goes to {host} without encryption; use https", style="yellow", soft_wrap=True)


def _address(option: str, url: str) -> str:
    """The URL. Raises WrongUsage, which does not repeat it: it may hold a password."""
    from worker.config.url_parts import split_url

    if not split_url(url)[1]:
        raise WrongUsage(f"{option}: is no http or https URL without user, password and fragment")
    return url


def _types(wanted: tuple[str, ...]) -> frozenset[str]:
    from schemas.words import EventType

    names = [name for one in wanted for name in one.split(",")]
    if unknown := sorted(set(names) - set(EventType) - {"payment.*"}):
        raise WrongUsage(f"--events: {', '.join(unknown)} is none of payment.*, {', '.join(EventType)}")
    return frozenset(EventType) if not names or "payment.*" in names else frozenset(names)


@contextmanager
def _keys(forwarding: Forwarding) -> Iterator[None]:
    """On a terminal, r sends again at once, without Enter."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    terminal, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(terminal)

    def pressed() -> None:
        if b"r" in os.read(terminal, 64).lower():
            forwarding.send_again()

    tty.setcbreak(terminal)
    loop.add_reader(terminal, pressed)
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
