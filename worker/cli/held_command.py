"""`payproof held`: the work list: each held payment with its reason, its age and what differs, the oldest first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from schemas.words import Hold
from worker.cli.list_output import LISTED, ListOptions, Record, print_list

if TYPE_CHECKING:
    from worker.postgres.reads.work_list import WorkList

COLUMNS = (
    *("payment_id", "merchant", "account", "reference", "order", "status", "hold", "held_since", "amount", "currency"),
    *("difference", "to_do"),
)


def held(
    *,
    merchant: Annotated[str | None, Parameter(help="Those of one merchant alone.")] = None,
    reason: Annotated[Hold | None, Parameter(help="Those of one reason alone.")] = None,
    limit: Annotated[int, Parameter(help="1 to 100.", validator=Number(gte=1, lte=100))] = 50,
    listed: ListOptions = LISTED,
) -> int:
    """List the held payments of all merchants, longest held first, with what differs and the money at stake."""
    from worker.cli.payment_rows import print_work

    work, differences = asyncio.run(_read(merchant, reason, limit))
    print_list(listed, COLUMNS, work_records(work, differences), lambda: print_work(work, differences))
    return 0


async def _read(merchant: str | None, reason: Hold | None, limit: int) -> tuple[WorkList, dict[str, str]]:
    from schemas.requests import ListQuery
    from worker.cli.configured import configuration, merchant_meant
    from worker.postgres.reads.differences import read_differences
    from worker.postgres.reads.work_list import read_work_of_all
    from worker.postgres.server.opened import opened_as_it_is

    config = configuration()
    whose = [one.id for one in config.merchants] if merchant is None else [merchant_meant(config, merchant)]
    query = ListQuery(hold=reason or "any", limit=limit)
    async with opened_as_it_is(config) as database:
        work = await read_work_of_all(database, whose, query)
        payments = [one.payment for one in work.held]
        return work, await read_differences(database, payments, config.accounts, config.checks)


def work_records(work: WorkList, differences: dict[str, str]) -> list[Record]:
    """The payments as the API shows them, with since when each is held, what differs, and what to do."""
    from msgspec.structs import asdict

    from consumers.explain.hold_words import TO_DO
    from schemas.payments import view

    return [
        asdict(view(one.payment))
        | {
            "held_since": one.since,
            "difference": differences.get(one.payment.id),
            "to_do": TO_DO[one.payment.hold] if one.payment.hold else None,
        }
        for one in work.held
    ]
