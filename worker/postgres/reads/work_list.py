"""The work list: held payments with how long each is held, and sums by reason.

The longest held comes first, because a person begins with it. (The API shows the newest first.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from schemas.payments import Payment
from schemas.requests import ListQuery
from schemas.words import Hold
from worker.postgres.database import Reads
from worker.postgres.ledger.rows import PAYMENT, payment_of
from worker.postgres.reads.reading import found_by_id, looking

ZERO = Decimal("0.00")

_HELD_SINCE = """
    SELECT min(e.at) FROM entries e
    WHERE e.payment_id = p.id AND e.kind = 'decision' AND e.data ->> 'hold' IS NOT NULL AND e.seq > coalesce((
        SELECT max(b.seq) FROM entries b
        WHERE b.payment_id = p.id AND b.kind = 'decision' AND b.data ? 'hold' AND b.data ->> 'hold' IS NULL), 0)
"""


class HeldPayment(Struct, frozen=True, kw_only=True):
    """A payment, and since when it is held without a pause."""

    payment: Payment
    since: datetime


class Stake(Struct, frozen=True, kw_only=True):
    """How many payments of one currency are held for one reason, and the sum of their amounts."""

    hold: Hold
    count: int
    amount: Decimal
    currency: str


class WorkList(Struct, frozen=True, kw_only=True):
    """`held` are the longest held matching payments, `limit` of the query at most; `stakes` count all that match."""

    held: list[HeldPayment]
    stakes: list[Stake]
    now: datetime


async def read_work_of_all(database: Reads, merchants: Sequence[str], query: ListQuery) -> WorkList:
    """The work lists of several merchants in one, longest held first."""
    lists = [await read_work(database, merchant, query) for merchant in merchants]
    sums: dict[tuple[Hold, str], Stake] = {}
    for stake in (stake for one in lists for stake in one.stakes):
        known = sums.get(
            (stake.hold, stake.currency), Stake(hold=stake.hold, count=0, amount=ZERO, currency=stake.currency)
        )
        sums[stake.hold, stake.currency] = Stake(
            hold=stake.hold,
            count=known.count + stake.count,
            amount=known.amount + stake.amount,
            currency=stake.currency,
        )
    held = sorted((one for work in lists for one in work.held), key=lambda one: (one.since, one.payment.id))
    return WorkList(held=held[: query.limit], stakes=_in_order(sums.values()), now=max(work.now for work in lists))


async def read_work(database: Reads, merchant: str, query: ListQuery) -> WorkList:
    """The work list of a query, whose `hold` has to be given. All of it is of one moment."""
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        look = looking(merchant, query, await found_by_id(connection, merchant, query))
        where, values = f"{look.seen} AND {look.fits}", look.values
        rows = await connection.fetch(
            f"""SELECT {PAYMENT}, coalesce(({_HELD_SINCE}), p.opened_at) AS held_since FROM payments p
                WHERE {where} ORDER BY held_since, p.id LIMIT {query.limit:d}""",  # noqa: S608 - our own words, values are bound
            *values,
        )
        stakes = await connection.fetch(
            f"""SELECT hold, currency, count(*) AS count, sum(coalesce(accepted_amount, amount)) AS amount FROM payments
                WHERE {where} GROUP BY hold, currency""",  # noqa: S608 - our own words, values are bound
            *values,
        )
        now = await connection.fetchval("SELECT clock_timestamp()")
    return WorkList(
        held=[HeldPayment(payment=payment_of(row), since=row["held_since"]) for row in rows],
        stakes=_in_order(Stake(**{**dict(row), "hold": Hold(row["hold"])}) for row in stakes),
        now=now,
    )


def _in_order(stakes: Iterable[Stake]) -> list[Stake]:
    order = list(Hold)
    return sorted(stakes, key=lambda stake: (order.index(stake.hold), stake.currency))
