"""The configuration that a command begins with, from this process's environment; and one for a shop to start from.

A command's output on stdout goes down pipes, so logs never go there.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

from worker.cli.command_errors import WrongUsage
from worker.config import Config, load
from worker.telemetry import logs


def configuration(roles: Collection[str] = ()) -> Config:
    """Load the configuration, and set up logging by it. Raises worker.config.ConfigError with every problem.

    The secrets that `roles` use have to be there. Others may be missing: a command reveals few of them, or none.
    """
    config = load(os.environ, roles=roles)
    logs.configure(config.settings.log)
    return config


def merchant_meant(config: Config, named: str | None) -> str:
    """The id of the merchant that was named, or of the only one. Raises WrongUsage."""
    ids = [merchant.id for merchant in config.merchants]
    if named is None and len(ids) == 1:
        return ids[0]
    if named is None:
        raise WrongUsage(f"--merchant: there are several: {', '.join(ids)}")
    if named not in ids:
        raise WrongUsage(f"--merchant: {named} is none of {', '.join(ids)}")
    return named


def starter() -> str:
    """The text of the starter configuration."""
    return (files("worker.cli") / "starter.toml").read_text(encoding="utf-8")


def write_starter(path: Path) -> None:
    """Write the starter configuration, readable by its owner alone. Raises FileExistsError and never overwrites."""
    with path.open("x", encoding="utf-8") as file:
        try:
            path.chmod(0o600)
            file.write(starter())
            file.flush()
        except OSError:
            path.unlink()
            raise
