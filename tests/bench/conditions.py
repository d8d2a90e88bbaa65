"""Conditions that a shop also meets: slow gateways, an old snapshot held by a nightly dump, and a standby.

The standby is simulated with `commit_delay`, since there is no second server. The backend that writes the WAL waits
first, always, because `commit_siblings` is 0 (PostgreSQL's manual). A commit that arrives during that wait is written
with it and waits only for the rest; a real standby would make each commit wait the whole time. Two such waits never
overlap, where waits for a standby do. So a client that commits alone waits the whole delay. Many clients together wait
a little less than for a real standby, and reach a rate that is a little lower.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
from msgspec import Struct

from tests.bench.delays import Delays

STANDBY_SECONDS = 0.01
"""The round trip to another data centre of the same region, and the write there."""


class Under(Struct, frozen=True, kw_only=True):
    """How the conditions of a measurement differ from the usual ones; as text, the differences in words.

    `delays` are the gateways'. `standby`: commits wait for a standby this many seconds away. `snapshot`: an old
    snapshot is held open.
    """

    delays: Delays | None = None
    standby: float = 0.0
    snapshot: bool = False

    def __str__(self) -> str:
        parts = [] if self.delays is None else [str(self.delays)]
        if self.standby:
            parts.append(f"a standby {self.standby * 1000:g} ms away")
        if self.snapshot:
            parts.append("an old snapshot held")
        return ", ".join(parts)

    @asynccontextmanager
    async def upon(self, url: str) -> AsyncIterator[None]:
        """While the block runs, the database has the standby and the snapshot.

        The gateways' delays are set elsewhere.
        """
        async with AsyncExitStack() as stack:
            if self.standby:
                await stack.enter_async_context(standby_away(url, self.standby))
            if self.snapshot:
                await stack.enter_async_context(old_snapshot(url))
            yield


USUAL = Under()


def add_options(parser: ArgumentParser) -> None:
    """Add the options that `under` reads."""
    parser.add_argument(
        "--delays",
        type=float,
        nargs="+",
        metavar="SECONDS",
        help="seconds that the gateways take: one value, or the least and the most, such as 0.2 5",
    )
    parser.add_argument(
        "--standby", type=float, default=0.0, metavar="MILLISECONDS", help="round trip to the standby, such as 10"
    )
    parser.add_argument("--snapshot", action="store_true", help="with an old snapshot held open, as by a dump")


def under(parser: ArgumentParser, words: Namespace) -> Under:
    """The conditions that the options ask for. Ends the program when the options are impossible."""
    delays = None
    if words.delays is not None:
        least, most = min(words.delays), max(words.delays)
        if len(words.delays) > 2 or least < 0:
            parser.error("--delays: one number of seconds, or the least and the most")
        delays = Delays(least=least, most=most)
    return Under(delays=delays, standby=words.standby / 1000, snapshot=words.snapshot)


@asynccontextmanager
async def old_snapshot(url: str) -> AsyncIterator[None]:
    """While the block runs, rows that were visible at its beginning are kept, even when they are dead."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetch("SELECT 1")  # the snapshot is taken by the first statement
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def standby_away(url: str, seconds: float = STANDBY_SECONDS) -> AsyncIterator[None]:
    """While the block runs, new connections to the database wait this long before they write a commit."""
    connection = await asyncpg.connect(url)
    try:
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(f"ALTER DATABASE {name} SET commit_siblings = 0")
        await connection.execute(f"ALTER DATABASE {name} SET commit_delay = {round(seconds * 1e6)}")  # microseconds
        try:
            yield
        finally:
            await connection.execute(f"ALTER DATABASE {name} RESET commit_delay")
            await connection.execute(f"ALTER DATABASE {name} RESET commit_siblings")
    finally:
        await connection.close()
