"""A module run so that it is asked to stop when its owner is gone: `python -m` this OWNER MODULE WORDS.

An owner that is killed ends nobody, so the kernel does it (Linux). Elsewhere the module is run as it is.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def run_owned(owner: int, module: str, words: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != owner:  # it ended before the kernel was told
            sys.exit(1)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run_owned(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
