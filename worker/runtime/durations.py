"""Durations as people write them: `300ms`, `2s`, `5m`, `24h`, `7d`."""

from __future__ import annotations

import re

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
IN_WORDS = "a duration is text such as 300ms, 2s, 5m, 24h or 7d"


def read_duration(text: str) -> float | None:
    """The duration in seconds; None for any other text."""
    match = re.fullmatch(r"([0-9]{1,12})(ms|s|m|h|d)", text, re.ASCII)
    return int(match[1]) * UNITS[match[2]] if match else None
