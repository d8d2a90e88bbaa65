"""Sending one message: signed anew for each attempt, tried six times with growing pauses.

An attempt counts once it ended. A process killed in between sends the message again, as a gateway that promises "at
least once" would.
"""

from __future__ import annotations

import sqlite3
import time

from aiohttp import ClientError, ClientSession, ClientTimeout

from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.simulated_gateway import SimulatedGateway


def signed_request(
    gateway: SimulatedGateway,
    body: bytes,
    event_id: str,
    event_type: str,
    *,
    at: int,
    attempt: int,
    secret: str | None = None,
) -> tuple[bytes, dict[str, str]]:
    """The body and headers of one attempt; `secret` is a forger's, None for the gateway's own."""
    secret = secret or gateway.secret()
    return gateway.event_request(body, event_id, event_type, at=at, attempt=attempt, secret=secret)


async def post_webhook(http: ClientSession, url: str, body: bytes, headers: dict[str, str], *, seconds: float) -> int:
    """The receiver's HTTP status; 0 when there was none within the time."""
    try:
        async with http.post(
            url, data=body, headers=headers, allow_redirects=False, timeout=ClientTimeout(total=seconds)
        ) as response:
            return response.status
    except (ClientError, TimeoutError, OSError):
        return 0


async def attempt(sandbox: Sandbox, http: ClientSession, row: sqlite3.Row) -> None:
    """Make one attempt of a due delivery, and store its result."""
    number = row["attempts"] + 1
    body, headers = row["body"], {"Content-Type": "application/x-www-form-urlencoded"}
    if row["signed"]:
        body, headers = signed_request(
            sandbox.gateways[row["provider"]],
            row["body"],
            row["event_id"],
            row["event_type"],
            at=int(time.time() - row["backdated"]),
            attempt=number,
            secret=row["secret"],
        )
    status = await post_webhook(http, row["url"], body, headers, seconds=sandbox.config.webhook_timeout)
    _note(sandbox, row, number, status)


def _note(sandbox: Sandbox, row: sqlite3.Row, attempt: int, status: int) -> None:
    most = row["most_attempts"] or sandbox.config.webhook_attempts
    missed = "due" if attempt < most else "given_up"
    state = "delivered" if 200 <= status < 300 else missed
    due_at = time.time() + sandbox.config.webhook_base_delay * 2 ** (attempt - 1)
    sandbox.state.db.execute(
        "UPDATE deliveries SET attempts = ?, state = ?, due_at = ?, statuses = trim(statuses || ' ' || ?) "
        "WHERE seq = ?",
        (attempt, state, due_at, status, row["seq"]),
    )
