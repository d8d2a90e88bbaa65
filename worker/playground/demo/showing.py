"""The demo's output: a bar while the stories run, a row for each, what was held and why, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from worker.playground.demo.playing import StoryRow
from worker.playground.demo.system import System

LEAST_WIDTH = 240


class Screen:
    """Everything goes to stdout. Where that is no terminal, lines are long rather than broken."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, markup=False)
        if not self.console.is_terminal:
            self.console.width = max(self.console.width, LEAST_WIDTH)

    def say(self, text: str, style: str = "") -> None:
        self.console.print(text, style=style or None)

    @contextmanager
    def progress(self, stories: int) -> Iterator[Progress]:
        columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            progress.add_task("Stories", total=stories)
            yield progress

    def results(self, rows: Sequence[StoryRow]) -> None:
        table = Table(title="What happened", title_justify="left")
        for name in ("gateway", "story", "the buyer saw", "events in the log", "status"):
            table.add_column(name, overflow="fold")
        table.add_column("ms", justify="right", no_wrap=True)
        for row in rows:
            cells = [
                row.story.gateway.name,
                row.story.name,
                " → ".join(row.saw) or "-",
                ", ".join(row.told) or "-",
                "\n".join([row.ended, *row.wrong]),
                "-" if row.milliseconds is None else f"{row.milliseconds:.0f}",
            ]
            table.add_row(*(Text(cell) for cell in cells), style="bold red" if row.wrong else None)
        self.console.print(table)

    def held(self, rows: Sequence[StoryRow]) -> None:
        table = Table(title="Held payments, which wait for a person", title_justify="left")
        for name in ("reason", "gateway", "payment", "expected", "the gateway's last answer"):
            table.add_column(name, no_wrap=name == "payment", overflow="fold")
        for row in rows:
            if row.payment is not None and row.asked_and_answered is not None:
                cells = (row.payment["hold"], row.story.gateway.name, row.payment["payment_id"])
                table.add_row(*(Text(str(cell)) for cell in (*cells, *row.asked_and_answered)))
        self.console.print(table)

    def verdict(self, rows: Sequence[StoryRow], seconds: float) -> None:
        wrong = sum(bool(row.wrong) for row in rows)
        self.say("ms: from the callback until the event was recorded; stories without a callback have none.")
        if wrong:
            self.say(f"{wrong} of {len(rows)} stories ended otherwise than they should.", "bold red")
        else:
            self.say(f"{len(rows)} stories in {seconds:.0f} s, and each ended as it should.", "bold green")

    def addresses(self, system: System) -> None:
        self.say(f"\nThe shop       {system.sandbox_url}/", "bold")
        self.say("               Open it in a browser: order, choose what shall go wrong, pay, and watch it proven.\n")
        self.say(f"The API        {system.url}/v1/payments\nIts key        {system.key}")
        self.say(f"The gateways   {system.sandbox_url} (each with its checkout pages)")
        self.say(f"For operators  {system.ops_url}/metrics\nCtrl-C ends it all.")
