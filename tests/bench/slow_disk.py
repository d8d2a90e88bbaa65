"""A disk whose every sync takes longer: a library that is loaded before libc's own and waits before each sync.

PostgreSQL's server runs as it is, and waits as it would for a slow disk or for a storage behind a network.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void delayed(void) {
    const char *words = getenv("SYNC_DELAY_MICROSECONDS");
    long microseconds = words ? atol(words) : 0;
    struct timespec left = {microseconds / 1000000, microseconds % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0) {}
}

int fsync(int file) {
    delayed();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}

int fdatasync(int file) {
    delayed();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
"""


def slow_syncs(place: Path, seconds: float) -> Mapping[str, str]:
    """The environment of a server whose syncs take so much longer. The library is compiled into `place`.

    Another user may run the server, so `place` must be open to others. Raises AssertionError without a C compiler.
    """
    library = place / "slow_syncs.so"
    if not library.exists():
        program = shutil.which("cc")
        assert program is not None, "there is no cc; on Debian: apt-get install gcc libc6-dev"
        words = (program, "-shared", "-fPIC", "-x", "c", "-o", library, "-", "-ldl")
        subprocess.run(words, input=_SOURCE, text=True, check=True, timeout=60)
        library.chmod(0o755)
    return {"LD_PRELOAD": str(library), "SYNC_DELAY_MICROSECONDS": str(round(seconds * 1e6))}
