"""`payproof payments`: payments are listed, shown and verified, and held payments are resolved.

A person here may look at every merchant's payments. So any id is looked up under each merchant; only a list is of one
merchant.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console

from schemas.payments import Payment
from schemas.shown import view
from schemas.words import Hold, Status
from worker.cli.command_errors import CommandFailed, WrongUsage
from worker.cli.list_output import LISTED, ListOptions, print_list
from worker.cli.payment_meant import payment_meant
from worker.cli.resolve_command import list_proposals, resolve_payment_command
from worker.cli.show_evidence import print_evidence

if TYPE_CHECKING:
    from consumers.account import Account
    from schemas.requests import ListQuery
    from worker.config import Config

payments = App(name="payments", help="List, show, verify and resolve payments.")
payments.command(resolve_payment_command, name="resolve")
payments.command(list_proposals, name="proposals")


@payments.command(name="list")
def list_payments_command(
    *,
    merchant: Annotated[str | None, Parameter(help="Needed where there are several.")] = None,
    q: Annotated[str | None, Parameter(name="--id", help="Any id of it, capitals or not.")] = None,
    status: Status | None = None,
    hold: Annotated[str | None, Parameter(help="A reason, any or none.")] = None,
    account: str | None = None,
    provider: Annotated[str | None, Parameter(help="The gateway's name.")] = None,
    reference: str | None = None,
    order: str | None = None,
    transaction_id: str | None = None,
    session_id: str | None = None,
    from_: Annotated[str | None, Parameter(name="--from", help="Opened from this day in Dhaka, or time, on.")] = None,
    to: Annotated[str | None, Parameter(help="Opened up to this day, or before this time.")] = None,
    amount_min: str | None = None,
    amount_max: str | None = None,
    limit: Annotated[int, Parameter(help="1 to 100.", validator=Number(gte=1, lte=100))] = 20,
    listed: ListOptions = LISTED,
) -> int:
    """List payments, newest first, with the sums of all matches. --hold any, or a reason, is the work list."""
    from msgspec.structs import asdict

    from schemas.shown import PaymentView
    from worker.cli.configured import configuration, merchant_meant
    from worker.cli.held_command import COLUMNS as HELD_COLUMNS
    from worker.cli.held_command import held_records
    from worker.cli.payment_rows import print_held, print_page
    from worker.postgres.reads.held_list import HeldList, read_held
    from worker.postgres.reads.reading import PageWithSummary, read_whole_page
    from worker.postgres.server.opened import opened_as_it_is

    if hold is not None and hold not in {*Hold, "any", "none"}:
        raise WrongUsage(f"--hold: {hold} is none of any, none, {', '.join(Hold)}")
    query = _query(
        {
            "q": q,
            "status": status,
            "hold": hold,
            "account": account,
            "provider": provider,
            "order": order,
            "reference": reference,
            "transaction_id": transaction_id,
            "session_id": session_id,
            "from": from_,
            "to": to,
            "amount_min": amount_min,
            "amount_max": amount_max,
        },
        limit,
    )

    async def read() -> PageWithSummary | HeldList:
        config = configuration()
        whose = merchant_meant(config, merchant)
        _warn_of_account(config, whose, account)
        async with opened_as_it_is(config) as database:
            if hold not in (None, "none"):
                return await read_held(database, [whose], query, config.accounts, config.checks)
            return await read_whole_page(database, whose, query)

    found = asyncio.run(read())
    if isinstance(found, HeldList):
        print_list(listed, HELD_COLUMNS, held_records(found), lambda: print_held(found))
        return 0
    records = [asdict(view(payment)) for payment in found.payments]
    print_list(listed, PaymentView.__struct_fields__, records, lambda: print_page(found, listed))
    return 0


@payments.command(name="show")
def show_payment(payment_id: str) -> int:
    """Show a payment as the API does, its timeline, an entry a line, and the evidence if it is held."""
    from consumers.explain.evidence import evidence
    from worker.cli.configured import configuration
    from worker.postgres.reads.snapshots import read_dossier
    from worker.postgres.reads.timeline import timeline_pages
    from worker.postgres.server.opened import opened_as_it_is

    async def run() -> None:
        config, console = configuration(), Console(soft_wrap=True)
        async with opened_as_it_is(config) as database:
            payment = await payment_meant(config, database, payment_id)
            snapshot = await read_dossier(database, payment.id, config.account(payment.account), config.checks)
            if snapshot is None:
                raise CommandFailed(f"there is no payment {payment_id}")
            console.print_json(as_json(view(snapshot.payment)))
            if found := evidence(snapshot):
                print_evidence(Console(highlight=False), payment.id, found, snapshot.now)
            async for page in timeline_pages(database, payment.id):
                for entry in page:
                    console.print_json(as_json(entry), indent=None)

    asyncio.run(run())
    return 0


@payments.command
def verify(payment_id: str) -> int:
    """Ask the gateway now, and wait for its answer; a running `serve` does the asking."""
    payment = asyncio.run(_verify(payment_id))
    print(f"{payment.id} is {payment.status}" + (f", held: {payment.hold}" if payment.hold else ""))
    return 0


async def _verify(payment_id: str) -> Payment:
    from consumers.checks.planned_questions import can_ask
    from consumers.timing import TIMING
    from worker.cli.commanded import commanded
    from worker.cli.configured import configuration
    from worker.postgres.queue.claim_queue import PostgresBus
    from worker.postgres.server.opened import opened_as_it_is
    from worker.verify.ask_now import ask_now

    config = configuration()
    async with opened_as_it_is(config) as database:
        payment = await payment_meant(config, database, payment_id)
        capabilities = configured_account(config, payment).provider.capabilities
        if not capabilities.asked_by:
            raise CommandFailed(f"{payment.id} is {payment.status}; its gateway has no status API that could be asked")
        if not can_ask(payment, capabilities):
            raise CommandFailed(
                f"{payment.id} is {payment.status}; no id is known yet that its gateway can be asked by"
            )
        seconds = TIMING.verify_wait.total_seconds()
        asked = commanded("payment.verified", merchant=payment.merchant, payment_id=payment.id)
        payment, answered = await ask_now(database, PostgresBus(database), payment, seconds, asked)
        if not answered:
            raise CommandFailed(
                f"{payment.id} is {payment.status}; no answer came within {seconds:.0f} s: the gateway gave none "
                "(payproof explain tells), or no `payproof serve` is running; the question stays queued"
            )
        return payment


def _query(given: Mapping[str, str | None], limit: int) -> ListQuery:
    """The query of these filters. Raises WrongUsage with every option that is wrong."""
    from worker.postgres.reads.list_filters import read_filters

    query, wrong = read_filters({name: value for name, value in given.items() if value is not None}, limit)
    if wrong:
        options = {"q": "id"}
        raise WrongUsage(
            "\n".join(f"--{options.get(one.field, one.field).replace('_', '-')}: {one.message}" for one in wrong)
        )
    return query


def _warn_of_account(config: Config, merchant: str, account: str | None) -> None:
    """Print a warning on stderr for an account that is not configured. Its payments, if any, are still listed."""
    ids = [one.id for one in config.accounts if one.merchant == merchant]
    if account is not None and account not in ids:
        print(f"--account: {account} is not configured; there are {', '.join(ids)}", file=sys.stderr)


def configured_account(config: Config, payment: Payment) -> Account:
    account = config.account(payment.account)
    if account is None:
        raise CommandFailed(f"account_not_configured: the account {payment.account} is no longer in the configuration")
    return account


def as_json(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
