"""Running mutmut: its progress in our words, within a time limit, and its findings.

It is ended by an interrupt, as by Ctrl-C, which keeps every verdict that it has.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from tests.mutants.accepted import Change, changed

FINE = frozenset({"killed", "timeout", "caught by type check"})
UNCHECKED = frozenset({"not checked", "check was interrupted by user"})
STOP_SECONDS = 30.0
SAY_SECONDS = 5.0
_COUNTED = re.compile(r"(\d+)/(\d+) ")
_RESULT = re.compile(r"^ {4}(\S+): (.+)$")
_DIFFS = """
import json, sys
from mutmut.mutation.diff_apply import find_mutant, get_diff_for_mutant
for name in json.load(sys.stdin):
    print(json.dumps([name, get_diff_for_mutant(name, path=find_mutant(name).path)]))
"""


class ToolError(Exception):
    """It ended before it tested mutants; the message is its last output."""


class Found(Struct, frozen=True):
    """The verdict of every mutant by its name."""

    verdicts: dict[str, str]

    def of(self, module: str) -> Found:
        start = f"{module.removesuffix('.py').replace('/', '.')}."
        return Found({name: verdict for name, verdict in self.verdicts.items() if name.startswith(start)})

    def count(self, *verdicts: str) -> int:
        return sum(verdict in verdicts for verdict in self.verdicts.values())

    @property
    def survivors(self) -> list[str]:
        """The mutants that no test notices, and those without a clear verdict."""
        return [name for name, verdict in self.verdicts.items() if verdict not in FINE | UNCHECKED]

    @property
    def unchecked(self) -> int:
        return self.count(*UNCHECKED)


def run(place: Path, seconds: float, say: Callable[[str], None]) -> None:
    """Test the mutants without a verdict, for so long. Raises ToolError."""
    said, words = 0.0, deque[str](maxlen=40)
    say("making mutants, and finding out which tests reach which of them ...")
    with subprocess.Popen(
        [_mutmut(), "run", f"--max-children={cores()}"],
        cwd=place,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # an interrupt reaches its workers, and no other process
    ) as process:
        assert process.stdout is not None, "it is a pipe"
        late = threading.Event()
        ending = threading.Timer(seconds, _end_late, [process, late])
        ending.daemon = True
        ending.start()
        try:
            for line in process.stdout:  # text mode takes the carriage return after progress for a line's end
                words.append(line.rstrip())
                counted = _COUNTED.search(line)
                if counted and time.monotonic() >= said + SAY_SECONDS:
                    say(f"{counted[1]} of {counted[2]} mutants")
                    said = time.monotonic()
        except BaseException:
            _interrupt(process)
            raise
        ending.cancel()
        code = process.wait()
    if code != 0 and not late.is_set():
        raise ToolError("\n".join(words))


def _end_late(process: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    _interrupt(process)


def _interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def found(place: Path) -> Found:
    told = _ask(place, "results", "--all", "true")
    return Found({read[1]: read[2] for line in told.splitlines() if (read := _RESULT.match(line))})


def changes(place: Path, names: Sequence[str]) -> list[Change]:
    """The change of each of these mutants."""
    told = subprocess.run(
        [sys.executable, "-c", _DIFFS],
        cwd=place,
        env=_environment(),
        input=json.dumps(list(names)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return [changed(*place_of(name), diff) for name, diff in map(json.loads, told.splitlines())]


def cores() -> int:
    """How many processors this process may use: as many mutants are tested side by side."""
    return len(os.sched_getaffinity(0))


def place_of(name: str) -> tuple[str, str]:
    """Module and function of `consumers.x.xǁAskingǁadmit__mutmut_3` or `consumers.x.x_hear__mutmut_3`."""
    dotted, _, mangled = name.rpartition(".")
    function = re.sub(r"__mutmut_\d+$", "", mangled)
    plain = function[1:].strip("ǁ").replace("ǁ", ".") if "ǁ" in function else function.removeprefix("x_")
    return f"{dotted.replace('.', '/')}.py", plain


def _mutmut() -> str:
    return str(Path(sys.executable).with_name("mutmut"))


def _ask(place: Path, *words: str) -> str:
    asked = subprocess.run(
        [_mutmut(), *words], cwd=place, env=_environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return asked.stdout


def _environment() -> dict[str, str]:
    """This environment without our own path, which holds the rules instead of their mutants."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PAYPROOF_", "PYTHONPATH"))}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}
