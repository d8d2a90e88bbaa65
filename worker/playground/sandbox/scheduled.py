"""What the sandbox does later by itself: visit an address as a browser would, pay a checkout again, refund money.

It waits in real time, like webhooks, whatever the sandbox's clock says. The work is stored in the state, so it survives
a restart.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Literal
from urllib.parse import urlencode

from aiohttp import ClientError, ClientSession, ClientTimeout

from worker.playground.sandbox.announcing import announce_happening
from worker.playground.sandbox.money_back import give_back
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Impossible, SimulatedGateway, WayBack

Does = Literal["visit", "pay_again", "give_back", "approve"]


def schedule(gateway: SimulatedGateway, session: Session, does: Does, detail: str | None, *, after: float) -> None:
    """Store it, in the caller's transaction. `detail`: a visit by `visiting`, a transaction id or an amount."""
    gateway.state.db.execute(
        "INSERT INTO scheduled (provider, reference, session_id, does, detail, due_at) VALUES (?, ?, ?, ?, ?, ?)",
        (gateway.name, session.reference, session.session_id, does, detail, time.time() + after),
    )


def visiting(back: WayBack) -> str:
    """The detail of a visit: the address, and after a space the form that is posted there."""
    return back.url if back.form is None else f"{back.url} {urlencode(back.form)}"


async def carry_out(sandbox: Sandbox, http: ClientSession, row: sqlite3.Row) -> None:
    """Do the due work of a row. A visit may be made again after a kill; money moves exactly once."""
    if row["does"] == "visit":
        status = await visit(http, row["detail"], seconds=sandbox.config.webhook_timeout)
        _note(sandbox, row, "done", str(status))
        return
    with sandbox.state.transaction():
        try:
            _move_money(sandbox, row)
        except Impossible as why:
            _note(sandbox, row, "impossible", str(why))
        else:
            _note(sandbox, row, "done", None)


async def visit(http: ClientSession, detail: str, *, seconds: float) -> int:
    """Visit as a browser that goes no further. Returns the status; 0 when none came within the time."""
    url, posts, form = detail.partition(" ")
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if posts else {}
    try:
        async with http.request(
            "POST" if posts else "GET",
            url,
            data=form.encode() if posts else None,
            headers=headers,
            allow_redirects=False,
            timeout=ClientTimeout(total=seconds),
        ) as response:
            return response.status
    except (ClientError, TimeoutError, OSError):
        return 0


def _move_money(sandbox: Sandbox, row: sqlite3.Row) -> None:
    gateway = sandbox.gateways[row["provider"]]
    session = sandbox.sessions.get(row["provider"], row["session_id"])
    if session is None:
        raise Impossible("the session is gone")
    if row["does"] == "give_back":
        give_back(gateway, session, row["detail"])
        return
    if session.status == "refunded":
        raise Impossible("the session is refunded")
    if row["does"] == "approve" and session.status != "review":
        raise Impossible(f"the session is {session.status}")
    again = gateway.collect(session, transaction_id=row["detail"])
    announce_happening(gateway, again, "paid")
    if gateway.event_type("paid") is None:
        schedule(gateway, again, "visit", visiting(gateway.way_back(again, "pay")), after=0.0)


def _note(sandbox: Sandbox, row: sqlite3.Row, state: str, result: str | None) -> None:
    sandbox.state.db.execute("UPDATE scheduled SET state = ?, result = ? WHERE seq = ?", (state, result, row["seq"]))
