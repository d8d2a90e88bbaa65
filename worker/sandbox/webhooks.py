"""Sends what is queued: signs each attempt anew, tries six times with growing pauses, and goes on after a restart.

The one thing to get wrong: an attempt counts once it ended. A process killed in between sends that one again, as a
gateway that promises "at least once" would.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, web

from worker.sandbox.gateway import Gateway
from worker.sandbox.sandbox import SANDBOX, Sandbox

HTTP = web.AppKey("http", ClientSession)
AT_ONCE = 20
LONGEST_SLEEP = 1.0


async def sending(app: web.Application) -> AsyncIterator[None]:
    """For `app.cleanup_ctx`: the client and the task that sends, both ended with the app."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as http:
        app[HTTP] = http
        task = asyncio.create_task(_deliver(app[SANDBOX], http), name="sandbox-webhooks")
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def signed_headers(
    gateway: Gateway, body: bytes, event_id: str, event_type: str, *, at: int, attempt: int, secret: str | None = None
) -> dict[str, str]:
    secret = secret or gateway.config.credential(gateway.name, "webhook_secret")
    headers = gateway.event_headers(body, event_id, event_type, at=at, attempt=attempt, secret=secret)
    return {"Content-Type": "application/json", **headers}


async def post(http: ClientSession, url: str, body: bytes, headers: dict[str, str], *, seconds: float) -> int:
    """The receiver's HTTP status; 0 when there was none within the time."""
    try:
        async with http.post(
            url, data=body, headers=headers, allow_redirects=False, timeout=ClientTimeout(total=seconds)
        ) as response:
            return response.status
    except (ClientError, TimeoutError, OSError):
        return 0


async def _deliver(sandbox: Sandbox, http: ClientSession) -> None:
    flying: set[int] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            sandbox.queued.clear()
            sandbox.expire()
            for row in _due(sandbox, flying):
                flying.add(row["seq"])
                group.create_task(_attempt(sandbox, http, row, flying))
            with suppress(TimeoutError):
                async with asyncio.timeout(_until_next(sandbox, flying)):
                    await sandbox.queued.wait()


async def _attempt(sandbox: Sandbox, http: ClientSession, row: sqlite3.Row, flying: set[int]) -> None:
    try:
        attempt = row["attempts"] + 1
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if row["signed"]:
            gateway = sandbox.gateways[row["provider"]]
            headers = signed_headers(
                gateway, row["body"], row["event_id"], row["event_type"], at=int(time.time()), attempt=attempt
            )
        status = await post(http, row["url"], row["body"], headers, seconds=sandbox.config.webhook_timeout)
        _note(sandbox, row, attempt, status)
    finally:
        flying.discard(row["seq"])
        sandbox.queued.set()


def _note(sandbox: Sandbox, row: sqlite3.Row, attempt: int, status: int) -> None:
    missed = "due" if attempt < sandbox.config.webhook_attempts else "given_up"
    state = "delivered" if 200 <= status < 300 else missed
    due_at = time.time() + sandbox.config.webhook_base_delay * 2 ** (attempt - 1)
    sandbox.state.db.execute(
        "UPDATE deliveries SET attempts = ?, state = ?, due_at = ?, statuses = trim(statuses || ' ' || ?) "
        "WHERE seq = ?",
        (attempt, state, due_at, status, row["seq"]),
    )


def _due(sandbox: Sandbox, flying: set[int]) -> list[sqlite3.Row]:
    rows = sandbox.state.db.execute(
        "SELECT * FROM deliveries WHERE state = 'due' AND due_at <= ? ORDER BY due_at, seq LIMIT ?",
        (time.time(), AT_ONCE),
    ).fetchall()
    return [row for row in rows if row["seq"] not in flying][: AT_ONCE - len(flying)]


def _until_next(sandbox: Sandbox, flying: set[int]) -> float:
    """Seconds to sleep when nothing wakes us before."""
    rows = sandbox.state.db.execute(
        "SELECT seq, due_at FROM deliveries WHERE state = 'due' ORDER BY due_at LIMIT ?", (AT_ONCE + 1,)
    )
    waiting = [row["due_at"] - time.time() for row in rows if row["seq"] not in flying]
    return LONGEST_SLEEP if len(flying) >= AT_ONCE else max(0.0, min([LONGEST_SLEEP, *waiting]))
