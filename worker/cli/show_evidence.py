"""A held payment for a person: why it is held, what to do, and asked, answered, expected side by side.

A difference has a sign of its own beside its colour, for pipes and for eyes that see no red.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.console import lasted, print_line, print_whole, printable_line

if TYPE_CHECKING:
    from consumers.explain.evidence import Answered, Evidence

WIDTH = len("2026-01-31 18:00:00Z")
DIFFERS = "≠"


def print_evidence(console: Console, payment_id: str, found: Evidence, now: datetime) -> None:
    since = f" since {found.since:%Y-%m-%d %H:%M:%SZ} ({lasted(now - found.since)})" if found.since else ""
    also = f" (also: {', '.join(found.holds[1:])})" if found.holds[1:] else ""
    _say(console, "held", f"{found.hold}{also}{since}: {found.why}")
    _say(console, "what to do", found.to_do)
    _say(console, "", f"payproof payments resolve {payment_id} --status STATUS --reason WHY")
    for answered in found.answers:
        _print_answer(console, answered)
    if not found.answers:
        _say(console, "answered", "nothing: the gateway gave no answer")
    for sentence in found.others:
        _say(console, "", sentence)


def _say(console: Console, head: str, words: str) -> None:
    print_line(console, Text(head, "bold"), Text(words), width=WIDTH)


def _print_answer(console: Console, answered: Answered) -> None:
    again = f", last at {answered.last_at:%Y-%m-%d %H:%M:%SZ}" if answered.last_at != answered.first_at else ""
    said = f"said by {answered.by}, as of" if answered.by else "answered"
    title = f"{said} {answered.first_at:%Y-%m-%d %H:%M:%SZ}{again}"
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("", "asked", "", "answered", "expected"):
        table.add_column(name, overflow="fold")
    for one in answered.compared:
        style = "bold red" if one.differs else ""
        cells = [one.what, one.asked or "", DIFFERS if one.differs else "", one.answered or "-", one.expected or "-"]
        table.add_row(*(printable_line(Text(cell, style)) for cell in cells))
    console.print(Text(title, "bold"))
    if not print_whole(table):
        console.print(table)
