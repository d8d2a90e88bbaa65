"""The versions of the software that a run was made with; a figure without them cannot be compared later."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = (
    *("payproof", "aio-pika", "aiormq", "aiohttp", "asyncpg", "msgspec", "uvloop"),
    *("faststream", "httpx", "sqlalchemy", "celery", "requests", "psycopg"),
)


def versions() -> dict[str, str]:
    """The versions of everything but the servers, which report their own.

    A library that is not installed is left out.
    """
    found = {
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
    }
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
