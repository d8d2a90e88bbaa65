"""`payproof payments resolve` and `proposals`: what a decision changes is shown first, and then confirmed.

Where two people decide, the decision is proposed here. It is approved in the console alone.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from schemas.words import Status
from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.cli.list_output import LISTED, ListOptions, print_list
from worker.terminal_text import agreed, print_line, printable_line

if TYPE_CHECKING:
    from consumers.commands.preview import Preview
    from consumers.commands.resolve import ResolutionRequest
    from schemas.payments import Payment
    from schemas.proposals import Origin, Proposal
    from worker.config import Config
    from worker.postgres.database import Database


COLUMNS = (
    *("id", "payment_id", "merchant", "version", "status", "transaction_id", "reason", "evidence", "state"),
    *("proposed_by", "proposed_via", "proposed_key", "proposed_from", "proposed_at", "decided_by", "decided_at"),
)


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What a person sees before they decide. `differs`: what differs, in words; empty where the payment is not held.

    `basis`: see consumers.commands.basis.
    """

    payment: Payment
    basis: str
    preview: Preview
    differs: str
    two_people: bool


def resolve_payment_command(
    payment_id: str,
    *,
    status: Status,
    reason: str,
    actor: Annotated[str | None, Parameter(help="Who decides; you, unless given.")] = None,
    evidence: Annotated[str | None, Parameter(help="What it rests on, such as a statement's line.")] = None,
    transaction_id: Annotated[str | None, Parameter(help="The gateway's, where the payment has none.")] = None,
    version: Annotated[
        int | None, Parameter(help="The version you decide on; refused if it is another by now.")
    ] = None,
    yes: Annotated[bool, Parameter(help="Do not ask.", negative="")] = False,
) -> int:
    """Resolve a held payment: to its present status or a higher one. It shows what changes, and asks.

    Where a second person has to approve it, it is proposed; the console is where it is approved.
    """
    wanted = _wanted(status, actor or _you(), reason, evidence, transaction_id)
    if not yes and not sys.stdin.isatty():
        raise WrongUsage("--yes is needed where nobody can be asked")

    from msgspec.structs import replace

    from worker.cli.configured import configuration
    from worker.postgres.server.opened import opened_as_it_is

    config = configuration()

    async def look() -> _Shown:
        async with opened_as_it_is(config) as database:
            return await _looked_at(config, database, payment_id, replace(wanted, version=version))

    async def act(seen: _Shown) -> Payment | Proposal:
        async with opened_as_it_is(config) as database:
            # What was shown is what is decided on: another version, or another answer, by now is refused.
            return await _decided(config, database, seen, replace(wanted, version=seen.payment.version))

    shown = asyncio.run(look())
    if shown.preview.already:
        print(_outcome(shown.payment))
        return 0
    _print_preview(shown)
    if not yes and not agreed("Propose it?" if shown.two_people else "Decide so?"):
        raise CommandFailed("nothing was changed")
    decided = asyncio.run(act(shown))
    print(_outcome(decided))
    return 0


def list_proposals(
    *,
    merchant: Annotated[str | None, Parameter(help="Of one merchant; of all, unless given.")] = None,
    listed: ListOptions = LISTED,
) -> int:
    """List the proposals that wait for a second person, or to be applied, oldest first. The console approves them."""
    from msgspec.structs import asdict

    from worker.cli.configured import configuration, merchant_meant
    from worker.postgres.proposal_reads import waiting_proposals
    from worker.postgres.server.opened import opened_as_it_is

    async def read() -> tuple[list[Proposal], datetime]:
        config = configuration()
        ids = [one.id for one in config.merchants] if merchant is None else [merchant_meant(config, merchant)]
        async with opened_as_it_is(config) as database:
            return await waiting_proposals(database, ids), database.clock.now()

    waiting, now = asyncio.run(read())
    print_list(listed, COLUMNS, [asdict(one) for one in waiting], lambda: _print_waiting(waiting, now, listed))
    return 0


def _print_waiting(waiting: list[Proposal], now: datetime, listed: ListOptions) -> None:
    from worker.runtime.idle_roles import nobody_takes

    for one in waiting:
        at = f"{listed.time(one.proposed_at)} ({listed.tz})"
        says = f"{one.proposed_by} proposed at {at} to resolve it as {one.status}: {one.reason}"
        if one.decided_at is not None:
            says += f"; {one.decided_by} approved. {nobody_takes('consume', one.decided_at, now) or ''}".rstrip()
        print_line(
            Console(highlight=False), Text(one.payment_id, "bold"), Text(f"{one.state}: {says} ({one.id})"), width=30
        )
    print(f"{len(waiting)} waiting" if waiting else "no proposal waits for a second person")


def _wanted(
    status: Status, actor: str, reason: str, evidence: str | None, transaction_id: str | None
) -> ResolutionRequest:
    """The request. Raises WrongUsage with every option that is wrong."""
    from consumers.commands.resolve import ResolutionRequest
    from schemas.request_shape import Wrong
    from schemas.requests import RESOLUTION

    given = {
        "status": status.value,
        "actor": actor,
        "reason": reason,
        "evidence": evidence,
        "transaction_id": transaction_id,
    }
    wrong: list[Wrong] = []
    found = RESOLUTION.read({name: value for name, value in given.items() if value is not None}, wrong)
    if wrong:
        raise WrongUsage("\n".join(f"--{one.field.replace('_', '-')}: {one.message}" for one in wrong))
    return ResolutionRequest(**{**found, "status": status})


async def _looked_at(config: Config, database: Database, payment_id: str, wanted: ResolutionRequest) -> _Shown:
    from consumers.commands.basis import basis_of
    from consumers.commands.preview import preview
    from consumers.commands.resolve import ResolutionRefused
    from consumers.money.at_stake import needs_second_person
    from worker.cli.payment_commands import configured_account
    from worker.cli.payment_meant import payment_meant
    from worker.config import rules_of
    from worker.postgres.reads.differences import read_differences
    from worker.postgres.reads.snapshots import read_for_decision

    payment = await payment_meant(config, database, payment_id)
    configured_account(config, payment)
    read = await read_for_decision(database, payment.id, wanted.transaction_id)
    if read is None:
        raise CommandFailed(f"there is no payment {payment_id}")
    case, others, now = read
    rules = rules_of(config)
    try:
        found = await preview(case, rules, wanted, others, now)
    except ResolutionRefused as error:
        raise CommandFailed(f"{error.code}: {error}") from None
    differences = await read_differences(database, [case.payment], config.accounts, config.checks)
    return _Shown(
        payment=case.payment,
        basis=basis_of(case, others),
        preview=found,
        differs=differences[payment.id],
        two_people=needs_second_person(case, rules.second_person_from),
    )


async def _decided(config: Config, database: Database, seen: _Shown, wanted: ResolutionRequest) -> Payment | Proposal:
    from consumers.commands.resolve import ResolutionRefused
    from worker.config import rules_of
    from worker.postgres.deciding import decide
    from worker.postgres.ledger.postgres_ledger import PostgresLedger

    try:
        ledger, origin = PostgresLedger(database), _origin(wanted.actor)
        return await decide(database, ledger, rules_of(config), seen.payment.id, wanted, origin, seen.basis)
    except ResolutionRefused as error:
        raise CommandFailed(f"{error.code}: {error}") from None


def _print_preview(shown: _Shown) -> None:
    payment, found = shown.payment, shown.preview
    print(f"{payment.id}, {payment.amount:.2f} {payment.currency}, is {payment.status}, held: {payment.hold}")
    Console(highlight=False).print(printable_line(Text(f"What differs: {shown.differs}")), soft_wrap=True)
    for one in found.changes:
        of = f" of {payment.amount:.2f}" if one.field == "accepted_amount" and one.after else ""
        print(f"  {one.field}: {_said(one.before)} becomes {_said(one.after)}{of}")
    event = f"{found.event}, version {found.version}," if found.event is not None else "Nothing"
    print(f"{event} will be delivered to the shop.")
    if shown.two_people:
        print("Two people decide about this amount: this proposes it, and another person approves it in the console.")


def _outcome(decided: Payment | Proposal) -> str:
    from schemas.payments import Payment

    if isinstance(decided, Payment):
        still = f", still held: {decided.hold}" if decided.hold else ""
        return f"{decided.id} is {decided.status}{still}"
    return f"{decided.payment_id} stays held: proposed as {decided.id}, and a second person approves it in the console"


def _origin(actor: str) -> Origin:
    from schemas.proposals import Origin

    return Origin(actor=actor, via="command", address=f"{_user() or 'unknown'}@{os.uname().nodename}")


def _said(value: str | None) -> str:
    return "nothing" if value is None else value


def _you() -> str:
    if (user := _user()) is None:
        raise WrongUsage("--actor: is needed, because your user has no name here")
    return user


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return None
