"""What the merchant API stands on, in one frozen value; tests put other parts in their places."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from consumers.account import Account
from consumers.ports.bus import Bus
from consumers.ports.gateway import Opening, OpeningOutcome
from consumers.rules import Rules
from worker.config import Config
from worker.postgres.database import Database
from worker.postgres.ledger.ledger import PostgresLedger
from worker.telemetry.tracing import OFF, Tracing

_SIGNS = string.digits + string.ascii_lowercase
_WEEK_SECONDS = 7 * 86_400
_RANDOM_SIGNS = 24  # of 36 kinds each: 124 random bits


def new_payment_id(now: Callable[[], float] = time.time) -> str:
    """In a path it is the buyer's ticket, so nobody can guess it.

    It begins with the week. So the payments of these days stand together in each index, however many older ones there
    are, and a write touches pages that are in memory. After 25 years the weeks begin anew, which costs nothing else.
    """
    week = int(now()) // _WEEK_SECONDS
    signs = [_SIGNS[week // 36 % 36], _SIGNS[week % 36], *(secrets.choice(_SIGNS) for _ in range(_RANDOM_SIGNS))]
    return "pay_" + "".join(signs)


class Api(Struct, frozen=True, kw_only=True):
    """`open_checkout` runs a gateway's `open()`; it ends within the lease of an opening.

    `twin_wait` is how many seconds a POST waits for another with its Idempotency-Key. Events up to the place
    `retained_after` are gone, and cursors below it with them.
    """

    config: Config
    rules: Rules
    database: Database
    ledger: PostgresLedger
    bus: Bus
    open_checkout: Callable[[Account, Opening], Awaitable[OpeningOutcome]]
    new_payment_id: Callable[[], str] = new_payment_id
    twin_wait: float = 10.0
    retained_after: int = 0
    tracing: Tracing = OFF
