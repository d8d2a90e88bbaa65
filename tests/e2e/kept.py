"""What tests keep between runs, since it takes long to make: clients of others, and environments with packages."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".payproof"
INSTALL_SECONDS, RUN_SECONDS, LOOK_SECONDS = 300.0, 60.0, 0.2


@contextmanager
def kept(place: Path, made_from: str, seconds: float) -> Iterator[bool]:
    """Whether the body must make `place`, which is then an empty directory: it was made from something else, or never.

    One process makes it, and others wait for it. After `seconds` that ends with TimeoutError. A body that raises is
    followed by another try in the next run.
    """
    mark = place / "made-from"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        _locked(lock.fileno(), place, seconds)
        if mark.is_file() and mark.read_text() == made_from:
            yield False
            return
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        yield True
        mark.write_text(made_from)


def _locked(handle: int, place: Path, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise TimeoutError(f"another process still makes {place} after {seconds:g} s") from None
            time.sleep(LOOK_SECONDS)
        else:
            return
