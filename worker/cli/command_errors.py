"""The sentence that a command prints when it cannot go on, and its exit code."""

from __future__ import annotations

import errno
import os
import re
import socket
import sys

import asyncpg
from rich.console import Console

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from schemas.secret import SecretElsewhere
from worker.amqp.refusals import BrokerRefusedError, TopologyError
from worker.config import ConfigError, File
from worker.postgres.server.dbmate import MigrationError
from worker.postgres.server.embedded import EmbeddedError
from worker.postgres.server.session_check import WrongPooler
from worker.terminal_text import printable


class CommandFailed(Exception):
    """A command's own words on why it did not do its work; exit code 1."""


class WrongUsage(CommandFailed):
    """The options or the configuration make no sense; exit code 2."""


EXPLAINED_ERRORS = (
    ConfigError,
    EmbeddedError,
    MigrationError,
    WrongPooler,
    BrokerRefusedError,
    TopologyError,
    SecretElsewhere,
    CommandFailed,
)
DISK_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""What writing and syncing a file raise, without its name."""
FAILURES = (*EXPLAINED_ERRORS, asyncpg.InsufficientPrivilegeError, DatabaseUnavailable, OSError)


def explain_failure(error: BaseException, console: Console) -> int:
    """Print the reason, without traceback. Returns the exit code."""
    match error:
        case BrokenPipeError():  # the reader of our output has read enough, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        case ConfigError():
            why, code = "\n".join([str(error), *_sections(error)]), 2
        case WrongPooler() | BrokerRefusedError() | TopologyError():
            why, code = str(error), 2
        case WrongUsage() | SecretElsewhere():
            why, code = str(error), 2
        case CommandFailed() | EmbeddedError() | MigrationError():
            why, code = str(error), 1
        case asyncpg.InsufficientPrivilegeError():
            why, code = f"the database's user may not do this: {error}; see schemas/sql/0009_roles.sql", 1
        case OSError() if cannot_listen(error):
            why, code = listening_refused(error), 1
        case OSError(filename=str(path)):
            why, code = f"{path}: {error.strerror}", 1
        case OSError(errno=int(number)) if number in DISK_REFUSALS:
            why, code = f"cannot write: {error.strerror}", 1
        case _:
            why, code = f"the database cannot be reached ({error_name(error)})", 1
    lines = [printable(line) for line in why.split("\n")]  # a stranger's words may be among them
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    return code


def _sections(error: ConfigError) -> list[str]:
    """Where the guide explains the keys and variables with problems."""
    sections = sorted({_section(problem.path) for problem in error.problems})
    return [f"see deploy/guide/operate.md, {', '.join(sections)}"]


def _section(path: str) -> str:
    """The guide's heading over a key such as `merchants[0].webhooks[1].url`, a variable, or a file."""
    if path.startswith("PAYPROOF_"):
        return '"Environment"'
    table, _, _ = path.rpartition(".")
    name = re.sub(r"\[[0-9]+\]", "", table)
    if name.partition(".")[0] in File.__struct_fields__:
        return f'"[[{name}]]"' if table.endswith("]") else f'"[{name}]"'
    return '"Configuration"'


def only_failure(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The first failure of a group that a sentence explains. None when the group holds any other failure too."""
    explained, rest = group.split(lambda error: cannot_listen(error) or isinstance(error, EXPLAINED_ERRORS))
    if explained is None or rest is not None:
        return None
    error: BaseException = explained
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def cannot_listen(error: BaseException) -> bool:
    """Whether the address that we should listen on is in use, not this machine's, not allowed, or not an address."""
    refused = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)
    return isinstance(error, socket.gaierror) or (
        isinstance(error, OSError) and error.errno in refused and error.filename is None
    )


def listening_refused(error: BaseException) -> str:
    """Why, with the notes on the error, which name the setting to change."""
    why = error.strerror if isinstance(error, OSError) else error
    return "; ".join([f"cannot listen: {why}", *getattr(error, "__notes__", ())])
