"""The sandbox's one background task: sends the webhooks that are due, and does the scheduled work.

A row is due until its work is done, so `flying` excludes the rows in progress.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from aiohttp import ClientSession, DummyCookieJar, web

from worker.playground.sandbox import scheduled, send_webhook
from worker.playground.sandbox.sandbox import SANDBOX, Sandbox
from worker.runtime.cancellation import end_one

HTTP = web.AppKey("http", ClientSession)
AT_ONCE = 40
LONGEST_SLEEP = 1.0

Deal = Callable[[Sandbox, ClientSession, sqlite3.Row], Awaitable[None]]
Row = tuple[str, int]
DEALS: dict[str, Deal] = {"deliveries": send_webhook.attempt, "scheduled": scheduled.carry_out}


async def working(app: web.Application) -> AsyncIterator[None]:
    """For `app.cleanup_ctx`: the client and the task, both ended with the app."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as http:
        app[HTTP] = http
        task = asyncio.create_task(_work(app[SANDBOX], http), name="sandbox-background")
        yield
        await end_one(task)


async def _work(sandbox: Sandbox, http: ClientSession) -> None:
    flying: set[Row] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            sandbox.queued.clear()
            sandbox.expire()
            for table in DEALS:
                for row in _due(sandbox, table, flying):
                    flying.add((table, row["seq"]))
                    group.create_task(_deal(sandbox, http, table, row, flying))
            with suppress(TimeoutError):
                async with asyncio.timeout(_until_next(sandbox, flying)):
                    await sandbox.queued.wait()


async def _deal(sandbox: Sandbox, http: ClientSession, table: str, row: sqlite3.Row, flying: set[Row]) -> None:
    try:
        await DEALS[table](sandbox, http, row)
    finally:
        flying.discard((table, row["seq"]))
        sandbox.queued.set()


def _due(sandbox: Sandbox, table: str, flying: set[Row]) -> list[sqlite3.Row]:
    rows = sandbox.state.db.execute(
        f"SELECT * FROM {table} WHERE state = 'due' AND due_at <= ? ORDER BY due_at, seq LIMIT ?",  # noqa: S608 - ours
        (time.time(), AT_ONCE),
    ).fetchall()
    return [row for row in rows if (table, row["seq"]) not in flying][: max(0, AT_ONCE - len(flying))]


def _until_next(sandbox: Sandbox, flying: set[Row]) -> float:
    """Seconds to sleep when no signal comes before."""
    if len(flying) >= AT_ONCE:
        return LONGEST_SLEEP
    waiting = [LONGEST_SLEEP]
    for table in DEALS:
        rows = sandbox.state.db.execute(
            f"SELECT seq, due_at FROM {table} WHERE state = 'due' ORDER BY due_at, seq LIMIT ?",  # noqa: S608 - ours
            (AT_ONCE + 1,),
        )
        waiting += [row["due_at"] - time.time() for row in rows if (table, row["seq"]) not in flying]
    return max(0.0, min(waiting))
