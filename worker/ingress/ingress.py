"""What every public endpoint does with a claim: find out whom it is about, make it durable, count what became of it.

The one thing to get wrong: 200 only after the claim is durable. And nothing that a stranger sends decides anything; it
only makes us look.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from functools import partial

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from consumers.early_claims import may_wait, names
from consumers.ports.bus import Bus, BusAway
from schemas.callbacks import Claim
from schemas.payments import Glance
from schemas.shown import PAYMENT_ID
from schemas.words import Authenticity, Source
from worker.config import Config, Merchant
from worker.ingress.batching import Together
from worker.ingress.rate_limits import Limits
from worker.ingress.waiters import Outcomes
from worker.postgres.database import UNAVAILABLE
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.runtime.clock import DatabaseClock
from worker.telemetry.metrics import UNPROVEN, Metrics
from worker.telemetry.tracing import OFF, Tracing, traced

LOOK_UP_SECONDS = 5
PUBLISH_SECONDS = 10
COME_AGAIN_SECONDS = 5
CROWD = 500
RETRY_AFTER = {"Retry-After": str(COME_AGAIN_SECONDS)}
_PAYMENT_ID = re.compile(PAYMENT_ID)


class Turn(Enum):
    """When a claim is heard: in its turn, after all that repeat nothing, or never, and then its sender comes again."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


class Ingress(Struct, frozen=True):
    """What the public endpoints need; made by `ingress_of`."""

    config: Config
    now: Together[Claim, None]
    later: Together[Claim, None]
    payments: Together[tuple[str, str], Glance | None]
    homes: Together[Claim, str | None]
    clock: DatabaseClock
    outcomes: Outcomes
    limits: Limits
    metrics: Metrics
    tracing: Tracing = OFF

    @property
    def crowded(self) -> bool:
        """Whether so many hits are in line that what only repeats others had better come again."""
        return sum(line.in_line for line in (self.now, self.later, self.payments, self.homes)) >= CROWD

    def reached_at(self, path: str) -> str:
        """A path of ours as browsers reach it, since a proxy may serve us under a path of its own."""
        return self.config.settings.public_path + path

    def account(self, request: web.Request) -> Account | None:
        """The account that the path names."""
        return self.config.account(request.match_info["account"])

    def payment_id(self, request: web.Request) -> str | None:
        """The payment that the path names; None where it cannot be the id of one."""
        payment_id = request.match_info["payment_id"]
        return payment_id if _PAYMENT_ID.fullmatch(payment_id) else None

    def merchant(self, account: Account) -> Merchant:
        merchant = self.config.merchant(account.merchant)
        assert merchant is not None, "the account was found under its merchant"
        return merchant

    async def look_up(self, account: str, payment_id: str) -> Glance | None:
        """What is to be told of the payment of that account. Raises UNAVAILABLE."""
        return await self.payments.ask((account, payment_id))

    async def find(self, claim: Claim) -> str | None:
        """The id of the payment that an id in the claim names. Raises UNAVAILABLE."""
        return await self.homes.ask(claim)

    def turn(self, claim: Claim, payment_id: str | None) -> Turn:
        """When a claim about this payment is heard; it is counted. A signed one is always heard in its turn.

        What repeats others comes after them, and in a crowd not at all.
        """
        if claim.authenticity is not Authenticity.UNSIGNED or payment_id is None:
            return Turn.NOW
        if self.limits.prompt.take(payment_id):
            return Turn.NOW
        if not self.crowded and self.limits.payments.take(payment_id):
            return Turn.LATER
        self.count(claim, "repeated")
        return Turn.NEVER

    async def publish_unknown(self, claim: Claim) -> bool:
        """Make durable what names no payment that we know, where one may come. Raises BusAway and TimeoutError.

        It is heard after all others. False in a crowd, which has no time for it, and where the id that says most of it
        was named too often: its sender is told to come again. One whose ids name a payment that its path does not is
        about nothing: a made-up path must be no other way to that payment.
        """
        unnamed = replace(claim, payment_id=None)
        if not may_wait(claim) or (claim.payment_id is not None and await self._about_another(unnamed)):
            self.count(claim, "unknown")
            return True
        strongest = next(name for name in names(claim) if name is not None)
        if self.crowded or not self.limits.payments.take(f"{claim.account} {strongest}"):
            self.count(claim, "repeated")
            return False
        await self.publish(unnamed, Turn.LATER, "unknown")
        return True

    async def _about_another(self, unnamed: Claim) -> bool:
        try:
            return await self.find(unnamed) is not None
        except UNAVAILABLE as error:
            raise BusAway(type(error).__name__) from error

    async def publish(self, claim: Claim, turn: Turn = Turn.NOW, result: str = "taken") -> None:
        """Make it durable. Raises BusAway and TimeoutError."""
        if self.tracing.on:
            await self._publish_traced(claim, turn)
        else:
            await self._durable(claim, turn)
        self.count(claim, result)

    async def _publish_traced(self, claim: Claim, turn: Turn) -> None:
        """The trace of a callback begins here, when it is taken: what is refused at the door leaves none.

        It is a new one whatever the request said, or strangers would steer ours.
        """
        tracing, since = self.tracing, (self.clock.now() - claim.received_at).total_seconds()
        about = {"account": claim.account, "payment_id": claim.payment_id, "source": claim.source.value}
        with (
            tracing.begin("callback", seconds_ago=since, **about) as callback,
            tracing.follow("publish", callback.traceparent, claim_id=claim.id) as span,
        ):
            await self._durable(traced(claim, span.traceparent), turn)

    async def _durable(self, claim: Claim, turn: Turn) -> None:
        await (self.later if turn is Turn.LATER else self.now).ask(claim)

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
    bus: Bus,
    clock: DatabaseClock,
    outcomes: Outcomes,
    metrics: Metrics,
    tracing: Tracing = OFF,
) -> Ingress:
    async def publish(claims: Sequence[Claim], *, later: bool) -> Sequence[None]:
        await bus.publish(claims, later=later)
        return [None] * len(claims)

    async def find(claims: Sequence[Claim]) -> Sequence[str | None]:
        homes = await ledger.find(claims)
        return [homes.get(claim.id) for claim in claims]

    return Ingress(
        config=config,
        now=Together(partial(publish, later=False), alike=(BusAway,), seconds=PUBLISH_SECONDS, at_once=2),
        later=Together(partial(publish, later=True), alike=(BusAway,), seconds=PUBLISH_SECONDS),
        payments=Together(ledger.peek, alike=UNAVAILABLE, seconds=LOOK_UP_SECONDS),
        homes=Together(find, alike=UNAVAILABLE, seconds=LOOK_UP_SECONDS),
        clock=clock,
        outcomes=outcomes,
        limits=Limits(config.settings.trusted_proxies),
        metrics=metrics,
        tracing=tracing,
    )
