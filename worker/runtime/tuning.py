"""Settings of a serving process: enough open files for every waiting browser, and fewer garbage collections.

Most objects are freed when their last reference goes. Looking for rings of references after every 700 new objects,
among everything ever imported, took a tenth of the time under load.
"""

from __future__ import annotations

import gc
import resource

OPEN_FILES = 65_536
NEW_OBJECTS = 50_000
"""New objects between two collections of the youngest generation. Rings among so many take a few megabytes."""


def allow_files() -> None:
    """Raise the limit of open files: every waiting browser is one, and a shell or systemd allows 1,024 by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def look_less_for_garbage() -> None:
    """Exempt all present objects from garbage collection, and collect later ones less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
