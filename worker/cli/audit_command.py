"""`payproof audit`: who did what, when, from where and why, as the console's page Audit shows it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.text import Text

from worker.cli.list_output import LISTED, ListOptions, Record, print_list
from worker.terminal_text import print_line

if TYPE_CHECKING:
    from schemas.audit import RecordedAct

COLUMNS = (
    *("id", "at", "actor", "via", "key", "address", "action", "merchant", "payment_id", "subject", "why", "detail"),
)


def audit(
    *,
    payment: Annotated[str | None, Parameter(help="Acts about this payment alone, by any id of it.")] = None,
    merchant: Annotated[str | None, Parameter(help="Acts about one merchant; about all, unless given.")] = None,
    before: Annotated[int | None, Parameter(help="Acts older than the act of this id.")] = None,
    limit: Annotated[int, Parameter(help="1 to 1000.", validator=Number(gte=1, lte=1000))] = 100,
    listed: ListOptions = LISTED,
) -> int:
    """List what people did: who, what, when, from where and why, newest first. Nobody can change it."""
    acts = asyncio.run(_read(payment, merchant, before, limit))
    print_list(listed, COLUMNS, [_record(one) for one in acts], lambda: _print(acts, listed))
    return 0


async def _read(payment: str | None, merchant: str | None, before: int | None, limit: int) -> list[RecordedAct]:
    from worker.cli.configured import configuration, merchant_meant
    from worker.cli.payment_meant import payment_meant
    from worker.postgres.audit_rows import read_audit
    from worker.postgres.server.opened import opened_as_it_is

    config = configuration()
    whose = None if merchant is None else [merchant_meant(config, merchant)]
    async with opened_as_it_is(config) as database:
        payment_id = None if payment is None else (await payment_meant(config, database, payment)).id
        return await read_audit(database, whose, payment_id=payment_id, before=before, limit=limit)


def _record(act: RecordedAct) -> Record:
    from msgspec.structs import asdict

    found = asdict(act) | asdict(act.origin)
    return {name: found[name] for name in COLUMNS}


def _print(acts: list[RecordedAct], listed: ListOptions) -> None:
    console = Console(highlight=False)
    for one in acts:
        by = one.origin
        via = ", ".join(filter(None, (by.via, by.key, by.address)))
        about = " ".join(filter(None, (one.payment_id, one.subject)))
        words = (
            f"{by.actor} ({via}): {one.action}" + (f" {about}" if about else "") + (f": {one.why}" if one.why else "")
        )
        print_line(console, Text(listed.time(one.at), "bold"), Text(words), width=19)
    print(f"{len(acts)} acts, times in {listed.tz}" if acts else "nothing is recorded yet")
