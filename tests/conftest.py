"""What every layer shares: property tests find the same examples on every run, and print how to repeat a failure.

In a parallel run, tests that share an expensive server run in one worker, one after the other, so that no server is
started twice.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Whoever is started in the background by a shell ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True, max_examples=60)
settings.register_profile("search", deadline=None, print_blob=True, max_examples=3_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

TEARDOWN_SECONDS = 300.0
TESTS = Path(__file__).parent
LAYERS = ("fault", "e2e", "integration", "unit")
"""The longest tests are begun first."""


def pytest_configure(config: pytest.Config) -> None:
    """Give the workers of a parallel run that is interrupted the time to end their servers."""
    if config.pluginmanager.has_plugin("xdist"):
        from xdist.workermanage import NodeManager  # type: ignore[import-untyped]

        NodeManager.EXIT_TIMEOUT = int(TEARDOWN_SECONDS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a parallel run, group the tests that one worker runs."""
    if not hasattr(config, "workerinput"):
        return
    items.sort(key=lambda item: LAYERS.index(item.path.relative_to(TESTS).parts[0]))
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))


def _group(item: pytest.Item) -> str | None:
    """The name of the servers that a test shares with others, or of its module; None where it can run anywhere."""
    assert isinstance(item, pytest.Function)
    layer, *_ = item.path.relative_to(TESTS).parts
    module, names = item.module, item.fixturenames
    match layer:
        case "fault" if "the_fleet" in names:
            return "the fleet"
        case "e2e" if "shopping" in names:
            return "the demo shop"
        case "e2e" if "system" in names and not {"system", "payproof"} & vars(module).keys():
            return "the installation"
        case "integration" if "RabbitMQ" in vars(module):
            return "the broker"
        case "integration" if "server" not in vars(module):
            return None
        case "unit" if "simulation" in item.path.parts:
            return None
    return str(item.path.relative_to(TESTS))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """End a teardown that hangs, too: pytest-timeout watches a test no more once it has failed."""

    def stuck(*_: object) -> None:
        pytest.fail(f"the teardown of {item.nodeid} took longer than {TEARDOWN_SECONDS:g} s")

    signal.signal(signal.SIGALRM, stuck)
    signal.setitimer(signal.ITIMER_REAL, TEARDOWN_SECONDS, TEARDOWN_SECONDS)  # whatever hangs next is ended as well
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
