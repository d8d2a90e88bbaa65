"""Sizes as people write them: `500MB`, `5GB`."""

from __future__ import annotations

import re

KB, MB, GB, TB = 10**3, 10**6, 10**9, 10**12
SIZE_UNITS = {"kB": KB, "MB": MB, "GB": GB, "TB": TB}
SIZE_IN_WORDS = "a size is text such as 500MB or 5GB"


def read_size(text: str) -> int | None:
    """The size in bytes; None for any other text."""
    match = re.fullmatch(r"([0-9]{1,6})(kB|MB|GB|TB)", text, re.ASCII)
    return int(match[1]) * SIZE_UNITS[match[2]] if match else None


def written_size(size: int) -> str:
    """The size in the largest unit that leaves a whole number."""
    return next(f"{size // unit}{name}" for name, unit in reversed(SIZE_UNITS.items()) if size % unit == 0)
