"""`payproof dev`, and what `payproof init --sandbox` writes for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from worker.cli.command_errors import CommandFailed, WrongUsage


def init_sandbox(path: Path, port: int) -> int:
    """Write the configuration for `payproof dev`, and say what to do with it. Raises WrongUsage."""
    from worker.config.environment import DEFAULT_CONFIG
    from worker.playground.dev.starting_files import write_starting_files

    try:
        write_starting_files(path, f"http://127.0.0.1:{port}")
    except FileExistsError as error:
        raise WrongUsage(
            f"{error.filename} exists; it was left as it is, and nothing was written. Both files may have a "
            "directory of their own: mkdir payproof && payproof init --sandbox payproof/payproof.toml"
        ) from None
    except OSError as error:
        raise WrongUsage(f"{error.filename}: {error.strerror}") from None
    print(f"{path} is written, with an account at each simulated gateway, and its key and secrets in .env beside it.")
    named = "" if path == Path(DEFAULT_CONFIG) else f"PAYPROOF_CONFIG={path} "
    print(f"Run it all:         {named}payproof dev")
    print(f"Then, beside it:    {named}payproof trigger completed")
    return 0


def dev(
    *, code: Annotated[bool, Parameter(help="Print the console's one-time code of now, and end.", negative=())] = False
) -> int:
    """Run the sandbox, the service, its console and a demo shop until Ctrl-C, as `payproof init --sandbox` wrote them.

    It prints the addresses, the API key, the webhook secret, who may sign in to the console, and requests to paste.
    What happened stays in PAYPROOF_DATA_DIR for the next time. The database, the broker and all secrets are those of
    .env; without them there, it has a database of its own and no broker.
    """
    from worker.cli.configured import configuration
    from worker.config.env_file import environment_here, unused
    from worker.playground.demo.children import ChildError
    from worker.playground.dev.addresses import NotForDev
    from worker.playground.dev.running import run_dev
    from worker.playground.dev.shown_start import present_code

    config = configuration()
    environ = environment_here(os.environ)
    try:
        if code:
            print(present_code(config))
            return 0
        if config.development and (names := unused(os.environ, environ)):
            print(f"Not used, since they are not so in .env: {', '.join(names)}", flush=True)
        return run_dev(config, environ)
    except NotForDev as error:
        raise WrongUsage(str(error)) from None
    except ChildError as error:
        raise CommandFailed(str(error)) from None
