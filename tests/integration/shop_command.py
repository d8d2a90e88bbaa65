"""A command of payproof in the folder of a configured shop, run to its end."""

from __future__ import annotations

import asyncio
import sys

from tests.harness import System, environment
from tests.processes import directory, told_until_its_end

SECONDS = 60


async def command(*words: str, **settings: str) -> tuple[int | None, str, str]:
    """The command's exit code, its output and its errors. `settings` replace those of the shop."""
    with directory() as place:
        system = System(place)
        system.configure()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "worker.cli", *words),
            cwd=place,
            env=environment() | system.settings | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await told_until_its_end(process, SECONDS)
    return process.returncode, out.decode(), err.decode().strip()
