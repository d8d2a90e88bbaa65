"""`payproof bench`: measures this installation, at an account whose gateway is the sandbox.

A real gateway must get no load: nothing is sent before a sandbox has proven itself.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from worker.cli.command_errors import CommandFailed, WrongUsage

if TYPE_CHECKING:
    from consumers.account import Account
    from worker.config import Config
    from worker.playground.bench.figures import Figures

MOST_PER_SECOND, MOST_SECONDS = 200, 60
LONGEST_SECONDS = 900.0


def bench(
    *,
    account: Annotated[str | None, Parameter(help="One at a sandbox; needed where there are several.")] = None,
    key: Annotated[str, Parameter(help="The merchant's API key: env:NAME, file:PATH, or the key itself.")],
    url: Annotated[
        str | None, Parameter(help="Where the API is reached; without, PAYPROOF_PUBLIC_URL or the listen address.")
    ] = None,
    rate: Annotated[
        int,
        Parameter(help=f"Callbacks a second, at most {MOST_PER_SECOND}.", validator=Number(gte=1, lte=MOST_PER_SECOND)),
    ] = 20,
    seconds: Annotated[
        int, Parameter(help=f"For how long, at most {MOST_SECONDS}.", validator=Number(gte=1, lte=MOST_SECONDS))
    ] = 10,
    by: Annotated[
        Literal["return", "webhook"],
        Parameter(help="The callback: the buyer's return, or the gateway's signed webhook, which the sandbox sends."),
    ] = "return",
) -> int:
    """Measure the service that runs: from a callback to its verified event, at a fixed rate.

    Payments are opened over the API at an account whose gateway is a payproof sandbox and paid there, and callbacks are
    sent to the service; the time ends when `payment.completed` is seen in /v1/events. They stay in the database, and
    the shop's webhooks and subscribers hear of them. It refuses an account whose gateway is anything but a sandbox.
    """
    from worker.cli.configured import configuration

    config = configuration()
    meant = _account(config, account)
    if by == "webhook" and not meant.provider.capabilities.signs:
        raise WrongUsage(f"--by: the gateway of {meant.id} sends no signed webhooks")
    revealed = _key(config, meant, key)
    figures = asyncio.run(_measure(meant, (url or config.settings.public_url).rstrip("/"), revealed, rate, seconds, by))
    _print(meant, figures, rate, seconds, by)
    return 1 if figures.failures else 0


async def _measure(
    account: Account, url: str, key: str, rate: int, seconds: int, by: Literal["return", "webhook"]
) -> Figures:
    import aiohttp

    from worker.cli.bar import bar
    from worker.playground.bench.figures import add_up
    from worker.playground.bench.load import Load
    from worker.playground.bench.sandboxed import NotASandbox, sandbox_of
    from worker.playground.demo.control import ControlError
    from worker.playground.shop.client import AWAY, Payproof, Refused

    connector, jar = aiohttp.TCPConnector(limit=0), aiohttp.DummyCookieJar()
    try:
        async with (
            asyncio.timeout(LONGEST_SECONDS),
            aiohttp.ClientSession(connector=connector, cookie_jar=jar) as http,
        ):
            with bar("payments") as shown:
                shown.stretch("proving the sandbox", None)
                control = await sandbox_of(http, account)
                load = Load(http, Payproof(http, url, key), control, account, by)
                await load.prove()
                shown.stretch("opening", rate * seconds)
                payments = await load.open(rate * seconds, shown.rows)
                shown.stretch("sending callbacks, and waiting for the events", rate * seconds)
                return add_up(await load.play(payments, rate, shown.rows), seconds)
    except NotASandbox as refused:
        words = "no load is ever sent at a real gateway, and payproof sandbox runs the simulated ones"
        raise WrongUsage(f"{refused}; {words}") from None
    except (Refused, ControlError) as error:
        raise CommandFailed(str(error)) from None
    except TimeoutError:
        raise CommandFailed(f"the service at {url} gave no answer, or took too long in all") from None
    except AWAY as error:
        raise CommandFailed(f"the service at {url} cannot be reached ({type(error).__name__})") from None


def _account(config: Config, named: str | None) -> Account:
    """The account that was named, or the only one. Raises WrongUsage."""
    ids = [account.id for account in config.accounts]
    if named is None and len(ids) != 1:
        raise WrongUsage(f"--account: there are several: {', '.join(ids)}" if ids else "no account is configured")
    account = config.account(named or ids[0])
    if account is None:
        raise WrongUsage(f"--account: {named} is none of {', '.join(ids)}")
    if not account.provider.capabilities.asked_by:
        raise WrongUsage(f"--account: {account.id} has no status API, so none of its payments can be verified")
    return account


def _key(config: Config, account: Account, written: str) -> str:
    """The API key, of the account's merchant. Raises WrongUsage."""
    from worker.config.secrets import SecretError, Secrets

    try:
        revealed = Secrets(os.environ, Path.cwd()).resolve(written)[0].reveal()
    except SecretError as error:
        raise WrongUsage(f"--key: {error}") from None
    whose = config.caller_by_key(revealed)
    if whose is None or whose.merchant.id != account.merchant:
        raise WrongUsage(f"--key: is no API key of {account.merchant}, whose account {account.id} is")
    return revealed


def _print(account: Account, figures: Figures, rate: int, seconds: int, by: str) -> None:
    from worker.playground.bench.figures import percentile
    from worker.playground.bench.told_times import LOOK_SECONDS

    print(f"{figures.payments} payments at {account.id}, {rate} a second for {seconds} s, by {by}")
    print(f"accepted  {figures.accepted} callbacks, {figures.accepted_per_second:.1f} a second")
    print(f"verified  {len(figures.latencies)} payments")
    if figures.latencies:
        shares = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
        told = ", ".join(f"{name} {percentile(figures.latencies, share) * 1000:.0f} ms" for name, share in shares)
        print(f"callback to event  {told} (looked for every {LOOK_SECONDS * 1000:.0f} ms)")
    print(f"failed    {figures.failures.total()}")
    for why, count in figures.failures.most_common():
        print(f"  {count} times: {why}")
