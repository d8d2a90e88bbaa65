"""A sandbox that has sent thousands of messages answers as quickly as a new one: it reads only what is due."""

from __future__ import annotations

import time

import aiohttp

from tests.integration.sandboxes import SHADHINPAY
from tests.local_server import serving
from tests.processes import until
from worker.playground.sandbox.sandbox import SANDBOX, Sandbox
from worker.playground.sandbox.sandbox_app import make_app
from worker.playground.sandbox.sandbox_config import SandboxConfig
from worker.playground.sandbox.sessions import Session

MANY = 3_000


async def test_what_is_over_costs_a_call_nothing() -> None:
    app = make_app(SandboxConfig(seed=7))
    async with serving(app) as base, aiohttp.ClientSession(headers=SHADHINPAY) as http:
        sandbox = app[SANDBOX]
        sandbox.sessions.save(_paid("asked"))
        url = f"{base}/shadhinpay/payments/PAY_asked"
        new = await _steps(sandbox, http, url)
        with sandbox.state.transaction():
            for number in range(MANY):
                sandbox.sessions.save(_paid(str(number)))
                _is_over(sandbox, str(number))
        assert await _steps(sandbox, http, url) < 3 * new


async def _steps(sandbox: Sandbox, http: aiohttp.ClientSession, url: str) -> int:
    """How many steps SQLite takes for a call and for the look for due work that follows it."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    sandbox.state.db.set_progress_handler(count, 1)
    async with http.get(url) as answer:
        assert answer.status == 200
    await until(lambda: not sandbox.queued.is_set(), what="the look for due work")
    sandbox.state.db.set_progress_handler(None, 0)
    return steps


def _paid(name: str) -> Session:
    now = time.time()
    return Session(
        provider="shadhinpay",
        session_id=f"PAY_{name}",
        merchant="shop",
        reference=name,
        amount="100.00",
        currency="BDT",
        body={},
        created_at=now,
        expires_at=now - 1,
        status="paid",
    )


def _is_over(sandbox: Sandbox, reference: str) -> None:
    """A message that was sent, and a visit that was made."""
    sandbox.state.db.execute(
        "INSERT INTO deliveries (provider, reference, event_id, event_type, url, signed, body, due_at, state) "
        "VALUES ('shadhinpay', ?, ?, 'payment.completed', '', 1, '', 0, 'delivered')",
        (reference, reference),
    )
    sandbox.state.db.execute(
        "INSERT INTO scheduled (provider, reference, session_id, does, due_at, state) "
        "VALUES ('shadhinpay', ?, ?, 'visit', 0, 'done')",
        (reference, reference),
    )
