"""`payproof events tail`: the event log as it grows, one JSON line each.

The one thing to get wrong: the bytes. They are printed as they were written, as subscribers get them.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from typing import Annotated

from cyclopts import App, Parameter

events = App(name="events", help="Read the event log.")

POLL_SECONDS = 1.0


@events.command
def tail(
    *,
    merchant: Annotated[str | None, Parameter(help="Needed where there are several.")] = None,
    since: Annotated[
        datetime | None, Parameter(help="Begin with events from then; without, with the next one.")
    ] = None,
    follow: bool = True,
) -> int:
    """Print events in the log's order, from --since on or from now, until Ctrl-C; --no-follow ends with the newest."""
    from worker.cli.configured import configuration, merchant_meant
    from worker.postgres.log import place_before, read
    from worker.process import opened_as_it_is

    async def run() -> None:
        config = configuration()
        whose = merchant_meant(config, merchant)
        async with opened_as_it_is(config) as database:
            after = await place_before(database, whose, since.astimezone() if since else None)
            while True:
                rows = await read(database, whose, after, 1000)
                for row in rows:
                    after = row["place"]
                    sys.stdout.write(row["body"].decode() + "\n")
                sys.stdout.flush()
                if not rows:
                    if not follow:
                        return
                    await asyncio.sleep(POLL_SECONDS)

    asyncio.run(run())
    return 0
