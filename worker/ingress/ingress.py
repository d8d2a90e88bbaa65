"""What every public endpoint does with a claim: find out whom it is about, make it durable, count what became of it.

The one thing to get wrong: 200 only after the claim is durable. And nothing that a stranger sends decides anything; it
only makes us look.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import partial

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.early_claims import may_wait, names
from consumers.ports.bus import ClaimPublisher
from consumers.ports.unavailable import BusAway, DatabaseUnavailable, error_name
from schemas.callbacks import Claim
from schemas.payments import Glance
from schemas.shown import is_payment_id
from schemas.words import Authenticity, Source
from worker.config import Config, Merchant
from worker.ingress.batching import RequestBatcher
from worker.ingress.rate_limits import RateLimits
from worker.ingress.waiters import PaymentWaiters
from worker.postgres.driver_errors import translated
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.runtime.clock import DatabaseClock
from worker.telemetry.metrics import UNPROVEN, Metrics

LOOK_UP_SECONDS = 5
PUBLISH_SECONDS = 10
COME_AGAIN_SECONDS = 5
MAX_PENDING = 500
RETRY_AFTER = {"Retry-After": str(COME_AGAIN_SECONDS)}


class Priority(Enum):
    """When workers take a claim: in order, after all of normal priority, or never, and then its sender comes again."""

    NORMAL = "normal"
    LOW = "low"
    REJECT = "reject"


class Ingress(Struct, frozen=True):
    """What the public endpoints need; made by `ingress_of`."""

    config: Config
    normal: RequestBatcher[Claim, None]
    low: RequestBatcher[Claim, None]
    payments: RequestBatcher[tuple[str, str], Glance | None]
    homes: RequestBatcher[Claim, str | None]
    clock: DatabaseClock
    waiters: PaymentWaiters
    limits: RateLimits
    metrics: Metrics

    @property
    def overloaded(self) -> bool:
        """Whether so many requests are pending that a claim which only repeats others had better come again."""
        return sum(batcher.pending for batcher in (self.normal, self.low, self.payments, self.homes)) >= MAX_PENDING

    def reached_at(self, path: str) -> str:
        """A path of ours as browsers reach it, since a proxy may serve us under a path of its own."""
        return self.config.settings.public_path + path

    def account(self, request: web.Request) -> Account | None:
        """The account that the path names."""
        return self.config.account(request.match_info["account"])

    def payment_id(self, request: web.Request) -> str | None:
        """The payment that the path names; None where it cannot be the id of one."""
        payment_id = request.match_info["payment_id"]
        return payment_id if is_payment_id(payment_id) else None

    def merchant(self, account: Account) -> Merchant:
        merchant = self.config.merchant(account.merchant)
        assert merchant is not None, "the account was found under its merchant"
        return merchant

    async def look_up(self, account: str, payment_id: str) -> Glance | None:
        """What is to be told of the payment of that account. Raises DatabaseUnavailable."""
        with translated():  # also the TimeoutError of the batch
            return await self.payments.submit((account, payment_id))

    async def find(self, claim: Claim) -> str | None:
        """The id of the payment that an id in the claim names. Raises DatabaseUnavailable."""
        with translated():
            return await self.homes.submit(claim)

    def prioritise(self, claim: Claim, payment_id: str | None) -> Priority:
        """Count a claim about this payment, and tell its priority. A signed claim always has the normal one.

        A claim that repeats others comes after them, and while ingress is overloaded not at all.
        """
        if claim.authenticity is not Authenticity.UNSIGNED or payment_id is None:
            return Priority.NORMAL
        if self.limits.unsigned_normal.take(payment_id):
            return Priority.NORMAL
        if not self.overloaded and self.limits.payments.take(payment_id):
            return Priority.LOW
        self.count(claim, "repeated")
        return Priority.REJECT

    async def publish_unknown(self, claim: Claim) -> bool:
        """Make durable what names no payment that we know, where one may come. Raises BusAway and TimeoutError.

        It has low priority. False while ingress is overloaded, and where the id that says most of it was named too
        often: its sender is told to come again. One whose ids name a payment that its path does not is
        about nothing: a made-up path must be no other way to that payment.
        """
        unnamed = replace(claim, payment_id=None)
        if not may_wait(claim) or (claim.payment_id is not None and await self._about_another(unnamed)):
            self.count(claim, "unknown")
            return True
        strongest = next(name for name in names(claim) if name is not None)
        if self.overloaded or not self.limits.payments.take(f"{claim.account} {strongest}"):
            self.count(claim, "repeated")
            return False
        await self.publish(unnamed, Priority.LOW, "unknown")
        return True

    async def _about_another(self, unnamed: Claim) -> bool:
        try:
            return await self.find(unnamed) is not None
        except DatabaseUnavailable as error:
            raise BusAway(error_name(error)) from error

    async def publish(self, claim: Claim, priority: Priority = Priority.NORMAL, result: str = "taken") -> None:
        """Make it durable. Raises BusAway and TimeoutError."""
        await (self.low if priority is Priority.LOW else self.normal).submit(claim)
        self.count(claim, result)

    def count(self, claim: Claim, result: str) -> None:
        """Count what became of a callback that was read."""
        self.metrics.callbacks.labels(claim.provider, claim.source.value, claim.authenticity.value, result).inc()

    def count_unread(self, source: Source, account: Account, result: str) -> None:
        """Count one of which nobody can say whose it is."""
        self.metrics.callbacks.labels(account.provider.name, source.value, UNPROVEN, result).inc()


def slashed(routes: Sequence[web.RouteDef]) -> list[web.RouteDef]:
    """Each of them with a slash at its end too, handled the same: a redirect would lose what a POST brought.

    A path is tried after those before it, so the busiest comes first, and the methods of one stand together.
    """
    return [web.RouteDef(one.method, one.path + end, one.handler, one.kwargs) for end in ("", "/") for one in routes]


def ingress_of(
    config: Config,
    ledger: PostgresLedger,
    bus: ClaimPublisher,
    clock: DatabaseClock,
    waiters: PaymentWaiters,
    metrics: Metrics,
) -> Ingress:
    async def publish(claims: Sequence[Claim], *, low_priority: bool) -> Sequence[None]:
        await bus.publish(claims, low_priority=low_priority)
        return [None] * len(claims)

    async def find(claims: Sequence[Claim]) -> Sequence[str | None]:
        homes = await ledger.find(claims)
        return [homes.get(claim.id) for claim in claims]

    return Ingress(
        config=config,
        normal=RequestBatcher(
            partial(publish, low_priority=False), shared_errors=(BusAway,), seconds=PUBLISH_SECONDS, at_once=2
        ),
        low=RequestBatcher(partial(publish, low_priority=True), shared_errors=(BusAway,), seconds=PUBLISH_SECONDS),
        payments=RequestBatcher(ledger.peek, shared_errors=(DatabaseUnavailable,), seconds=LOOK_UP_SECONDS),
        homes=RequestBatcher(find, shared_errors=(DatabaseUnavailable,), seconds=LOOK_UP_SECONDS),
        clock=clock,
        waiters=waiters,
        limits=RateLimits(config.settings.trusted_proxies),
        metrics=metrics,
    )
