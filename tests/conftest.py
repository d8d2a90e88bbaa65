"""What every layer shares: property tests find the same examples on every run, and print how to repeat a failure."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Whoever is started in the background by a shell ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True, max_examples=60)
settings.register_profile("search", deadline=None, print_blob=True, max_examples=3_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

TEARDOWN_SECONDS = 300.0


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
