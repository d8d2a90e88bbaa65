"""`.env` beside a configuration that says `development = true`. No other configuration reads it.

Such a configuration is whole with its `.env`: the variables of payproof are taken from there alone, so that a shell
with production's addresses and keys cannot lead it to production. Nothing is put into the environment that other
programs inherit.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from worker.config.environment import config_path

NAME = ".env"
OF_THE_SHELL = frozenset(
    {"PAYPROOF_CONFIG", "PAYPROOF_LISTEN", "PAYPROOF_OPS_LISTEN", "PAYPROOF_CONSOLE_LISTEN", "PAYPROOF_LOG"}
)
"""Variables of payproof that the environment sets in development too: they lead nowhere else."""


def is_development(document: Mapping[str, Any] | None) -> bool:
    return document is not None and document.get("development") is True


def environment_here(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The variables that the configuration named by `environ` is read with, for a command that may do without one.

    Raises OSError where it is for development and its `.env` cannot be read.
    """
    found = development_here(environ)
    return environ if found is None else found


def development_here(environ: Mapping[str, str]) -> Mapping[str, str] | None:
    """`environment_here` of a configuration for development. None where there is no such configuration."""
    path = config_path(environ)
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return with_env_file(environ, path.parent) if is_development(document) else None


def with_env_file(environ: Mapping[str, str], directory: Path) -> Mapping[str, str]:
    """The environment of a configuration for development. Raises OSError where `.env` cannot be read.

    A variable of payproof that is not in OF_THE_SHELL comes from `.env` alone; any other only where it is not set.
    """
    kept = {name: value for name, value in environ.items() if not _only_in_file(name)}
    file = directory / NAME
    if not file.is_file():
        return kept
    found = read_env(file.read_bytes().decode("utf-8", "surrogateescape"))
    found.pop("PAYPROOF_CONFIG", None)  # it says which `.env` is read
    return {**found, **kept}


def ignored_variables(environ: Mapping[str, str], used: Mapping[str, str]) -> list[str]:
    """Names of variables that are set in the environment, and are not used with that value in development."""
    return sorted(name for name, value in environ.items() if value and _only_in_file(name) and used.get(name) != value)


def open_to_others(directory: Path) -> bool:
    """Whether another user may read or write the directory's `.env`."""
    try:
        return bool((directory / NAME).stat().st_mode & 0o077)
    except OSError:
        return False


def read_env(text: str) -> dict[str, str]:
    """The variables of the lines `NAME=value`, as python-dotenv reads them; `$` in a value stands for itself."""
    from dotenv import dotenv_values  # noqa: PLC0415 - production reads no such file

    found = dotenv_values(stream=StringIO(text), interpolate=False)
    return {name: value for name, value in found.items() if value is not None}


def _only_in_file(name: str) -> bool:
    return name.startswith("PAYPROOF_") and name not in OF_THE_SHELL
