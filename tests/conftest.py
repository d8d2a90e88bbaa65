"""What every layer shares: property tests find the same examples on every run, and print how to repeat a failure."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Whoever is started in the background by a shell ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True, max_examples=60)
settings.register_profile("search", deadline=None, print_blob=True, max_examples=3_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
