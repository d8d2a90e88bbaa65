"""What a command says when it cannot go on: a sentence, and the exit code."""

from __future__ import annotations

from rich.console import Console

from worker.config import ConfigError
from worker.postgres.database import UNAVAILABLE
from worker.postgres.embedded import EmbeddedError
from worker.postgres.migrate import MigrationError


class CommandFailed(Exception):
    """A command's own words on why it did not do what was asked; exit code 1."""


class WrongUsage(CommandFailed):
    """What was asked makes no sense; exit code 2."""


FAILURES = (ConfigError, EmbeddedError, MigrationError, CommandFailed, *UNAVAILABLE)


def explain_failure(error: BaseException, console: Console) -> int:
    """Print why, without traceback; return the exit code."""
    match error:
        case ConfigError():
            for problem in error.problems:
                console.print(str(problem), markup=False, soft_wrap=True)
            return 2
        case WrongUsage():
            console.print(str(error), markup=False, soft_wrap=True)
            return 2
        case CommandFailed() | EmbeddedError() | MigrationError():
            console.print(str(error), markup=False, soft_wrap=True)
            return 1
        case _:
            console.print(f"The database cannot be reached ({type(error).__name__}).", markup=False)
            return 1
