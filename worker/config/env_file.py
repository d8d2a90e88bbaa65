"""`.env` beside the configuration file: variables for a process whose environment does not have them.

A variable that is set, if only to nothing, is never replaced. The file is read for the configuration alone, and nothing
is put into the environment that other programs inherit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

NAME = ".env"
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def with_env_file(environ: Mapping[str, str], directory: Path) -> Mapping[str, str]:
    """`environ`, and of the directory's `.env` what is not in it. Raises OSError where that file cannot be read.

    Which configuration is read was decided before, so PAYPROOF_CONFIG is not taken from the file.
    """
    file = directory / NAME
    if not file.is_file():
        return environ
    found = read_env(file.read_bytes().decode("utf-8", "surrogateescape"))
    found.pop("PAYPROOF_CONFIG", None)
    return {**found, **environ}


def read_env(text: str) -> dict[str, str]:
    """The variables of lines such as `NAME=value`, with `export` or quotes or without.

    The file may belong to another program as well, so lines of any other form are passed over.
    """
    found = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is not None:
            found[match[1]] = _unquoted(match[2].strip())
    return found


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
