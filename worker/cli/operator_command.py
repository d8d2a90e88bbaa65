"""`payproof operator`: makes the lines of an operator for the configuration. Nothing is stored."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

from cyclopts import Parameter

from schemas.words import OperatorRole
from worker.cli.command_errors import CommandFailed, WrongUsage

LEAST_PASSWORD = 12


def operator(
    name: str,
    *,
    role: Annotated[OperatorRole, Parameter(help="What the person may do.")],
    merchant: Annotated[
        list[str] | None, Parameter(help="Of these merchants alone; may be given again.", negative=())
    ] = None,
) -> int:
    """Make an operator of the console: ask for a password twice, and print the lines for payproof.toml.

    The secret of the one-time codes is new each time. It is printed once, as the URI that an authenticator app takes.
    """
    import json
    import re

    import msgspec

    from worker.config.console import Operator, totp_key
    from worker.console.passwords import LONGEST_PASSWORD, hash_password, new_totp, otpauth_uri

    try:
        msgspec.convert({"name": name, "role": role.value}, Operator)
    except msgspec.ValidationError:
        raise WrongUsage("NAME: 1 to 100 of A-Z, a-z, 0-9 and . _ @ + -, beginning with a letter or a digit") from None
    password = _asked("Password: ")
    if not LEAST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise CommandFailed(f"the password needs {LEAST_PASSWORD} characters or more")
    if password != _asked("The same again: "):
        raise CommandFailed("the two passwords differ")
    secret = new_totp()
    variable = "PAYPROOF_TOTP_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    lines = [
        "[[console.operators]]",
        f'name = "{name}"',
        f'role = "{role.value}"',
        *([f"merchants = {json.dumps(merchant)}"] if merchant else []),
        f'password = "{hash_password(password)}"',
        f'totp = "env:{variable}"',
    ]
    print("\n".join(lines))
    print(f"\n# For the console's environment alone; file:PATH of a secret file does as well:\n{variable}={secret}")
    print(
        f"# The person's authenticator app takes it from this URI:\n{otpauth_uri(name, totp_key(secret), 'Payproof')}"
    )
    print("# A running console reads its operators anew on SIGHUP; a new variable needs a restart.")
    return 0


def _asked(prompt: str) -> str:
    """A line from the terminal without showing it, or from a pipe."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    line = sys.stdin.readline()
    if not line:
        raise CommandFailed("no password came on standard input")
    return line.rstrip("\r\n")
