"""A plugin of pytest's for mutation runs: tests in the order of their duration, without the long ones.

`tests/mutants` runs them with it. mutmut gives the tests of a mutant in any order, and most mutants are noticed by the
first test of their rule. A rule that only a long test states counts as not stated: a test of simulated months finds a
fault too late.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TOLD = Path("mutmut-stats.json")
"""How long each test took without any mutant, as mutmut wrote it beside the mutants; absent in its first run."""

LONG_SECONDS = 0.3
ENDLESS_SECONDS = 10
"""A test that takes so long has met a mutant with an endless loop."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not TOLD.exists():
        return
    seconds: dict[str, float] = json.loads(TOLD.read_text("utf-8")).get("duration_by_test", {})
    quick = [item for item in items if seconds.get(item.nodeid, 0.0) < LONG_SECONDS]
    for item in quick:
        item.add_marker(pytest.mark.timeout(ENDLESS_SECONDS))
    items[:] = sorted(quick or items, key=lambda item: seconds.get(item.nodeid, 0.0))
