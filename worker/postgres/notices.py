"""Notices that processes send each other: something was committed, so that no process has to poll for it quickly.

The one thing to get wrong: NOTIFY in a transaction that waits. Transactions that notify commit one after the other,
over the whole server, each once the one before is on the disk and on the standby. So a notice is sent after the commit,
in a transaction of its own that waits for no disk. Only a write that gives places sends its notice itself, because such
writes commit one after the other anyway. A lost notice does no harm: each process that listens also polls, slowly.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

APART_SECONDS = 0.005
"""Between two notices of a process. Each costs a statement; notices that come meanwhile are sent as one."""

MOST_OUTCOMES = 100
"""So many ids fit into the 8,000 bytes of a payload."""


class Notice(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was just committed.

    `claims`: gateways that have new claims. `events`: events were written that have no places. `placed`: events got
    their places, or deliveries became due, so that endpoints may have something to be told. `outcomes`: payments that
    changed. `look_at`: the earliest next look at a payment. `sender`: the process that sent this, which does not hear
    it from the database again.
    """

    claims: list[str] = []
    events: bool = False
    placed: bool = False
    outcomes: list[str] = []
    look_at: datetime | None = None
    sender: str = ""


class Notices:
    """Sends notices one after the other; those that come meanwhile are merged into the next. `send` raises nothing.

    `heard` is called with notices of this process at once, and with those of other processes as they come.
    """

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._sender = secrets.token_hex(8)
        self.heard: Callable[[Notice], None] = lambda _: None
        self._unsent: list[Notice] = []
        self._sending: asyncio.Task[None] | None = None

    def hear(self, payload: object) -> None:
        """A notice came from the database. One of our own was heard when it was added."""
        notice = _read(payload)
        if notice.sender != self._sender:
            self.heard(notice)

    def payloads(self, notice: Notice) -> list[str]:
        """The notice as a statement sends it by itself. Pass it to `heard` once that statement is committed."""
        return [msgspec.json.encode(replace(part, sender=self._sender)).decode() for part in _parts(notice)]

    def add(self, notice: Notice) -> None:
        self.heard(notice)
        self._unsent.append(notice)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._go())

    async def sent(self) -> None:
        """Wait until all notices are sent."""
        if self._sending is not None:
            await self._sending

    async def _go(self) -> None:
        while self._unsent:
            notices, self._unsent = self._unsent, []
            for payload in self.payloads(_merged(notices)):
                await self._send(payload)
            await asyncio.sleep(APART_SECONDS)


def _read(payload: object) -> Notice:
    try:
        return msgspec.json.decode(str(payload), type=Notice)
    except msgspec.DecodeError:  # perhaps of a newer release; whatever it tells is found by looking
        return Notice(events=True, placed=True)


def _merged(notices: Sequence[Notice]) -> Notice:
    return Notice(
        claims=sorted({provider for notice in notices for provider in notice.claims}),
        events=any(notice.events for notice in notices),
        placed=any(notice.placed for notice in notices),
        outcomes=list(dict.fromkeys(payment_id for notice in notices for payment_id in notice.outcomes)),
        look_at=min((notice.look_at for notice in notices if notice.look_at is not None), default=None),
    )


def _parts(notice: Notice) -> Iterable[Notice]:
    yield replace(notice, outcomes=notice.outcomes[:MOST_OUTCOMES])
    for start in range(MOST_OUTCOMES, len(notice.outcomes), MOST_OUTCOMES):
        yield Notice(outcomes=notice.outcomes[start : start + MOST_OUTCOMES])
