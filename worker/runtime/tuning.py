"""What a process that serves asks of its machine: files for every browser that waits, and few looks for garbage.

The one thing to get wrong: the collector. What a message leaves behind goes by itself when nobody refers to it; looking
for the rest after every 700 new objects, through all that was ever imported, took a tenth of the time under load.
"""

from __future__ import annotations

import gc
import resource

OPEN_FILES = 65_536
NEW_OBJECTS = 50_000
"""So many objects come into being before the youngest are looked through: rings among them take a few megabytes."""


def allow_files() -> None:
    """Every waiting browser is an open file, and what a shell or systemd allows by default is 1,024 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def look_less_for_garbage() -> None:
    """What is there now stays for good and is looked through no more; of what comes, rings are found more seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
