"""Shared by every layer: property tests find the same examples on every run, and print how to repeat a failure.

In a parallel run, tests that share an expensive server run in one worker, one after the other, so that no server is
started twice.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

# A process that a shell starts in the background ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True, max_examples=60)
settings.register_profile("search", deadline=None, print_blob=True, max_examples=3_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

TEARDOWN_SECONDS = 300.0
TESTS = Path(__file__).parent
LAYERS = ("unit", "integration", "fault", "e2e", "bench")


def pytest_configure(config: pytest.Config) -> None:
    """Give the workers of a parallel run that is interrupted the time to end their servers."""
    if config.pluginmanager.has_plugin("xdist"):
        from xdist.workermanage import NodeManager  # type: ignore[import-untyped]

        NodeManager.EXIT_TIMEOUT = int(TEARDOWN_SECONDS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a parallel run the layers that start installations come last: those run until the session ends."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: LAYERS.index(item.path.relative_to(TESTS).parts[0]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Schedule so that one worker runs all tests of a group. xdist's own groups, by marks, need a pytest before 9.2."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Grouped(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid.partition("::")[0]) or nodeid

    return Grouped(config, log)


@cache
def _group(file: str) -> str | None:
    """The servers that a file's tests share with other files, or the file itself; None when a test can run anywhere."""
    layer, text = Path(file).parts[1], (TESTS.parent / file).read_text("utf-8")
    match layer:
        case "integration" if "RabbitMQ" in text:
            return "the broker"
        case "integration" if "def server(" not in text:
            return None
        case "unit" if "/simulation/" in file:
            return None
    return file


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """End a teardown that hangs, too: pytest-timeout no longer watches a test that has failed.

    A command that ran in this process has set up its logs; the next test finds them as they were.
    """

    def stuck(*_: object) -> None:
        pytest.fail(f"the teardown of {item.nodeid} took longer than {TEARDOWN_SECONDS:g} s")

    signal.signal(signal.SIGALRM, stuck)
    signal.setitimer(signal.ITIMER_REAL, TEARDOWN_SECONDS, TEARDOWN_SECONDS)  # end the next hanging teardown, too
    try:
        return (yield)
    finally:
        _reset_logs()
        signal.setitimer(signal.ITIMER_REAL, 0)


def _reset_logs() -> None:
    structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not type(one).__module__.startswith("worker.")]
    sys.excepthook = sys.__excepthook__
