"""The deliveries of an endpoint as a table. On a terminal too narrow for it, two lines each: no id may be cut off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table

from worker.postgres.events.delivery_reads import Delivery
from worker.terminal_text import lasted, print_whole

COLUMNS = ("event", "type", "written (UTC)", "state", "attempts", "last answer")


def print_deliveries(deliveries: Sequence[Delivery], now: datetime) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, no_wrap=True, justify="right" if name == "attempts" else "left")
    for one in deliveries:
        table.add_row(one.event_id, one.type, _written(one), _state(one, now), str(one.attempts), one.answer or "")
    if print_whole(table):
        return
    console = Console(highlight=False)
    for one in deliveries:
        said = f"{_state(one, now)}, {one.attempts} attempts" + (f"; {one.answer}" if one.answer else "")
        console.print(f"{one.event_id}  {one.type}\n    {_written(one)}  {said}", markup=False, soft_wrap=True)


def _written(one: Delivery) -> str:
    return f"{one.time:%Y-%m-%d %H:%M:%S}"


def _state(one: Delivery, now: datetime) -> str:
    if one.next_at is not None:
        return f"waiting, next in {lasted(one.next_at - now)}"
    return one.state.value.replace("_", " ")
