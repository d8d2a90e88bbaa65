"""What a contender's processes spent: those that one process started, and theirs, and itself.

The one thing to get wrong: shared memory. Processes that were forked share pages, and the sum here counts them once for
each; so a contender of several processes is shown as somewhat larger than it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> tuple[int, ...]:
    """The process and all that descend from it."""
    parents = dict(_parents())
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return tuple(found)


def cpu_seconds(pids: tuple[int, ...]) -> float:
    """Of these together until now, with those of their children that ended. One that is gone counts nothing."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _fields(pid))) / _TICKS


def rss_bytes(pids: tuple[int, ...]) -> int:
    return sum(int(fields[21]) for pid in pids if (fields := _fields(pid))) * _PAGE


def _parents() -> Iterator[tuple[int, int]]:
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and (fields := _fields(int(place.name))):
            yield int(place.name), int(fields[1])


def _fields(pid: int) -> list[str]:
    """Those of /proc/PID/stat after the command, whose name may hold anything: the state is the first."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
