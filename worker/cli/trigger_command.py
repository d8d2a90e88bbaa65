"""`payproof trigger`: one payment at the sandbox that ends as a word says."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from worker.cli.command_errors import CommandFailed, WrongUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumers.account import Account
    from worker.playground.demo.story import Story
    from worker.playground.dev.playing_word import Installation, Played


def trigger(
    word: Annotated[str | None, Parameter(help="How the payment ends; without it, the words are listed.")] = None,
    *,
    account: Annotated[str | None, Parameter(help="At this account; without it, the first that can.")] = None,
    timeout: Annotated[
        float, Parameter(help="Seconds to wait for the event.", validator=Number(gt=0, lte=86_400))
    ] = 180.0,
) -> int:
    """Have a payment end at the sandbox as WORD says, and wait until its event is in /v1/events.

    The payment is opened over the API, a buyer acts at the gateway's page and comes back, and the gateway sends what it
    sends: what your shop receives is real. It needs PAYPROOF_API_KEY, from the environment or .env. A word that waits
    for an end moves that end in the database, so no word takes hours; held:unresolved takes as long as
    checks.give_up. It refuses an account whose gateway is anything but a sandbox.
    """
    from worker.cli.configured import configuration
    from worker.config.config_problems import suggestion
    from worker.config.shop_access import access_from
    from worker.playground.bench.sandboxed import root_of
    from worker.playground.dev.playing_word import Installation
    from worker.playground.dev.trigger_words import WORDS, accounts_for, story_of

    config = configuration()
    if word is None:
        for one in WORDS:
            print(f"{one:27} {', '.join(accounts_for(one, config.accounts)) or '-'}")
        return 0
    if word not in WORDS:
        raise WrongUsage(f"WORD: {word} is none of {', '.join(WORDS)}{suggestion(word, WORDS)}")
    meant = _account(word, config.accounts, account)
    story, root = story_of(word, meant), root_of(meant)
    if story is None:
        there = ", ".join(accounts_for(word, config.accounts)) or "none of these accounts"
        raise WrongUsage(f"WORD: {word} cannot happen at {meant.id} ({meant.provider.name}); it can at {there}")
    access = access_from(os.environ)
    installation = Installation(config, access.url, root or "", access.key)
    played = _played(installation, meant, story, timeout)
    _print(played, meant)
    return 0


def _account(word: str, accounts: Sequence[Account], named: str | None) -> Account:
    """The account that was named, or the first that has a story for the word, or else the first. Raises WrongUsage."""
    from worker.playground.dev.trigger_words import accounts_for

    ids = [account.id for account in accounts]
    if not ids:
        raise WrongUsage("no account is configured")
    if named is not None and named not in ids:
        raise WrongUsage(f"--account: {named} is none of {', '.join(ids)}")
    chosen = named or next(iter(accounts_for(word, accounts)), ids[0])
    return next(account for account in accounts if account.id == chosen)


def _played(installation: Installation, account: Account, story: Story, seconds: float) -> Played:
    """Play it. Raises WrongUsage and CommandFailed in the words of the side that refused."""
    from worker.playground.bench.sandboxed import NotASandbox
    from worker.playground.demo.control import ControlError
    from worker.playground.demo.waiting import Otherwise
    from worker.playground.dev.playing_word import play_word
    from worker.playground.shop.client import AWAY, Refused

    try:
        return asyncio.run(play_word(installation, account, story, seconds=seconds))
    except NotASandbox as refused:
        raise WrongUsage(f"{refused}; `payproof dev` runs the simulated gateways") from None
    except Refused as refused:
        raise CommandFailed(f"the service refused: {refused}") from None
    except ControlError as refused:
        raise CommandFailed(f"the sandbox refused: {refused}") from None
    except Otherwise as why:
        raise CommandFailed(f"{why}; `payproof explain` tells the story so far") from None
    except AWAY as error:
        raise CommandFailed(
            f"the service at {installation.url} cannot be reached ({type(error).__name__}); `payproof dev` runs it"
        ) from None


def _print(played: Played, account: Account) -> None:
    payment = played.payment
    told = payment["status"] + (f", held: {payment['hold']}" if payment["hold"] else "")
    print(f"payment  {payment['payment_id']} at {account.id}: {told}{', late' if payment['late'] else ''}")
    for event in played.events:
        print(f"event    {event.type} {event.id}")
    first = "" if played.seconds is None else f"{played.seconds:.3f} s from the first message to the event; "
    print(f"took     {first}{played.in_all:.1f} s in all")
    print(f"next     payproof explain {payment['payment_id']}")
