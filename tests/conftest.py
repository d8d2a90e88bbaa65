"""What every layer shares: property tests find the same examples on every run, and print how to repeat a failure."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True, max_examples=60)
settings.register_profile("search", deadline=None, print_blob=True, max_examples=3_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
