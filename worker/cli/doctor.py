"""`payproof doctor`: what is wrong, in words that a shopkeeper's developer understands.

The one thing to get wrong: the questions must be harmless. Gateways are asked about a payment that does not exist.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from consumers.account import Account
from schemas.answers import Expected, Inconclusive, Outcome, Question, Stranger, Trouble
from schemas.secret import Secret
from worker.amqp.examine import trouble
from worker.cli.configured import configuration
from worker.cli.lines import print_line
from worker.config import Config
from worker.config.rules import is_loopback
from worker.gateways import Gateways, gateways
from worker.postgres.identity import EmbeddedError
from worker.postgres.migrate import MigrationError
from worker.postgres.tokens import PostgresTokens
from worker.process import opened

NOBODYS_PAYMENT = "payproof-doctor"


def examine() -> bool:
    """Print a line per finding; whether all is well."""
    return asyncio.run(_examine(configuration(), Console(highlight=False)))


async def _examine(config: Config, console: Console) -> bool:
    def say(well: bool, subject: str, words: str) -> bool:
        mark = Text("ok", "green") if well else Text("no", "red")
        print_line(console, mark, Text.assemble((subject, "bold"), f": {words}"), width=2)
        return well

    findings = [say(True, "configuration", f"merchants: {len(config.merchants)}, accounts: {len(config.accounts)}")]
    for path in config.literal_secrets:
        advice = Text.assemble((path, "bold"), ": stands in the file itself; env:NAME or file:PATH keeps it out")
        print_line(console, Text("!!", "yellow"), advice, width=2)
    findings.append(say(*_public_url(config)))
    if config.settings.amqp_url is not None:
        findings.append(say(*await _broker(config, config.settings.amqp_url)))
    try:
        async with opened(config) as database:
            findings.append(say(True, "database", "reachable, schema up to date"))
            async with gateways(PostgresTokens(database)) as asking:
                for account in config.accounts:
                    well, words = await _ask(asking, account)
                    findings.append(say(well, f"account {account.id}", words))
    except (EmbeddedError, MigrationError) as error:
        findings.append(say(False, "database", f"{error}; without it no gateway was asked"))
    return all(findings)


def _public_url(config: Config) -> tuple[bool, str, str]:
    public = urlsplit(config.settings.public_url)
    abroad = any(not is_loopback(urlsplit(one.provider.base_url).hostname or "") for one in config.accounts)
    well = not abroad or (public.scheme == "https" and not is_loopback(public.hostname or ""))
    words = "gateways and buyers reach us there" if well else "gateways and buyers elsewhere cannot reach it by https"
    return well, "PAYPROOF_PUBLIC_URL", f"{config.settings.public_url}: {words}"


async def _broker(config: Config, url: Secret) -> tuple[bool, str, str]:
    found = await trouble(url, {account.provider.name for account in config.accounts})
    words = found or "reachable, it lets us in, its queues are as they must be, and it confirms what is published"
    return found is None, "broker", words


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
            return False, f"it refuses the key or password ({outcome.detail})"
        case Inconclusive(trouble=Trouble.NO_REPLY):
            return False, f"{base_url} cannot be reached ({outcome.detail})"
        case Inconclusive(trouble=Trouble.UNREADABLE):
            return False, f"it answers, but not as this gateway should; is {base_url} right? ({outcome.detail})"
        case Inconclusive():
            return False, f"it is in trouble just now ({outcome.detail})"
        case _:
            return True, "reachable, and it accepts the key"
