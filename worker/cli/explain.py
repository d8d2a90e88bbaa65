"""`payproof explain`: the story of one payment, for whoever is asked "the buyer says he paid, where is my order?"."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.text import Text

from worker.cli.lines import print_line
from worker.cli.payments import read_story

WIDTH = len("2026-01-31 18:00:00Z")


def explain(payment_id: str) -> int:
    """Tell the story of one payment in plain sentences, and what happens next."""
    from consumers.explaining import explain as sentences
    from schemas.payments import Entry
    from schemas.words import EntryKind

    payment, timeline = asyncio.run(read_story(payment_id))
    entries = [Entry(kind=EntryKind(shown["kind"]), at=shown["at"], data=shown) for shown in timeline]
    console = Console(highlight=False)
    for at, sentence in sentences(payment, entries):
        stamp = f"{at:%Y-%m-%d %H:%M:%SZ}" if at else ""
        print_line(console, Text(stamp, "dim"), Text(sentence), width=WIDTH)
    return 0
