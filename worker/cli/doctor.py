"""`payproof doctor`: what is wrong, in words that a shopkeeper's developer understands.

The one thing to get wrong: the questions must be harmless. Gateways are asked about a payment that does not exist.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from urllib.parse import urlsplit

from rich.console import Console

from consumers.account import Account
from schemas.answers import Expected, Inconclusive, Outcome, Question, Stranger, Trouble
from worker.cli.configured import configuration
from worker.config import Config
from worker.config.rules import is_loopback
from worker.gateways import Gateways, gateways
from worker.postgres.tokens import PostgresTokens
from worker.process import opened

NOBODYS_PAYMENT = "payproof-doctor"


def examine() -> bool:
    """Print a line per finding; whether all is well."""
    config = configuration()
    console = Console()
    return asyncio.run(_examine(config, console))


async def _examine(config: Config, console: Console) -> bool:
    def say(well: bool, subject: str, words: str) -> bool:
        mark = "[green]ok[/]" if well else "[red]no[/]"
        console.print(f"{mark}  [bold]{subject}[/]  ", end="")
        console.print(words, markup=False, soft_wrap=True)
        return well

    findings = [say(True, "configuration", f"{len(config.merchants)} merchants, {len(config.accounts)} accounts")]
    for path in config.literal_secrets:
        console.print(f"[yellow]!![/]  [bold]{path}[/]  is written out in the file; env:NAME or file:PATH keeps it out")
    public = urlsplit(config.settings.public_url)
    abroad = [
        account for account in config.accounts if not is_loopback(urlsplit(account.provider.base_url).hostname or "")
    ]
    reachable = not abroad or (public.scheme == "https" and not is_loopback(public.hostname or ""))
    words = (
        "gateways and buyers reach us there" if reachable else "gateways and buyers elsewhere cannot reach it by https"
    )
    findings.append(say(reachable, "PAYPROOF_PUBLIC_URL", f"{config.settings.public_url}: {words}"))
    async with opened(config) as database:
        findings.append(say(True, "database", "reachable, schema up to date"))
        async with gateways(PostgresTokens(database)) as asking:
            for account in config.accounts:
                well, words = await _ask(asking, account)
                findings.append(say(well, f"account {account.id}", words))
    return all(findings)


async def _ask(asking: Gateways, account: Account) -> tuple[bool, str]:
    asked_by = account.provider.capabilities.asked_by
    if not asked_by:
        return True, "this gateway has no status API: payments claimed as paid are held for a person"
    question = Question(transaction_id=NOBODYS_PAYMENT if "transaction_id" in asked_by else None)
    expected = Expected(
        payment_id=NOBODYS_PAYMENT,
        reference=NOBODYS_PAYMENT,
        session_id=NOBODYS_PAYMENT,
        amount=Decimal("10.00"),
        currency="BDT",
    )
    return _verdict(await asking.ask(account, question, expected), account.provider.base_url)


def _verdict(outcome: Outcome, base_url: str) -> tuple[bool, str]:
    match outcome:
        case Stranger() | Inconclusive(trouble=Trouble.NOT_FOUND):
            return True, "reachable, and it accepts the key"
        case Inconclusive(trouble=Trouble.KEY_REFUSED):
            return False, f"it refuses the key or password: {outcome.detail}"
        case Inconclusive(trouble=Trouble.NO_REPLY):
            return False, f"{base_url} cannot be reached: {outcome.detail}"
        case Inconclusive(trouble=Trouble.UNREADABLE):
            return False, f"it answers, but not as this gateway should; is {base_url} right? {outcome.detail}"
        case Inconclusive():
            return False, f"it is in trouble just now: {outcome.detail}"
        case _:
            return True, "reachable, and it accepts the key"
