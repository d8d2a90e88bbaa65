"""A gateway's list as the lines of a statement: its generator is run step by step, slowly where the gateway wants that.

A list that ends early is no statement: it raises `ListFailed`. A caller applies no line from here before the last line
has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from consumers.account import Account
from consumers.checks.limits import CallBudget, new_limits
from consumers.pacing import Backoff
from consumers.ports.effects import Effect, EffectReply, HttpReply, NoReply
from consumers.ports.gateway import ListedLines, ListsPayments
from consumers.ports.ledger import Ledger
from consumers.providers.kit.replies import trouble
from schemas.answers import Inconclusive, Trouble
from schemas.statements import Line, Unread
from worker.verify.gateways import Gateways

TRIES = 6
RETRY = Backoff(timedelta(seconds=1), timedelta(minutes=2))
LONGEST_PAUSE = RETRY.longest.total_seconds()
LONGEST_PAGE_WAIT = 300.0
PASSES = (Trouble.RATE_LIMITED, Trouble.SERVER_ERROR, Trouble.NO_REPLY)
"""Troubles that another try may overcome. A refused key stays refused."""

Sleep = Callable[[float], Awaitable[None]]


class ListFailed(Exception):
    """The gateway did not show its whole list, or has no list. The message says why in plain words."""


async def list_lines(
    gateways: Gateways,
    ledger: Ledger,
    account: Account,
    since: datetime,
    until: datetime,
    *,
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[Line | Unread]:
    """Yield lines with a time from `since` until before `until`, and lines without a time. Rows count from 1.

    Raises ListFailed.
    """
    if not account.provider.capabilities.lists:
        raise ListFailed(f"{account.provider.name} has no list of payments; give --statement")
    lister: Any = account.provider
    lists: ListsPayments = lister
    listing = lists.list_payments(since, until)
    row = 0
    try:
        step = next(listing)
        while True:
            if isinstance(step, ListedLines):
                for line in step.lines:
                    if isinstance(line, Unread) or line.at is None or since <= line.at < until:
                        row += 1
                        yield replace(line, row=row)
                step = listing.send(None)
            else:
                step = listing.send(await _reply(gateways, ledger, account, step, sleep))
    except StopIteration as stop:
        if isinstance(stop.value, Inconclusive):
            raise ListFailed(f"{account.id}: the list of payments broke off: {stop.value.detail}") from None
    finally:
        listing.close()


async def _reply(gateways: Gateways, ledger: Ledger, account: Account, effect: Effect, sleep: Sleep) -> EffectReply:
    """The gateway's reply. Trouble that passes is waited out, for as long as the gateway says. Raises ListFailed.

    Every try and every wait is bounded: without waits for the call budget this ends in about a quarter of an hour.
    """
    why = "it gave no reply"
    for tried in range(TRIES):
        await _admitted(ledger, account, sleep)
        pause = RETRY.pause(tried).total_seconds()
        try:
            reply = await gateways.step(account, effect)
        except NoReply as error:
            why = str(error)
        else:
            found = trouble(reply) if isinstance(reply, HttpReply) else None
            if found is None or found.trouble not in PASSES:
                return reply
            why = found.detail
            if found.retry_after is not None:
                if found.retry_after > LONGEST_PAUSE:
                    raise ListFailed(f"{account.id}: the gateway asks to wait {found.retry_after:.0f} s ({why})")
                pause = max(pause, found.retry_after)
        if tried + 1 < TRIES:
            await sleep(pause)
    raise ListFailed(f"{account.id}: the list of payments broke off after {TRIES} tries: {why}")


async def _admitted(ledger: Ledger, account: Account, sleep: Sleep) -> None:
    """Wait for a call of the budget that all workers share, and take it. Raises ListFailed after LONGEST_PAGE_WAIT."""
    rate = account.calls_per_second
    waited = 0.0
    while rate is not None:
        if waited > LONGEST_PAGE_WAIT:
            raise ListFailed(f"{account.id}: no call of its budget was free within {LONGEST_PAGE_WAIT:.0f} s")
        async with ledger.limits([account.id]) as limits:
            stood = limits.limits_by_account.get(account.id) or new_limits(account.id, rate, limits.now)
            asking = CallBudget(stood, rate, limits.now)
            again_at = asking.acquire("list")
            if again_at is None:
                await limits.save([asking.limits])
                return
            wait = min(max((again_at - limits.now).total_seconds(), 0.01), LONGEST_PAUSE)
        await sleep(wait)
        waited += wait
