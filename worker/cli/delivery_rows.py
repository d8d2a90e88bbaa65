"""The deliveries of an endpoint as a table. On a terminal too narrow for it, two lines each: no id may be cut off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import asdict
from rich.console import Console
from rich.table import Table

from worker.cli.list_output import ListOptions
from worker.config.webhook_endpoints import Endpoint
from worker.postgres.events.delivery_reads import Delivery
from worker.terminal_text import lasted, print_whole

DELIVERY_COLUMNS = (
    *("endpoint", "event_id", "payment_id", "type", "time", "state", "attempts"),
    *("next_at", "delivered_at", "given_up_at", "answer"),
)
"""Of the CSV, and the names in JSON."""


def delivery_record(endpoint: Endpoint, one: Delivery) -> dict[str, object]:
    found = asdict(one) | {"endpoint": endpoint.id, "state": one.state.value}
    return {name: found[name] for name in DELIVERY_COLUMNS}


def print_deliveries(deliveries: Sequence[Delivery], now: datetime, options: ListOptions) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("event", "type", options.head("written"), "state", "attempts", "last answer"):
        table.add_column(name, no_wrap=True, justify="right" if name == "attempts" else "left")
    for one in deliveries:
        table.add_row(
            one.event_id, one.type, options.time(one.time), _state(one, now), str(one.attempts), one.answer or ""
        )
    if print_whole(table):
        return
    console = Console(highlight=False)
    for one in deliveries:
        said = f"{_state(one, now)}, {one.attempts} attempts" + (f"; {one.answer}" if one.answer else "")
        console.print(f"{one.event_id}  {one.type}\n    {options.time(one.time)}  {said}", markup=False, soft_wrap=True)


def _state(one: Delivery, now: datetime) -> str:
    if one.next_at is not None:
        return f"waiting, next in {lasted(one.next_at - now)}"
    return one.state.value.replace("_", " ")
