"""`payproof listen`: a shop's events sent on to a receiver on this machine, with nothing but an API key.

It reads `/v1/events` of any payproof, also of one in production, and signs as the role `deliver` does. The API key
comes from the environment and the webhook secret from a file: neither stands among the arguments of a process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from worker.cli.command_errors import WrongUsage
from worker.terminal_text import printable

if TYPE_CHECKING:
    from worker.cli.forwarding import Forwarding
    from worker.cli.listen_state import ListenState
    from worker.config.shop_access import ShopAccess

ENDING = (signal.SIGTERM, signal.SIGHUP)
RECEIVER = "http://127.0.0.1:9000/hooks/payproof"


def listen(
    *,
    forward_to: Annotated[str, Parameter(help=f"The receiver, such as {RECEIVER}.")],
    events: Annotated[
        tuple[str, ...],
        Parameter(
            help="Only these types, such as payment.completed; others are skipped for good. Without it, all.",
            negative=(),
            consume_multiple=True,
        ),
    ] = (),
    from_: Annotated[
        str | None,
        Parameter(name="--from", help="A cursor, newest or beginning; without it, where the last run ended."),
    ] = None,
    url: Annotated[str | None, Parameter(help="Payproof's address; without it, the configuration's.")] = None,
    allow_http: Annotated[bool, Parameter(help="Allow plain http to other machines.", negative=())] = False,
) -> int:
    """Send your events on to a receiver on this machine, signed, each until it is taken; Ctrl-C ends it.

    Needs an API key that may read events, in PAYPROOF_API_KEY; beside the configuration of `payproof init --sandbox`,
    its key is used. On a terminal, r sends the last event again. It goes on where it ended, so no event is lost; one
    may be sent twice.
    """
    from worker.config.shop_access import read_shop_access

    if url is not None:
        _expect_safe("--url", url, allow_http=allow_http)
    _expect_safe("--forward-to", forward_to, allow_http=allow_http)
    access, types = read_shop_access(os.environ, url), _types(events)
    _expect_safe("PAYPROOF_PUBLIC_URL", access.url, allow_http=allow_http)
    ended = list[int]()
    try:
        asyncio.run(_until_signal(_listen(access, forward_to, types, from_), ended))
    except asyncio.CancelledError:
        return 128 + ended[0]
    return 0


async def _until_signal(listening: Coroutine[None, None, None], ended: list[int]) -> None:
    """Run it. SIGTERM and SIGHUP cancel it, so that it leaves the terminal as it was; their number goes to `ended`."""
    task, loop = asyncio.ensure_future(listening), asyncio.get_running_loop()

    def end(sign: int) -> None:
        ended.append(sign)
        task.cancel()

    for sign in ENDING:
        loop.add_signal_handler(sign, end, sign)
    await task


async def _listen(access: ShopAccess, receiver: str, types: frozenset[str] | None, begin: str | None) -> None:
    import aiohttp

    from schemas.secret import Secret
    from worker.cli.event_feed import EventFeed
    from worker.cli.forwarding import Forwarding, sentence_printer
    from worker.cli.listen_beginning import BEGINNING, place_of, position_to_begin
    from worker.cli.listen_state import alone, opened, state_directory
    from worker.config.webhook_endpoints import Endpoint
    from worker.deliver.sender import sender

    console, directory, service = Console(highlight=False), state_directory(os.environ), access.url
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        sender(lambda: datetime.now(UTC), private=True) as sending,
    ):
        say = sentence_printer(console)
        feed = EventFeed(http, service, access.key, say)
        newest = await feed.newest()
        merchant, _ = place_of(newest)
        reader = f"{merchant} {receiver}"
        state = opened(directory, service, access.secret)
        _tell_secret(state)
        with alone(directory, f"{service} {reader}"):
            endpoint = Endpoint(
                id="listen", merchant=merchant, url=receiver, host="", secrets=(Secret(state.secret),), types=()
            )
            forwarding = Forwarding(feed, sending, endpoint, state, reader, types, console)
            position = await position_to_begin(begin, state, reader, newest, feed, say)
            state.keep(reader, position)
            where = {newest: "new ones as they come", "": "from the beginning of the log"}.get(
                position.cursor, "from where the last run ended" if begin is None else "from the cursor that was given"
            )
            print(f"events of {printable(merchant)} at {service} go to {receiver}, {where}")
            if types is not None:
                print(f"of these types alone, others are skipped for good: {', '.join(sorted(types))}")
            print(f"Ctrl-C ends it{'; r sends the last event again' if _foreground() else ''}.", flush=True)
            try:
                with _keys(forwarding):
                    await forwarding.run(position)
            finally:
                kept = state.position(reader)
                cursor = kept.cursor if kept is not None and kept.cursor else BEGINNING
                print(f"ended at the cursor {printable(cursor)}; payproof listen goes on from there", flush=True)


def _tell_secret(state: ListenState) -> None:
    from worker.config.env_file import NAME
    from worker.config.shop_access import WEBHOOK_SECRET

    if state.new:
        print(f"webhook secret: {state.secret}")
        print(f"Give it to your receiver. It is shown only now, and kept in {state.path}.")
    elif state.secret_in == NAME:
        print(f"webhook secret: {WEBHOOK_SECRET} of {NAME}")
    else:
        print(f"webhook secret: the same as before, in {state.path}")


def _expect_safe(option: str, url: str, *, allow_http: bool) -> None:
    """Raises WrongUsage, which does not repeat the URL: it may hold a password."""
    from worker.config.url_parts import is_loopback, split_url

    scheme, host = split_url(url)
    if not host:
        like = RECEIVER if option == "--forward-to" else "https://pay.shop.example"
        raise WrongUsage(f"{option}: is no http or https URL without user, password and fragment, such as {like}")
    if scheme == "http" and not is_loopback(host) and not allow_http:
        raise WrongUsage(
            f"{option}: buyers' data and the key would go to {host} without encryption; use https, or --allow-http"
        )


def _types(wanted: tuple[str, ...]) -> frozenset[str] | None:
    """None for all, with those that a newer payproof may add."""
    from schemas.words import EventType

    names = [name for one in wanted for name in one.split(",")]
    if unknown := sorted(set(names) - set(EventType) - {"payment.*"}):
        raise WrongUsage(f"--events: {', '.join(unknown)} is none of payment.*, {', '.join(EventType)}")
    return None if not names or "payment.*" in names else frozenset(names)


def _foreground() -> bool:
    """Whether the terminal's keys are ours: in the background, a program that sets its terminal is stopped."""
    if not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # it is not the terminal of our session, so it stops nobody
        return True


@contextmanager
def _keys(forwarding: Forwarding) -> Iterator[None]:
    """On a terminal, r sends again at once, without Enter."""
    if not _foreground():
        yield
        return
    import termios
    import tty

    terminal, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(terminal)

    def pressed() -> None:
        if _foreground() and b"r" in os.read(terminal, 64).lower():
            forwarding.send_again()

    tty.setcbreak(terminal)
    loop.add_reader(terminal, pressed)
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        if _foreground():  # else the shell has set it to its own
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
