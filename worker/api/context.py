"""The objects that the merchant API uses, in one frozen value. Tests replace some of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from msgspec import Struct
from prometheus_client import Counter

from consumers.account import Account
from consumers.ports.bus import ClaimPublisher
from consumers.ports.openings import Opening, OpeningOutcome
from consumers.rules import Rules
from worker.api.event_waiters import EventWaiters
from worker.config import Config
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.reads.read_turns import ReadTurns
from worker.runtime.ids import new_payment_id


class Api(Struct, frozen=True, kw_only=True):
    """`reads` are for what may take long. `open_checkout` runs a gateway's `open()`; it ends within an opening's lease.

    `wrong_key_wait` counts a wrong key of the request's sender: the seconds that it has to wait, or None.
    `keys_refused` counts them all. `address`: where a request comes from, behind trusted proxies. `twin_wait` is how
    many seconds a POST waits for another with its Idempotency-Key.
    """

    config: Config
    rules: Rules
    database: Database
    reads: ReadTurns
    event_waiters: EventWaiters
    ledger: PostgresLedger
    bus: ClaimPublisher
    open_checkout: Callable[[Account, Opening], Awaitable[OpeningOutcome]]
    wrong_key_wait: Callable[[web.Request], float | None]
    address: Callable[[web.Request], str | None] = lambda request: request.remote
    keys_refused: Counter
    new_payment_id: Callable[[], str] = new_payment_id
    twin_wait: float = 10.0
