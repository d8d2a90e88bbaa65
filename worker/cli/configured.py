"""What a command begins with: the configuration from this process's environment, and logs on stderr.

The one thing to get wrong: stdout. What a command prints there is its result and goes down pipes; a log never does.
"""

from __future__ import annotations

import os

from worker.cli.failures import WrongUsage
from worker.config import Config, load
from worker.telemetry import logs


def configuration() -> Config:
    """Load it, and log as it says. Raises worker.config.ConfigError with every problem."""
    config = load(os.environ)
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
