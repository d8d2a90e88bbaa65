"""The steps that all public endpoints share: find a claim's payment, choose its priority, make it durable, count it.

An endpoint answers 200 only after the claim is durable. A request decides nothing about a payment; it only makes a
worker (`worker/verify/consume.py`) ask the gateway.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import partial

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.early_claims import is_signed, may_wait, names
from consumers.ports.bus import ClaimPublisher
from consumers.ports.unavailable import BusUnavailable, DatabaseUnavailable, error_name
from schemas.callbacks import Claim, Omission
from schemas.payments import Glance
from schemas.shown import is_payment_id
from schemas.words import Authenticity, Source
from worker.config import Config, Merchant
from worker.ingress.batching import RequestBatcher
from worker.ingress.byte_budgets import ByteBudgets
from worker.ingress.omitting import BoundedClaims, with_digest
from worker.ingress.rate_limits import RateLimits
from worker.ingress.waiters import PaymentWaiters
from worker.postgres.driver_errors import translated
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.runtime.clock import DatabaseClock
from worker.telemetry.label_values import UNPROVEN
from worker.telemetry.metrics import Metrics

LOOK_UP_SECONDS = 5
PUBLISH_SECONDS = 10
COME_AGAIN_SECONDS = 5
MAX_PENDING = 500  # requests that wait for a batch
RETRY_AFTER = {"Retry-After": str(COME_AGAIN_SECONDS)}


class Priority(Enum):
    """When workers take a claim.

    `NORMAL`: in order. `LOW`: after all claims of normal priority. `REJECT`: never; its sender has to send it again.
    """

    NORMAL = "normal"
    LOW = "low"
    REJECT = "reject"


class Ingress(Struct, frozen=True):
    """The parts that the public endpoints share; made by `ingress_of`.

    `normal` and `low` publish claims of that priority. `payments` reads payments by (account, payment id). `homes`
    finds the ids of payments that claims name.
    """

    config: Config
    normal: RequestBatcher[Claim, None]
    low: RequestBatcher[Claim, None]
    payments: RequestBatcher[tuple[str, str], Glance | None]
    homes: RequestBatcher[Claim, str | None]
    clock: DatabaseClock
    waiters: PaymentWaiters
    limits: RateLimits
    bounded_claims: BoundedClaims
    metrics: Metrics

    @property
    def overloaded(self) -> bool:
        """Whether so many requests are pending that every claim that would have low priority is rejected."""
        return sum(batcher.pending for batcher in (self.normal, self.low, self.payments, self.homes)) >= MAX_PENDING

    def reached_at(self, path: str) -> str:
        """The path as browsers reach it: a proxy may serve us under a path of its own."""
        return self.config.settings.public_path + path

    def account(self, request: web.Request) -> Account | None:
        """The account that the path names; None if it is not configured."""
        return self.config.account(request.match_info["account"])

    def payment_id(self, request: web.Request) -> str | None:
        """The payment id in the path; None if it does not have the form of an id."""
        payment_id = request.match_info["payment_id"]
        return payment_id if is_payment_id(payment_id) else None

    def merchant(self, account: Account) -> Merchant:
        merchant = self.config.merchant(account.merchant)
        assert merchant is not None, "the account was found under its merchant"
        return merchant

    async def look_up(self, account: str, payment_id: str) -> Glance | None:
        """The payment as a Glance; None if the account has no such payment. Raises DatabaseUnavailable."""
        with translated():  # also the TimeoutError of the batch
            return await self.payments.submit((account, payment_id))

    async def find(self, claim: Claim) -> str | None:
        """The id of the payment that the claim names by any of its ids, or None. Raises DatabaseUnavailable."""
        with translated():
            return await self.homes.submit(claim)

    def prioritise(self, claim: Claim, payment_id: str | None) -> Priority:
        """Count a claim about this payment, and return its priority.

        A signed claim, or a claim without a known payment, always has normal priority. After a few unsigned claims
        about a payment, the next ones have low priority. Those are rejected if they are too many, or if ingress is
        overloaded.
        """
        if claim.authenticity is not Authenticity.UNSIGNED or payment_id is None:
            return Priority.NORMAL
        if self.limits.unsigned_normal.take(payment_id):
            return Priority.NORMAL
        if not self.overloaded and self.limits.payments.take(payment_id):
            return Priority.LOW
        self.count(claim, "repeated")
        return Priority.REJECT

    async def publish_unknown(self, request: web.Request, claim: Claim) -> bool:
        """Publish, with low priority, a claim about an unknown payment, if a payment with its ids may still come.

        If no such payment may come, the claim is only counted. So is a claim whose path names an unknown payment, but
        whose ids name a known payment: a made-up path must not lead to that payment. Returns False if the sender has to
        send the claim again: ingress is overloaded, or the claim's strongest id was named too often. Raises
        BusUnavailable and TimeoutError.
        """
        without_path = replace(claim, payment_id=None)
        if not may_wait(claim) or (claim.payment_id is not None and await self._names_a_payment(without_path)):
            self.count(claim, "unknown")
            return True
        strongest = next(name for name in names(claim) if name is not None)
        if self.overloaded or not self.limits.payments.take(f"{claim.account} {strongest}"):
            self.count(claim, "repeated")
            return False
        if not is_signed(claim):  # of such claims only ids and word are kept
            without_path = with_digest(without_path, Omission.UNKNOWN)
        await self.publish(request, without_path, None, Priority.LOW, "unknown")
        return True

    async def _names_a_payment(self, claim: Claim) -> bool:
        """Whether one of the claim's ids is a payment's. Raises BusUnavailable while the database is away."""
        try:
            return await self.find(claim) is not None
        except DatabaseUnavailable as error:
            raise BusUnavailable(error_name(error)) from error

    async def publish(
        self,
        request: web.Request,
        claim: Claim,
        payment_id: str | None,
        priority: Priority = Priority.NORMAL,
        result: str = "taken",
    ) -> None:
        """Make the claim durable, and count it as `result`. Raises BusUnavailable and TimeoutError.

        If a budget of bytes has no room for its callback, the claim carries a digest. `payment_id`: the payment that
        the claim is about, if that is known.
        """
        claim = self.bounded_claims.bounded(claim, payment_id, self.limits.sender(request))
        if claim.callback is not None and claim.callback.omitted is not None:
            self.metrics.digests.labels(claim.callback.omitted.because.value).inc()
        await (self.low if priority is Priority.LOW else self.normal).submit(claim)
        self.count(claim, result)

    def count(self, claim: Claim, result: str) -> None:
        """Count the result of a callback that became a claim."""
        self.metrics.callbacks.labels(claim.provider, claim.source.value, claim.authenticity.value, result).inc()

    def count_unread(self, source: Source, account: Account, result: str) -> None:
        """Count a callback that was forged, unreadable or not looked at. Its sender is not proven."""
        self.metrics.callbacks.labels(account.provider.name, source.value, UNPROVEN, result).inc()


def slashed(routes: Sequence[web.RouteDef]) -> list[web.RouteDef]:
    """These routes, and each with a slash at its end, handled the same: a redirect would lose the body of a POST.

    Paths are tried in order. So the busiest path comes first, and all methods of a path stand together.
    """
    return [
        web.RouteDef(route.method, route.path + end, route.handler, route.kwargs)
        for end in ("", "/")
        for route in routes
    ]


def ingress_of(
    config: Config,
    ledger: PostgresLedger,
    bus: ClaimPublisher,
    clock: DatabaseClock,
    waiters: PaymentWaiters,
    budgets: ByteBudgets,
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
            partial(publish, low_priority=False), shared_errors=(BusUnavailable,), seconds=PUBLISH_SECONDS, at_once=2
        ),
        low=RequestBatcher(
            partial(publish, low_priority=True), shared_errors=(BusUnavailable,), seconds=PUBLISH_SECONDS
        ),
        payments=RequestBatcher(ledger.peek, shared_errors=(DatabaseUnavailable,), seconds=LOOK_UP_SECONDS),
        homes=RequestBatcher(find, shared_errors=(DatabaseUnavailable,), seconds=LOOK_UP_SECONDS),
        clock=clock,
        waiters=waiters,
        limits=RateLimits(config.settings.trusted_proxies),
        bounded_claims=BoundedClaims(budgets),
        metrics=metrics,
    )
