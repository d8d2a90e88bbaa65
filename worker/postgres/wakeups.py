"""Wakeups that processes send each other after a commit, so that no process has to poll quickly.

Transactions with a NOTIFY commit one after the other, over the whole server, and each waits until the one before is on
the disk and on the standby. So a wakeup is sent after the commit, in a transaction of its own that waits for no disk.
Only a write that gives events their positions sends its wakeup itself, because such writes commit one after the other
anyway. A lost wakeup does no harm: each process that listens also polls, slowly.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec.structs import replace

from schemas.own_json import NotOurs, read_own

APART_SECONDS = 0.005
"""Between two wakeups of a process. Each costs a statement; wakeups that are added meanwhile are merged."""

MOST_OUTCOMES = 100
"""How many ids fit into the 8,000 bytes of a payload."""


class Wakeup(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The news of a commit.

    `claims`: gateways that have new claims. `events`: events were written that have no positions yet. `placed`: events
    got their positions, or deliveries became due. `outcomes`: ids of payments that changed. `look_at`: the earliest
    next check of a payment. `approvals`: a proposal was approved. `sender`: the process that sent this; it ignores its
    own wakeups from the database.
    """

    claims: list[str] = []
    events: bool = False
    placed: bool = False
    outcomes: list[str] = []
    look_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    approvals: bool = False
    sender: str = ""


class Wakeups:
    """Sends wakeups one after the other. Wakeups that are added meanwhile are merged. `send` raises nothing.

    `on_wakeup` is called with wakeups of this process at once, and with wakeups of other processes as they come.
    """

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._sender = secrets.token_hex(8)
        self.on_wakeup: Callable[[Wakeup], None] = lambda _: None
        self._unsent: list[Wakeup] = []
        self._sending: asyncio.Task[None] | None = None

    def receive(self, payload: object) -> None:
        """Pass on a wakeup from the database. This process's own wakeups were passed on when they were added."""
        wakeup = _read(payload)
        if wakeup.sender != self._sender:
            self.on_wakeup(wakeup)

    def payloads(self, wakeup: Wakeup) -> list[str]:
        """The payloads for a statement that calls pg_notify. Call `on_wakeup` once that statement is committed."""
        return [msgspec.json.encode(replace(part, sender=self._sender)).decode() for part in _parts(wakeup)]

    def add(self, wakeup: Wakeup) -> None:
        """Pass it on within this process, and send it to the others soon."""
        self.on_wakeup(wakeup)
        self._unsent.append(wakeup)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())

    async def sent(self) -> None:
        """Wait until all wakeups are sent."""
        if self._sending is not None:
            await self._sending

    async def _send_all(self) -> None:
        while self._unsent:
            wakeups, self._unsent = self._unsent, []
            for payload in self.payloads(_merged(wakeups)):
                await self._send(payload)
            await asyncio.sleep(APART_SECONDS)


def _read(payload: object) -> Wakeup:
    try:
        return read_own(str(payload), Wakeup)
    except NotOurs:  # perhaps of a newer release; looking for events finds its news
        return Wakeup(events=True, placed=True)


def _merged(wakeups: Sequence[Wakeup]) -> Wakeup:
    return Wakeup(
        claims=sorted({provider for wakeup in wakeups for provider in wakeup.claims}),
        events=any(wakeup.events for wakeup in wakeups),
        placed=any(wakeup.placed for wakeup in wakeups),
        outcomes=list(dict.fromkeys(payment_id for wakeup in wakeups for payment_id in wakeup.outcomes)),
        approvals=any(wakeup.approvals for wakeup in wakeups),
        look_at=min((wakeup.look_at for wakeup in wakeups if wakeup.look_at is not None), default=None),
    )


def _parts(wakeup: Wakeup) -> Iterable[Wakeup]:
    yield replace(wakeup, outcomes=wakeup.outcomes[:MOST_OUTCOMES])
    for start in range(MOST_OUTCOMES, len(wakeup.outcomes), MOST_OUTCOMES):
        yield Wakeup(outcomes=wakeup.outcomes[start : start + MOST_OUTCOMES])
