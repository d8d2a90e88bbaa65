"""A process whose wall clock is off, by libfaketime, which Debian has. Its monotonic clock is right."""

from __future__ import annotations

from pathlib import Path

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def faked(by: str) -> dict[str, str]:
    """The environment of a process whose clock is off by so much, as in `-7m` or `+1h`."""
    assert LIBRARY is not None, "there is no libfaketime; deploy/dev test installs it"
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
