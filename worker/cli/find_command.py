"""`payproof find`: everything that has an id, or that is of a buyer: payments, endpoints, runs over statements."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from worker.cli.command_errors import CommandFailed
from worker.cli.list_output import LISTED, ListOptions, Record, print_list

if TYPE_CHECKING:
    from worker.postgres.reads.find import Found

COLUMNS = ("kind", "id", "found_by", "account", "reference", "status", "hold", "amount", "currency", "opened_at", "url")


def find(
    typed: Annotated[str, Parameter(name="ID", help="Any id, or a buyer's phone number or e-mail address.")],
    /,
    *,
    listed: ListOptions = LISTED,
) -> int:
    """Find payments, endpoints and runs by any id, in any case, or a buyer's payments by phone or e-mail."""
    found = asyncio.run(_find(typed))
    print_list(listed, COLUMNS, _records(found), lambda: _print(found, listed))
    if found.count:
        return 0
    if found.deleted_at is not None:
        raise CommandFailed(
            f"the payment {typed} was deleted on {found.deleted_at:%Y-%m-%d}, as its retention had ended"
        )
    if found.no_contact_key:
        raise CommandFailed(f"nothing has the id {typed}; {_NO_KEY}")
    raise CommandFailed(f"nothing has the id {typed}")


_NO_KEY = "buyers are not found by phone number or e-mail address, because [contacts] has no keys"


async def _find(typed: str) -> Found:
    from worker.cli.configured import configuration
    from worker.postgres.reads.find import find, scope_of
    from worker.postgres.server.opened import opened_as_it_is
    from worker.runtime.contacts import ContactKeys, is_contact

    config = configuration()
    keys = config.contacts.hashing if is_contact(typed) else ContactKeys()
    async with opened_as_it_is(config) as database:
        return await find(database, typed, scope_of(config), keys, thorough=True)


def _records(found: Found) -> list[Record]:
    from msgspec.structs import asdict

    from schemas.shown import view

    payments = [
        {"kind": "payment", "id": one.payment.id, "found_by": one.by, **asdict(view(one.payment))}
        for one in found.payments
    ]
    endpoints = [
        {"kind": "endpoint", "id": one.id, "configured_id": one.configured_id, "merchant": one.merchant, "url": one.url}
        for one in found.endpoints
    ]
    runs = [
        {"kind": "run", "id": one.id, "account": one.account, "source": one.source, "opened_at": one.started_at}
        for one in found.runs
    ]
    return [*payments, *endpoints, *runs]


def _print(found: Found, listed: ListOptions) -> None:
    from worker.cli.payment_rows import columns_of, print_rows, row_of

    if found.payments:
        print_rows([row_of(one.payment, listed) for one in found.payments], columns_of(listed))
        by = {one.payment.id: one.by for one in found.payments}
        names = ", ".join(
            sorted({"phone number or e-mail address" if one == "contact" else one for one in by.values()})
        )
        print(f"{len(by)} found by {names}; payproof explain tells the story of one")
    for endpoint in found.endpoints:
        print(f"{endpoint.configured_id or endpoint.id} is an endpoint of {endpoint.merchant}: {endpoint.url}")
    for run in found.runs:
        print(f"{run.id} is a run over {run.source} of {run.account}; payproof reconcile show {run.id} shows it")
