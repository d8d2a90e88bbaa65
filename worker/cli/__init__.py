"""`payproof`: the commands, each in the file of its noun.

Exit codes: 0 done, 1 it did not hold, 2 wrong usage or configuration.

A command's machinery is imported when it runs, so that `payproof --help` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number
from rich.console import Console

from worker.cli.archived_callback import archive
from worker.cli.audit_command import audit
from worker.cli.bench import bench
from worker.cli.command_errors import FAILURES, WrongUsage, explain_failure, only_failure
from worker.cli.dead import dead
from worker.cli.dev_command import dev, init_sandbox
from worker.cli.event_tail import events
from worker.cli.explain_command import explain
from worker.cli.find_command import find
from worker.cli.gateways_command import gateways
from worker.cli.held_command import held
from worker.cli.listen_command import listen
from worker.cli.operator_command import operator
from worker.cli.payment_commands import payments
from worker.cli.reconcile import reconcile
from worker.cli.sandbox_command import sandbox
from worker.cli.status_command import status
from worker.cli.trigger_command import trigger
from worker.cli.webhook_commands import webhooks

app = App(
    name="payproof",
    help="A browser redirect is a hint. Payproof turns it into proof.",
    version=lambda: version("payproof"),
    default_parameter=Parameter(show_default=lambda value: None if value in (None, False, ()) else value),
)
app.command(status)
app.command(payments)
app.command(events)
app.command(explain)
app.command(find)
app.command(held)
app.command(listen)
app.command(gateways)
app.command(audit)
app.command(dead)
app.command(webhooks)
app.command(reconcile)
app.command(sandbox)
app.command(bench)
app.command(archive)
app.command(operator)
app.command(dev)
app.command(trigger)

Roles = Annotated[str | None, Parameter(help="Some of ingress,consume,sweep,relay,deliver,reconcile,console.")]
DONE, DID_NOT_HOLD, WRONG_USAGE = 0, 1, 2


@app.command
def init(
    path: Path = Path("payproof.toml"),
    *,
    sandbox: Annotated[bool, Parameter(help="With every account at the simulated gateways.", negative=())] = False,
    sandbox_port: Annotated[
        int,
        Parameter(
            help="Where the sandbox listens.", env_var="PAYPROOF_SANDBOX_PORT", validator=Number(gte=1, lte=65535)
        ),
    ] = 8090,
) -> int:
    """Write a commented configuration to PATH; with --sandbox one for `payproof dev`.

    That one runs as it is: its key and secrets are drawn into .env beside it.
    """
    from worker.cli.configured import write_starter

    if sandbox:
        return init_sandbox(path, sandbox_port)
    try:
        write_starter(path)
    except FileExistsError:
        raise WrongUsage(f"{path} exists; it was left as it is") from None
    except OSError as error:
        raise WrongUsage(f"{path}: {error.strerror}") from None
    print(f"{path} is written; set the variables it names, then run: payproof doctor")
    return DONE


@app.command
def serve(*, roles: Roles = None) -> int:
    """Run the service until SIGTERM; without --roles, all of them in one process."""
    from worker.runtime.stop_signals import StopSignals

    signals = StopSignals()  # before the other imports, which take half a second
    from worker import process
    from worker.cli.configured import configuration_served

    chosen = _chosen(roles)
    try:
        process.serve_roles(configuration_served(chosen), chosen, signals)
    except ExceptionGroup as group:
        failure = only_failure(group)
        if failure is None:
            raise
        raise failure from None
    return DONE


@app.command
def migrate(*, restored: bool = False) -> int:
    """Bring the database to the present schema. --restored, after restoring a backup: raise every version by 1,000."""
    import asyncio

    from worker.cli.configured import configuration_served
    from worker.postgres.server.opened import opened
    from worker.postgres.server.restored import raise_versions
    from worker.postgres.server.schema import granted

    async def run() -> None:
        async with opened(configuration_served()) as database:
            print("the schema is up to date")
            if missing := await granted(database):
                print(
                    f"roles that the database's administrator has to create: {', '.join(missing)}; then run this again"
                )
            if restored:
                raised = await raise_versions(database)
                print(f"payments raised by 1,000 versions: {raised}; pending and held ones are looked at again")

    asyncio.run(run())
    return DONE


@app.command
def key(
    *,
    archive: Annotated[bool, Parameter(help="A new key for [archive] or [contacts].", negative=())] = False,
    webhook: Annotated[
        bool, Parameter(help="A new secret for [[merchants.webhooks]], which the receiver verifies by.", negative=())
    ] = False,
) -> int:
    """Print a new API key with the table for its hash, or a secret. Nothing is stored.

    A secret goes into the variable or file that payproof.toml names: secret = "env:PAYPROOF_WEBHOOK_SECRET".
    """
    from worker.config import keys
    from worker.runtime import encryption

    if archive and webhook:
        raise WrongUsage("--webhook: is not for --archive")
    if webhook:
        print(keys.new_webhook_secret())
        return DONE
    if archive:
        print(encryption.new_archive_key())
        return DONE
    made = keys.new_api_key()
    print(f"key:  {made}")
    print(f'hash: "{keys.hashed(made)}"')
    print("The shop gets the key, which is shown only now. The configuration gets the hash, beside the old key's:\n")
    print(f"{keys.NEW_TABLE.format(hash=keys.hashed(made))}\n")
    print("Add resolve where the key may decide on held payments. In api_keys a hash may all but resolve.")
    return DONE


@app.command
def doctor(*, roles: Roles = None, webhooks: bool = False) -> int:
    """Check the configuration, the broker, the database, each account's gateway and each webhook endpoint, in words.

    --roles, in a process's own place: with the secrets that these roles use, and no others. --webhooks sends each
    endpoint a signed test event.
    """
    from worker.cli.doctor import examine

    if webhooks and "deliver" not in _chosen(roles):
        raise WrongUsage("--webhooks: is for the role deliver")
    return DONE if examine(_chosen(roles), webhooks=webhooks) else DID_NOT_HOLD


@app.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion for a shell.

    For bash, with the package bash-completion, in a directory that is made once:
    payproof completion bash > ~/.local/share/bash-completion/completions/payproof
    """
    print(app.generate_completion(shell=shell))
    return DONE


@app.command
def demo(*, exit: bool = False) -> int:  # noqa: A002 - the option is called --exit
    """Take a simulated shopper through every gateway and every trouble; nothing else needs to be installed."""
    from worker.playground.demo import play_demo as run

    return run(exit_after=exit)


def _chosen(roles: str | None) -> tuple[str, ...]:
    """The roles of the option; without it, all of them. Raises WrongUsage."""
    from worker.process import ROLES

    chosen = ROLES if roles is None else tuple(role.strip() for role in roles.split(","))
    if unknown := sorted(set(chosen) - set(ROLES)):
        raise WrongUsage(f"--roles: {', '.join(unknown)} is none of {', '.join(ROLES)}")
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    console = Console(stderr=True)
    try:
        code = app(arguments, exit_on_error=False, result_action="return_value", error_console=console)
    except CycloptsError:
        sys.exit(WRONG_USAGE)  # cyclopts printed the error
    except FAILURES as error:
        sys.exit(explain_failure(error, console))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code or DONE)
