"""Reading the payments that claims are about: one statement, one snapshot, no lock.

A reading may be outdated at once. A decision on it is written only if the payment still has the revision that was read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import asyncpg
import msgspec

from consumers.ports.call_limits import AccountLimits
from consumers.ports.readings import ExecuteRequest, LookResult, Order, Reading
from schemas.answers import Fact
from schemas.callbacks import Claim
from schemas.payments import Case, Resolution
from schemas.words import Authenticity
from worker.postgres.database import Connection
from worker.postgres.ledger.claims import names_of
from worker.postgres.ledger.rows import payment_of
from worker.postgres.primary import meet

_LOOK = """
    SELECT (l.payment).*, l.known_facts, l.known_resolutions, l.known_allowance, l.own_sessions, l.own_transactions,
        l.order_paid_by, l.order_executing, l.order_wishes, l.order_unheard, l.heard, l.looked_at,
        (SELECT since FROM servers) AS since, (SELECT version_floor FROM servers) AS version_floor,
        (SELECT name = server_name() FROM servers) AS known
    FROM look_at_payments($1, $2, $3, $4, $5, $6, $7, $8) AS l
"""


async def look(
    connection: Connection[asyncpg.Record], claims: Sequence[Claim], payment_ids: Collection[str] = ()
) -> LookResult:
    """See consumers.ports.ledger.Ledger. `limits_by_account` has the accounts of the payments that were read."""
    signed = [claim.event_id if claim.authenticity is Authenticity.SIGNED else None for claim in claims]
    given = (*names_of(claims), signed, list(payment_ids))
    rows = await connection.fetch(_LOOK, *given)
    if not rows[0]["known"]:
        await meet(connection)
        rows = await connection.fetch(_LOOK, *given)
    heard: list[dict[str, Any]] = rows[0]["heard"] or []
    seen = [row for row in rows if row["id"] is not None]
    here = {row["id"] for row in seen}  # a key may be that of a payment past its retention
    return LookResult(
        now=rows[0]["looked_at"],
        homes={claim["claim_id"]: claim["home"] for claim in heard if claim["home"] in here},
        admissions={claim["claim_id"]: claim["admission"] for claim in heard},
        readings={row["id"]: _reading(row) for row in seen},
        limits_by_account={
            row["account"]: msgspec.convert(row["known_allowance"], AccountLimits)
            for row in seen
            if row["known_allowance"] is not None
        },
    )


def _reading(row: asyncpg.Record) -> Reading:
    return Reading(
        case=Case(
            payment=payment_of(row),
            facts=tuple(msgspec.convert(row["known_facts"], list[Fact])),
            resolutions=tuple(msgspec.convert(row["known_resolutions"], list[Resolution])),
            version_floor=row["version_floor"],
        ),
        revision=row["revision"],
        sessions=frozenset(row["own_sessions"]),
        transactions=frozenset(row["own_transactions"]),
        order=Order(
            paid_by=row["order_paid_by"],
            executing=row["order_executing"],
            execute_requests=tuple(msgspec.convert(row["order_wishes"] or [], list[ExecuteRequest])),
            unheard=frozenset(row["order_unheard"] or ()),
        ),
        since=row["since"],
    )
