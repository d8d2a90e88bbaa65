"""Commands of payproof as a person runs them, each in a process of its own, to its end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from tests.harness import System, environment
from tests.processes import directory, told_until_its_end

SECONDS = 60
STARTER = ("PAYPROOF_API_KEY", "IPAY_API_KEY", "PAYPROOF_WEBHOOK_SECRET")
ENVIRONMENT = {name: value for name, value in environment().items() if name not in STARTER} | {"COLUMNS": "80"}


class Ended(Struct, frozen=True):
    code: int | None
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


async def started(
    *words: str,
    cwd: Path,
    settings: Mapping[str, str],
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.PIPE,
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "worker.cli", *words),
        cwd=cwd,
        env={**ENVIRONMENT, **settings},
        stdin=stdin,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
    )


async def command(
    *words: str, cwd: Path, settings: Mapping[str, str] | None = None, stdin: int = asyncio.subprocess.DEVNULL
) -> Ended:
    """Run a command to its end, within a minute. It never prints a traceback."""
    process = await started(*words, cwd=cwd, settings=settings or {}, stdin=stdin)
    out, err = await told_until_its_end(process, SECONDS)
    ended = Ended(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in ended.out + ended.err
    return ended


async def shop_command(*words: str, **settings: str) -> tuple[int | None, str, str]:
    """The exit code, output and errors of a command in the folder of a configured shop, with these settings."""
    with directory() as place:
        system = System(place)
        system.configure()
        ended = await command(*words, cwd=place, settings=system.settings | settings)
    return ended.code, ended.out, ended.err.strip()
