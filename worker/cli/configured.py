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
from worker.config.env_file import environment_here, ignored_variables
from worker.telemetry import logs

ELSEWHERE = frozenset(
    {
        *("PAYPROOF_DATABASE_URL", "PAYPROOF_DATABASE_DIRECT_URL", "PAYPROOF_DATA_DIR"),
        *("PAYPROOF_AMQP_URL", "PAYPROOF_PUBLIC_URL"),
    }
)
"""Variables that name an installation."""


def configuration(roles: Collection[str] = ()) -> Config:
    """Load the configuration, and set up logging by it. Raises worker.config.ConfigError with every problem.

    The secrets that `roles` use have to be there. Others may be missing: a command reveals few of them, or none.
    """
    config = load(os.environ, roles=roles)
    logs.configure(config.settings.log)
    return config


def configuration_served(roles: Collection[str] = ()) -> Config:
    """As `configuration`, for a service that takes money or changes the database.

    Raises WrongUsage where the file is for development and the environment names another installation: what it says
    would be ignored, and the money of a real shop recorded in a developer's database.
    """
    config = configuration(roles)
    if config.development:
        passed = ELSEWHERE.intersection(ignored_variables(os.environ, environment_here(os.environ)))
        if passed:
            raise WrongUsage(
                f"{config.settings.config_path} says development = true, so {', '.join(sorted(passed))} of the "
                "environment would be ignored; unset it, or remove development = true"
            )
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
