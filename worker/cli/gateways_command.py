"""`payproof gateways`: each account's gateway: does it answer, since when not, when is it probed, what it said last."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.cli.list_output import LISTED, ListOptions, print_list
from worker.terminal_text import lasted, print_whole, printable_line

if TYPE_CHECKING:
    from worker.postgres.reads.gateway_state import GatewayState

COLUMNS = (
    *("account", "merchant", "provider", "health", "answered_at", "failures", "probed_at", "calls", "burst"),
    *("last_word", "last_word_at", "last_payment_id", "callbacks"),
)


def gateways(*, listed: ListOptions = LISTED) -> int:
    """List the accounts' gateways: whether each answers, its budget, last word and callbacks an hour."""
    from msgspec.structs import asdict

    found, callbacks, now = asyncio.run(_read())
    records = [asdict(one) | {"callbacks": callbacks.get(one.account, 0)} for one in found]
    print_list(listed, COLUMNS, records, lambda: _print(found, callbacks, now, listed))
    return 0


async def _read() -> tuple[list[GatewayState], dict[str, int], datetime]:
    from worker.cli.configured import configuration
    from worker.postgres.reads.gateway_state import read_gateways
    from worker.postgres.reads.now_state import read_callbacks
    from worker.postgres.server.opened import opened_as_it_is

    config = configuration()
    async with opened_as_it_is(config) as database:
        now = database.clock.now()
        callbacks = await read_callbacks(database, [one.id for one in config.merchants], now)
        return await read_gateways(database, config.accounts), callbacks, now


def _print(found: list[GatewayState], callbacks: dict[str, int], now: datetime, listed: ListOptions) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    heads = ("account", "gateway", "state", listed.head("last answer"), "budget", "callbacks an hour", "last word")
    for name in heads:
        table.add_column(name, no_wrap=True, justify="right" if name == "callbacks an hour" else "left")
    rows = [_cells(one, callbacks.get(one.account, 0), now, listed) for one in found]
    for row in rows:
        table.add_row(*(printable_line(Text(cell)) for cell in row))
    if print_whole(table):
        return
    console = Console(highlight=False)
    for account, provider, state, answered, budget, heard, word in rows:
        line = f"{account}  {provider}  {state}\n    {answered or 'never'}  {budget}  {heard} an hour\n    {word}"
        console.print(Text("\n".join(printable_line(Text(part)).plain for part in line.split("\n"))), soft_wrap=True)


def _cells(one: GatewayState, callbacks: int, now: datetime, listed: ListOptions) -> tuple[str, ...]:
    budget = "none" if one.calls is None or one.burst is None else f"{max(0.0, one.calls):.0f} of {one.burst:.0f} calls"
    word = "" if one.last_word is None else one.last_word
    return one.account, one.provider, state_words(one, now), listed.time(one.answered_at), budget, str(callbacks), word


def state_words(one: GatewayState, now: datetime) -> str:
    """`silent for 12 min, probed in 20 s`."""
    since = "" if one.answered_at is None else f" for {lasted(now - one.answered_at)}"
    if one.health == "silent":
        probed = "now" if one.probed_at is None or one.probed_at <= now else f"in {lasted(one.probed_at - now)}"
        return f"silent{since}, probed {probed}"
    if one.health == "failing":
        return f"failing, {one.failures} in a row"
    return one.health
