"""What a contender's processes spent: one process and all its descendants.

Forked processes share pages, and the sum counts a shared page once for each process. So a contender of several
processes appears somewhat larger than it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> tuple[int, ...]:
    """The process and all its descendants."""
    parents = dict(_parents())
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return tuple(found)


def cpu_seconds(pids: tuple[int, ...]) -> float:
    """The processor seconds of these processes so far, with those of their ended children.

    A process that is gone counts as 0.
    """
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _fields(pid))) / _TICKS


def rss_bytes(pids: tuple[int, ...]) -> int:
    return sum(int(fields[21]) for pid in pids if (fields := _fields(pid))) * _PAGE


def _parents() -> Iterator[tuple[int, int]]:
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and (fields := _fields(int(place.name))):
            yield int(place.name), int(fields[1])


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command, whose name may hold any character.

    The first field is the state.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
