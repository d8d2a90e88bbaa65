"""`payproof held`: the work list: each held payment with its reason, its age, what differs and who has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from schemas.words import Hold
from worker.cli.list_output import LISTED, ListOptions, Record, print_list

if TYPE_CHECKING:
    from schemas.proposals import Proposal
    from worker.postgres.reads.held_list import HeldList

COLUMNS = (
    *("payment_id", "merchant", "account", "reference", "order", "status", "hold", "held_since", "amount", "currency"),
    *("difference", "to_do", "proposal_id", "proposed_status", "proposed_by", "approved_by"),
)


def held(
    *,
    merchant: Annotated[str | None, Parameter(help="Those of one merchant alone.")] = None,
    reason: Annotated[Hold | None, Parameter(help="Those of one reason alone.")] = None,
    limit: Annotated[int, Parameter(help="1 to 100.", validator=Number(gte=1, lte=100))] = 50,
    listed: ListOptions = LISTED,
) -> int:
    """List the held payments of all merchants, longest first: what differs, who has each, the money at stake."""
    from worker.cli.payment_rows import print_held

    found = asyncio.run(_read(merchant, reason, limit))
    print_list(listed, COLUMNS, held_records(found), lambda: print_held(found))
    return 0


async def _read(merchant: str | None, reason: Hold | None, limit: int) -> HeldList:
    from schemas.requests import ListQuery
    from worker.cli.configured import configuration, merchant_meant
    from worker.postgres.reads.held_list import read_held
    from worker.postgres.server.opened import opened_as_it_is

    config = configuration()
    whose = [one.id for one in config.merchants] if merchant is None else [merchant_meant(config, merchant)]
    query = ListQuery(hold=reason or "any", limit=limit)
    async with opened_as_it_is(config) as database:
        return await read_held(database, whose, query, config.accounts, config.checks)


def held_records(found: HeldList) -> list[Record]:
    """The payments as the API shows them; since when each is held, what differs, what to do, and who has it."""
    from msgspec.structs import asdict

    from consumers.explain.hold_words import TO_DO
    from schemas.shown import view

    return [
        asdict(view(one.payment))
        | {
            "held_since": one.since,
            "difference": found.differences.get(one.payment.id),
            "to_do": TO_DO[one.payment.hold] if one.payment.hold else None,
        }
        | _proposed(found.proposals.get(one.payment.id))
        for one in found.work.held
    ]


def _proposed(proposal: Proposal | None) -> dict[str, object]:
    return {
        "proposal_id": proposal and proposal.id,
        "proposed_status": proposal and proposal.status,
        "proposed_by": proposal and proposal.proposed_by,
        "approved_by": proposal and proposal.decided_by,
    }
