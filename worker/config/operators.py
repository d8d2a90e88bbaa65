"""The operators as the configuration names them now: they are read anew on SIGHUP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256

import structlog
from msgspec.structs import replace

from worker.config import Config, ConfigError
from worker.config.console import Console, Operator

log = structlog.get_logger()

TO_DO = (
    "`payproof doctor` says what is wrong with each; mend it, and send SIGHUP again. The operators stay as they were"
)


RESTART_ALL = "`second_person_from` is another in the configuration by now: restart every process, or two limits hold"
NO_CONSOLE = "this process shows no console, as it had no operators when it started, or has not the role: restart it"


class Operators:
    """`console` is `[console]` of the configuration as it was last read; its limit is that of the start.

    The other processes keep the limit that they started with, and the smaller one would be passed by another process.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.renewed = asyncio.Event()
        """Set at the start and whenever the operators were read anew; who acts on it clears it."""
        self.renewed.set()

    def named(self, name: str) -> Operator | None:
        return self.console.operator(name)

    def of_session(self, name: str, credentials: str) -> Operator | None:
        """The operator whose session this is, from its name and its digest; None where it fits nobody any more."""
        operator = self.named(name)
        return operator if operator is not None and credentials_of(operator) == credentials else None

    def read_anew(self, load: Callable[[], Config] | None) -> None:
        """Take `[console]` from the configuration as `load` reads it. A configuration with problems changes nothing.

        `load` is None in a process that shows no console: it goes on, and says that it has to be restarted.
        """
        if load is None:
            log.error("operators.not_read", problems=["console.operators"], to_do=NO_CONSOLE)
            return
        try:
            console = load().console
        except ConfigError as error:
            problems = [one.path for one in error.problems]
            log.error("operators.not_read", problems=problems, to_do=TO_DO)  # noqa: TRY400
        else:
            if console.second_person_from != self.console.second_person_from:
                log.warning("operators.limit_kept", limit=self.console.second_person_from, to_do=RESTART_ALL)
            self.console = replace(console, second_person_from=self.console.second_person_from)
            self.renewed.set()
            log.info("operators.read", operators=len(console.operators))


def credentials_of(operator: Operator) -> str:
    """A digest of the operator's secrets: a session goes on only while it stays the same."""
    secrets = [secret.reveal() if secret else "" for secret in (operator.password, operator.totp)]
    return sha256("\0".join((operator.name, *secrets)).encode()).hexdigest()
