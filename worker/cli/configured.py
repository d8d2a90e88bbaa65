"""The configuration of a command, from this process's environment."""

from __future__ import annotations

import os

from worker.config import Config, load


def configuration() -> Config:
    """Load it; raises worker.config.ConfigError with every problem."""
    return load(os.environ)
