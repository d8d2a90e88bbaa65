"""How often and how soon a message that fails by itself is tried again, and where an error was raised."""

from __future__ import annotations

import traceback

ATTEMPTS = 5
SUSPECT = 3
"""Workers may die of a claim that was handed out so often. Then the try is counted first, and the claim is taken alone.
"""

PAUSE_SECONDS = 1.0


def place_of(error: Exception) -> str:
    """The file and line where the error was raised, as `consumers/apply_claim.py:41`."""
    passed = traceback.extract_tb(error.__traceback__)
    return "/".join(passed[-1].filename.split("/")[-2:]) + f":{passed[-1].lineno}" if passed else "nowhere"
