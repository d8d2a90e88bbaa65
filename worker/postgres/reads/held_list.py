"""The held payments for a person: the work list, what differs in each, and who has it. For the console and commands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from consumers.account import Account
from schemas.checks import Checks
from schemas.proposals import Proposal
from schemas.requests import ListQuery
from worker.postgres.database import Reads
from worker.postgres.proposal_reads import proposals_about
from worker.postgres.reads.differences import read_differences
from worker.postgres.reads.work_list import WorkList, read_work_of_all


class HeldList(Struct, frozen=True, kw_only=True):
    """`differences` in words, and the proposals that wait, each by the id of its payment."""

    work: WorkList
    differences: Mapping[str, str]
    proposals: Mapping[str, Proposal]


async def read_held(
    database: Reads, merchants: Sequence[str], query: ListQuery, accounts: Collection[Account], checks: Checks
) -> HeldList:
    """The held payments of these merchants that match, longest held first. `hold` of the query has to be given."""
    work = await read_work_of_all(database, merchants, query)
    return HeldList(
        work=work,
        differences=await read_differences(database, [one.payment for one in work.held], accounts, checks),
        proposals=await proposals_about(database, [one.payment.id for one in work.held]),
    )
