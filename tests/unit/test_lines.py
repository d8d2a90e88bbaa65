"""The output of commands: lines that can be searched, waiting times, and no foreign terminal codes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rich.console import Console
from rich.text import Text

from worker.console import lasted, print_line, printable_line


@pytest.mark.parametrize(
    ("time", "told"),
    [
        (timedelta(seconds=-1), "0 s"),
        (timedelta(), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(minutes=12, seconds=3), "12 min"),
        (timedelta(hours=4, minutes=5), "4 h 5 min"),
        (timedelta(hours=4), "4 h"),
        (timedelta(days=3, hours=4, minutes=59), "3 d 4 h"),
        (timedelta(days=3, minutes=59), "3 d"),
    ],
)
def test_a_time_is_told_by_its_two_greatest_units(time: timedelta, told: str) -> None:
    assert lasted(time) == told


def test_a_strangers_codes_for_the_terminal_are_not_printed() -> None:
    assert printable_line(Text("paid\x1b[2J\x9b\u202e\nপরিশোধ")).plain == "paid\ufffd[2J\ufffd\ufffd পরিশোধ"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_line_of_the_story_stays_printable(terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(force_terminal=terminal, width=200, color_system=None, highlight=False)
    print_line(console, Text("now"), Text("its word: \x1b]0;title\x9c"), width=5)
    assert capsys.readouterr().out.strip() == "now    its word: \ufffd]0;title\ufffd"
