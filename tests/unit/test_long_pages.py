"""A long page is made bit by bit: whatever shares the event loop with it goes on meanwhile."""

from __future__ import annotations

import asyncio

import htpy as h
import pytest

from worker.console import layout
from worker.console.layout import Page


async def test_others_go_on_while_a_long_page_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "AT_ONCE_SECONDS", 0.0)
    made, seen = 0, list[int]()

    def row(number: int) -> h.Element:
        nonlocal made
        made = number
        return h.li[str(number)]

    async def other() -> None:
        while made < 1000:
            seen.append(made)
            await asyncio.sleep(0)

    page = Page(h.ul[(row(number) for number in range(1, 1001))], 200)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(other())
        group.create_task(page.write_text())
    assert len(set(seen)) > 900
    assert page.text == str(h.ul[(h.li[str(number)] for number in range(1, 1001))])
    assert page.content_type == "text/html"
