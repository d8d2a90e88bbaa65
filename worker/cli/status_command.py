"""`payproof status`: what needs a person, then the money by day and by account, as the console's page Now shows it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.terminal_text import lasted, print_line, print_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.postgres.reads.gateway_state import GatewayState
    from worker.postgres.reads.now_state import NowState, WaitingEndpoint


class _Seen(Struct, frozen=True, kw_only=True):
    now: datetime
    state: NowState
    gateways: Sequence[GatewayState]


def status(
    *,
    merchant: Annotated[str | None, Parameter(help="Of one merchant; of all, unless given.")] = None,
    json: Annotated[bool, Parameter(help="One JSON object, with times in UTC.", negative="")] = False,
) -> int:
    """Say what needs a person: held money, silent gateways, endpoints that wait; then the money of the last days."""
    import msgspec

    seen = asyncio.run(_read(merchant))
    if json:
        sys.stdout.write(msgspec.json.encode(_record(seen)).decode() + "\n")
        return 0
    console = Console(highlight=False)
    for head, words in _sentences(seen):
        print_line(console, Text(head, "bold"), Text(words), width=9)
    _print_days(seen.state, seen.now)
    _print_accounts(seen)
    return 0


async def _read(merchant: str | None) -> _Seen:
    from worker.cli.configured import configuration, merchant_meant
    from worker.config.webhook_endpoints import endpoints_of
    from worker.postgres.reads.gateway_state import read_gateways
    from worker.postgres.reads.now_state import read_now
    from worker.postgres.server.opened import opened_as_it_is

    config = configuration()
    whose = [one.id for one in config.merchants] if merchant is None else [merchant_meant(config, merchant)]
    accounts = [one for one in config.accounts if one.merchant in whose]
    endpoints = [one for one in endpoints_of(config) if one.merchant in whose]
    async with opened_as_it_is(config) as database:
        now = database.clock.now()
        state = await read_now(database, whose, [one.id for one in accounts], endpoints, now)
        return _Seen(now=now, state=state, gateways=await read_gateways(database, accounts))


def _sentences(seen: _Seen) -> Iterator[tuple[str, str]]:
    from worker.cli.gateways_command import state_words

    held, troubled = seen.state.held, [one for one in seen.gateways if one.health in ("silent", "failing")]
    if held.count and held.oldest is not None:
        opened = f"the oldest was opened {lasted(seen.now - held.oldest)} ago"
        yield "held", f"{held.count} payments, worth {held.amount:.2f} BDT; {opened} (payproof held)"
    for one in troubled:
        yield "gateway", f"{one.account}: {state_words(one, seen.now)} (payproof gateways)"
    for endpoint in seen.state.waiting:
        yield "endpoint", _waits(endpoint)
    if not held.count and not troubled and not seen.state.waiting:
        yield "well", "nothing is held, every gateway that was asked answers, and every endpoint has its events"


def _waits(one: WaitingEndpoint) -> str:
    waits = f"{one.waiting} events wait, the oldest for {lasted(timedelta(seconds=one.oldest))}"
    disabled = f"; it answered 410: payproof webhooks enable {one.endpoint.id}" if one.disabled else ""
    return f"{one.endpoint.label} at {one.endpoint.host}: {waits}{disabled} (payproof webhooks list)"


def _print_days(state: NowState, now: datetime) -> None:
    from worker.runtime.zone import DHAKA, ZONE

    table = _table(f"opened on ({ZONE})", "opened", "paid", "BDT")
    today = now.astimezone(DHAKA).date()
    for offset in range((today - state.since).days + 1):
        day = today - timedelta(days=offset)
        of_day = [one for one in state.days if one.day == day]
        amount = sum((one.amount for one in of_day), Decimal(0))
        table.add_row(
            f"{day}", str(sum(one.opened for one in of_day)), str(sum(one.paid for one in of_day)), f"{amount:.2f}"
        )
    print()
    print_whole(table)


def _print_accounts(seen: _Seen) -> None:
    from worker.cli.gateways_command import state_words

    table = _table("account", "opened", "paid", "callback to outcome", "gateway")
    for one in seen.gateways:
        of_account = [day for day in seen.state.days if day.account == one.account]
        seconds = seen.state.outcome.get(one.account)
        table.add_row(
            one.account,
            str(sum(day.opened for day in of_account)),
            str(sum(day.paid for day in of_account)),
            "" if seconds is None else f"{seconds:.1f} s",
            state_words(one, seen.now),
        )
    print()
    print_whole(table)


def _table(*heads: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, name in enumerate(heads):
        table.add_column(name, no_wrap=True, justify="left" if place == 0 or name == "gateway" else "right")
    return table


def _record(seen: _Seen) -> dict[str, object]:
    """The page as one object. `oldest_seconds`, `outcome_seconds`: in seconds; `days` by account and day in Dhaka."""
    state = seen.state
    return {
        "at": seen.now,
        "held": state.held,
        "gateways": {one.account: one.health for one in seen.gateways},
        "endpoints": [
            {
                "id": one.endpoint.id,
                "merchant": one.endpoint.merchant,
                "waiting": one.waiting,
                "oldest_seconds": one.oldest,
                "disabled": one.disabled,
            }
            for one in state.waiting
        ],
        "since": state.since,
        "days": state.days,
        "outcome_seconds": state.outcome,
    }
