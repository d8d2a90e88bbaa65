"""`payproof dead`: dead letters are listed, shown, replayed or dropped.

A letter holds a callback as received. Only the ids in it that a timeline shows too are printed, the rest is masked.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.text import Text

from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.console import agreed

if TYPE_CHECKING:
    from worker.cli.dead_letter_stores import DeadLetters
    from worker.dead_letters import CheckedOut, DeadLetter

dead = App(name="dead", help="Look at claims, replies and expected payments that were put aside; replay or drop them.")


@dead.command(name="list")
def list_dead_letters(
    *,
    provider: Annotated[str | None, Parameter(help="Those of one gateway alone.")] = None,
    limit: Annotated[int, Parameter(help="At most so many.", validator=Number(gte=1))] = 50,
    json: Annotated[bool, Parameter(help="One JSON line each.", negative="")] = False,
) -> int:
    """List dead letters, oldest first, those in Postgres and those at the broker together."""
    from worker.cli.configured import configuration
    from worker.cli.dead_letter_stores import open_dead_letters

    async def run() -> int:
        async with open_dead_letters(configuration()) as found:
            letters = _of_gateway(found.letters, provider)
            _print_letters(letters[:limit], json=json)
            if not json:
                shown = f"; the oldest {limit} are shown" if len(letters) > limit else ""
                print(f"{len(letters)} in all: {found.counted(letters)}{shown}")
            return found.verdict()

    return asyncio.run(run())


@dead.command(name="show")
def show_dead_letter(letter_id: str) -> int:
    """Show a letter, which may be named by the beginning of its id; personal data is hidden."""
    from worker.cli.configured import configuration
    from worker.cli.dead_letter_stores import open_dead_letters

    async def run() -> int:
        async with open_dead_letters(configuration()) as found:
            async for opened in found.open(found.find(letter_id)):
                Console(soft_wrap=True).print_json(_told(opened))
            return found.verdict()

    return asyncio.run(run())


@dead.command(name="replay")
def replay_dead_letters(
    *letter_ids: str,
    all_: Annotated[bool, Parameter(name="--all", help="Every one that can be.", negative="")] = False,
    provider: Annotated[str | None, Parameter(help="With --all: those of one gateway alone.")] = None,
) -> int:
    """Publish letters again, record replies, and remove the letters. A claim that is taken twice does no harm."""
    from worker.cli.configured import configuration
    from worker.cli.dead_letter_stores import open_dead_letters

    if bool(letter_ids) == all_:
        raise WrongUsage("--all goes without ids" if all_ else "name letters, or say --all")
    if provider is not None and not all_:
        raise WrongUsage("--provider goes with --all")

    async def run() -> int:
        async with open_dead_letters(configuration()) as found:
            letters = _of_gateway(found.letters, provider) if all_ else _letters_named(found, letter_ids)
            return await found.replay(letters)

    return asyncio.run(run())


@dead.command
def drop(
    *letter_ids: str,
    reason: Annotated[str, Parameter(help="Why; it is logged.")],
    yes: Annotated[bool, Parameter(help="Do not ask.", negative="")] = False,
) -> int:
    """Remove letters for good; they have no effect any more."""
    from worker.cli.configured import configuration
    from worker.cli.dead_letter_stores import open_dead_letters

    if not letter_ids:
        raise WrongUsage("name letters")
    if not reason.strip():
        raise WrongUsage("--reason: must say why")
    if not yes and not sys.stdin.isatty():
        raise WrongUsage("--yes is needed where nobody can be asked")

    config = configuration()

    async def look() -> list[DeadLetter]:
        async with open_dead_letters(config) as found:
            return _letters_named(found, letter_ids)

    async def remove(letters: Sequence[DeadLetter]) -> int:
        async with open_dead_letters(config) as found:
            return await found.drop(letters, reason.strip())

    letters = asyncio.run(look())
    if not yes:
        _print_letters(letters, json=False)
        what = "this letter" if len(letters) == 1 else f"these {len(letters)} letters"
        if not agreed(f"Drop {what} for good?"):
            raise CommandFailed("nothing was dropped")
    return asyncio.run(remove(letters))


def _of_gateway(letters: Sequence[DeadLetter], provider: str | None) -> list[DeadLetter]:
    return [one for one in letters if provider in (None, one.provider)]


def _letters_named(found: DeadLetters, typed: Sequence[str]) -> list[DeadLetter]:
    """Each letter once, even if it was named twice. All are found before any is touched."""
    ids = {letter.id for one in typed for letter in found.find(one)}
    return [letter for letter in found.letters if letter.id in ids]


def _print_letters(letters: list[DeadLetter], *, json: bool) -> None:
    """A line each in a pipe, for grep; two on a terminal, because nothing may be cut off."""
    from worker.cli.dead_letter_stores import WHERE

    console = Console(highlight=False)
    between = "\n    " if console.is_terminal else "  "
    for one in letters:
        if json:
            sys.stdout.write(_json(one) + "\n")
            continue
        what = {"claim": one.provider, "reply": f"reply of {one.provider}", "expected": "expected payment"}[one.kind]
        since = f"{one.since:%Y-%m-%d %H:%M:%SZ}" if one.since else "long ago"
        unreadable = "; cannot be read" if one.unreadable else ""
        about = f"  {since}  {what}{between}{one.payment_id or '-'}  "
        console.print(
            Text.assemble((one.id, "bold"), about, WHERE[one.place], f": {one.reason}{unreadable}"), soft_wrap=True
        )


def _told(opened: CheckedOut) -> str:
    from msgspec.structs import asdict

    from schemas.callbacks import read_claim
    from schemas.letters import read_kept_reply
    from worker.telemetry.redaction import masked_body, masked_callback, masked_expected

    told = asdict(opened.letter)
    if opened.letter.kind == "expected":
        return _json(told | {"body": masked_expected(opened.body)})
    if opened.letter.unreadable is not None:
        return _json(told | {"body": masked_body(opened.body)})
    if opened.letter.kind == "reply":
        return _json(told | {"reply": read_kept_reply(opened.body)})
    claim = read_claim(opened.body)
    told["claim"] = {key: value for key, value in asdict(claim).items() if value is not None and key != "callback"}
    if claim.callback is not None:
        told["callback"] = masked_callback(claim.callback, claim)
    return _json(told)


def _json(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
