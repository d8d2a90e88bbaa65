"""What a shop also bears: slow gateways, a snapshot that a nightly dump holds, and a standby that commits wait for.

The one thing to get wrong: taking the last for the real thing. There is no second server: `commit_delay` makes who
writes the WAL out wait first, as PostgreSQL's manual has it, and with `commit_siblings` of nought always. A commit that
comes during that wait is written out with it and waits only for the rest, where a standby's word would take each of
them the whole time; and two waits are never at once, where those for a standby overlap. So whoever commits once at a
time feels it in full, and crowds of commits a little less in time and a little more in rate than of a real one.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
from msgspec import Struct

from tests.bench.delays import Delays

STANDBY_SECONDS = 0.01
"""Of a round trip to another data centre of the same region, and the write there."""


class Under(Struct, frozen=True, kw_only=True):
    """What is otherwise than a measurement has it by itself, where it is given; as text it is that in words.

    `delays` are the gateways'. Commits wait for a standby that is `standby` seconds away. `snapshot`: somebody holds an
    old one.
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
        """While the block runs, the database bears what is asked of it; the gateways' delays are theirs to take."""
        async with AsyncExitStack() as stack:
            if self.standby:
                await stack.enter_async_context(standby_away(url, self.standby))
            if self.snapshot:
                await stack.enter_async_context(old_snapshot(url))
            yield


USUAL = Under()


def add_options(parser: ArgumentParser) -> None:
    """Those that `under` reads."""
    parser.add_argument(
        "--delays",
        type=float,
        nargs="+",
        metavar="SECONDS",
        help="how long the gateways take: each as long, or spread from the least to the most, as 0.2 5",
    )
    parser.add_argument("--standby", type=float, default=0.0, metavar="MILLISECONDS", help="how far away one is; 10")
    parser.add_argument("--snapshot", action="store_true", help="with an old snapshot held open, as by a dump")


def under(parser: ArgumentParser, words: Namespace) -> Under:
    """What the options say. Ends the program where they cannot be."""
    delays = None
    if words.delays is not None:
        least, most = min(words.delays), max(words.delays)
        if len(words.delays) > 2 or least < 0:
            parser.error("--delays: one number of seconds, or the least and the most")
        delays = Delays(least=least, most=most)
    return Under(delays=delays, standby=words.standby / 1000, snapshot=words.snapshot)


@asynccontextmanager
async def old_snapshot(url: str) -> AsyncIterator[None]:
    """While the block runs, what it could have seen of the database at its beginning is kept, dead rows and all."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetch("SELECT 1")  # the snapshot is taken by the first statement
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def standby_away(url: str, seconds: float = STANDBY_SECONDS) -> AsyncIterator[None]:
    """While the block runs, those who connect to the database wait so long before they write their commits out."""
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
