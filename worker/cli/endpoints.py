"""Endpoints as a table, and the progress of a replay.

If nothing is sent for a while, the likely reason is printed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from worker.cli.command_errors import CommandFailed
from worker.cli.list_output import LISTED, ListOptions, Record
from worker.config.webhook_endpoints import Endpoint
from worker.postgres.database import Database
from worker.postgres.events.endpoint_rows import EndpointOverview, list_endpoints
from worker.postgres.events.orphans import MovedDeliveries, Orphan
from worker.postgres.events.replay import Progress as Done
from worker.postgres.events.replay import Replay, replay_progress
from worker.terminal_text import lasted, print_whole

MANY = 20
LOOK_SECONDS = 1.0
QUIET_SECONDS = 10.0
STALLED_SECONDS = 60.0
NOBODY = "A running `payproof serve` with the role deliver sends them; is there one?"
COLUMNS = ("endpoint", "merchant", "waiting", "given up", "last delivered", "state", "url")
ENDPOINT_COLUMNS = (
    *("id", "configured_id", "merchant", "url", "configured", "waiting", "given_up", "ahead", "failures"),
    *("shut_until", "disabled_at", "delivered_at"),
)


def endpoint_records(configured: Sequence[Endpoint], known: Sequence[EndpointOverview]) -> list[Record]:
    """Each endpoint under ENDPOINT_COLUMNS: the configured, and others for which deliveries still wait."""
    found, ids = {one.id: one for one in known}, {endpoint.id for endpoint in configured}
    records = [_record(found.get(one.id), one.id, one.configured_id, one.merchant, one.url) for one in configured]
    left = [one for one in known if one.id not in ids and one.waiting]
    return records + [_record(one, one.id, None, one.merchant, one.url, configured=False) for one in left]


def print_endpoints(
    configured: Sequence[Endpoint], found: Sequence[EndpointOverview], now: datetime, listed: ListOptions
) -> None:
    """A row for each configured endpoint, and for others for which deliveries still wait."""
    known = {one.id: one for one in found}
    ids = {endpoint.id for endpoint in configured}
    rows: list[tuple[str, ...]] = []
    for endpoint in configured:
        one = known.get(endpoint.id)
        if one is None:
            state = "new: gets what happens once a `payproof serve` saw it"
            rows.append((endpoint.label, endpoint.merchant, "0", "0", "never", state, endpoint.url))
        else:
            rows.append((endpoint.label, *_row(one, state_of(one, now, listed), now)[1:-1], endpoint.url))
    orphaned = "not configured: nothing sends what waits; see payproof webhooks move"
    rows += [_row(one, orphaned, now) for one in found if one.id not in ids and one.waiting]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, no_wrap=True, justify="right" if name in ("waiting", "given up") else "left")
    for row in rows:
        table.add_row(*row)
    if print_whole(table):
        return
    console = Console(highlight=False)
    for endpoint_id, merchant, waiting, given_up, last, state, url in rows:
        first = f"{endpoint_id}  {merchant}  {waiting} waiting, {given_up} given up; last delivered {last}"
        console.print(f"{first}\n    {state}\n    {url}", markup=False, soft_wrap=True)


def state_of(one: EndpointOverview, now: datetime, listed: ListOptions = LISTED) -> str:
    health = one.health
    if health.disabled_at is not None:
        since = f"{listed.time(health.disabled_at)} {listed.tz}"
        return f"disabled since {since}, as it answered 410; payproof webhooks enable {one.id}"
    if health.probing:
        wait = f"in {lasted(health.shut_until - now)}" if health.shut_until and health.shut_until > now else "now"
        return f"shut after {health.failures} failures in a row; one delivery tries it {wait}"
    if health.failures:
        return f"open, {health.failures} failures in a row" if health.failures > 1 else "open, 1 failure"
    return "open"


def print_moved(old: Orphan, new: Endpoint, moved: MovedDeliveries) -> None:
    print(f"{moved.moved} events that waited for {old.id} are due to {new.label} at {new.host}")
    if moved.had:
        print(f"{moved.had} more are its own deliveries already")
    if moved.missed:
        print(f"{moved.missed} events that came after these were sent to neither; it gets them too")
    if moved.unwanted:
        print(f"{moved.unwanted} are of types that it does not want: payproof webhooks drop {old.id} gives them up")


async def follow_replay(database: Database, replay: Replay) -> int:
    """Wait until each event was tried, and print the result. Returns the exit code. Raises CommandFailed."""
    console = Console(stderr=True, highlight=False)
    hidden = replay.events <= MANY or not console.is_terminal
    columns = (TextColumn("events"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=hidden, transient=True) as progress:
        bar = progress.add_task("events", total=replay.events)
        tried, moved, quiet = 0, time.monotonic(), False
        while True:
            done = await replay_progress(database, replay)
            progress.update(bar, completed=done.tried)
            if not done.left:
                break
            if done.tried != tried:
                tried, moved, quiet = done.tried, time.monotonic(), False
            still = time.monotonic() - moved
            if still > QUIET_SECONDS and not quiet:
                quiet = True
                if why := await _closed(database, replay):
                    raise CommandFailed(f"{_so_far(replay, done)}; {why}. The rest stays due")
                console.print(f"nothing was sent for {still:.0f} s. {NOBODY}", soft_wrap=True)
            if still > STALLED_SECONDS:
                raise CommandFailed(f"{_so_far(replay, done)}; the rest stays due. {NOBODY}")
            await asyncio.sleep(LOOK_SECONDS)
    print(_so_far(replay, done))
    return 0 if done.delivered == replay.events else 1


def _so_far(replay: Replay, done: Done) -> str:
    failed = done.tried - done.delivered
    again = f", {failed} not yet: they are sent again on their schedule" if failed else ""
    return f"{done.delivered} of {replay.events} delivered{again}"


async def _closed(database: Database, replay: Replay) -> str | None:
    """Why nothing is sent to the endpoint; None where it is open."""
    (one,) = [one for one in await list_endpoints(database) if one.id == replay.endpoint]
    if one.health.disabled_at or one.health.probing:
        return f"the endpoint is {state_of(one, database.clock.now())}"
    return None


def _row(one: EndpointOverview, state: str, now: datetime) -> tuple[str, ...]:
    last = f"{lasted(now - one.delivered_at)} ago" if one.delivered_at else "never"
    ahead = f", and {one.ahead} events came since" if one.health.disabled_at and one.ahead else ""
    return one.id, one.merchant, str(one.waiting), str(one.given_up), last, state + ahead, one.url


def _record(
    one: EndpointOverview | None,
    endpoint_id: str,
    configured_id: str | None,
    merchant: str,
    url: str,
    *,
    configured: bool = True,
) -> Record:
    head = {
        "id": endpoint_id,
        "configured_id": configured_id,
        "merchant": merchant,
        "url": url,
        "configured": configured,
    }
    if one is None:
        return head | {"waiting": 0, "given_up": 0, "ahead": 0, "failures": 0}
    health = {name: getattr(one.health, name) for name in ("failures", "shut_until", "disabled_at")}
    return head | {name: getattr(one, name) for name in ("waiting", "given_up", "ahead", "delivered_at")} | health
