"""`tests/README.md` says which rule is tested where: every file that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_file_that_the_map_names_is_there() -> None:
    named = re.findall(r"`((?:unit|integration|e2e|fault)/[\w/]+\.py)`", (TESTS / "README.md").read_text("utf-8"))
    assert len(named) > 50
    assert [file for file in named if not (TESTS / file).exists()] == []
