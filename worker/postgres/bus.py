"""The bus in Postgres: a durable queue that workers share with SKIP LOCKED, and the whole bus where there is no broker.

The one thing to get wrong: a leased row is not gone. It is deleted when its claim is written. Until then its lease is
renewed as long as the worker lives, and ends soon after it dies, which is how the claims of a killed one are heard.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec
import structlog
from asyncpg import Record

from consumers.bus import BusAway, Delivery
from schemas.callbacks import Claim
from worker.clock import set_within
from worker.postgres.database import UNAVAILABLE, Database
from worker.postgres.notices import Notice

LEASE_SECONDS, RENEW_SECONDS = 10, 3.0
"""A lease that ends while its claim is in hand does little harm: whoever takes it then sees that it is asked about."""

LATER_SECONDS = 30
POLL_SECONDS = 5.0
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of bytes that are no claim; the last for nesting that is too deep."""

log = structlog.get_logger()

_TAKE = f"""
    UPDATE queue SET available_at = clock_timestamp() + interval '{LEASE_SECONDS} s', attempts = attempts + 1
    WHERE id = ANY(ARRAY(
        SELECT id FROM queue WHERE provider = $1 AND available_at <= clock_timestamp() AND later <= $3
        ORDER BY later, available_at, id LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING id, claim_id, attempts, queued_at, body
"""  # noqa: S608 - the lease is our own number
_LATER = """
    UPDATE queue SET attempts = greatest(attempts - $3, 0), available_at = clock_timestamp() + make_interval(secs => $2)
    WHERE id = ANY($1)
"""
_RENEW = f"""
    UPDATE queue SET available_at = clock_timestamp() + interval '{LEASE_SECONDS} s'
    WHERE id = ANY(ARRAY(SELECT id FROM queue WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED))
"""  # noqa: S608 - the lease is our own number


class PostgresBus:
    """See consumers.bus.Bus. `wake` is called with the providers of a notice that claims were queued."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queued = defaultdict[str, asyncio.Event](asyncio.Event)
        self._in_hand = set[int]()

    async def keep_leases(self) -> None:
        """Renew the leases of what is in hand, until cancelled."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if self._in_hand:
                try:
                    await self._database.execute(_RENEW, list(self._in_hand))
                except UNAVAILABLE as error:
                    log.warning("leases.not_renewed", claims=len(self._in_hand), error=type(error).__name__)

    def wake(self, providers: Iterable[str]) -> None:
        for provider in providers:
            self._queued[provider].set()

    async def publish(self, claims: Sequence[Claim], *, later: bool = False) -> None:
        try:
            await self._database.execute(
                """INSERT INTO queue (claim_id, provider, body, later)
                   SELECT *, $4 FROM unnest($1::text[], $2::text[], $3::bytea[])
                   ON CONFLICT (claim_id) DO NOTHING""",
                [claim.id for claim in claims],
                [claim.provider for claim in claims],
                [msgspec.json.encode(claim) for claim in claims],
                later,
            )
        except UNAVAILABLE as error:
            raise BusAway(type(error).__name__) from error
        providers = {claim.provider for claim in claims}
        self.wake(providers)
        self._database.notify(Notice(claims=sorted(providers)))

    async def receive(self, provider: str, most: int) -> list[Delivery]:
        queued = self._queued[provider]
        while True:
            queued.clear()
            deliveries = await self.lease(provider, most)
            if len(deliveries) == most:
                queued.set()
            if deliveries:
                return deliveries
            await set_within(queued, POLL_SECONDS)

    async def lease(self, provider: str, most: int, *, later: bool = True) -> list[Delivery]:
        """What is there now, at most so much; claims for later come after all others, if they may come."""
        while True:
            rows = await self._database.fetch(_TAKE, provider, most, later)
            deliveries = [await self._delivery(row) for row in sorted(rows, key=lambda row: row["id"])]
            readable = [delivery for delivery in deliveries if delivery is not None]
            self._in_hand.update(row["id"] for row in rows)
            if readable or not rows:
                return readable

    async def _delivery(self, row: Record) -> Delivery | None:
        """What the row delivers; one that this version cannot read is put aside, or every worker would die of it."""
        try:
            claim = msgspec.json.decode(row["body"], type=Claim)
        except UNREADABLE as error:
            log.error("claim.unreadable", claim_id=row["claim_id"], exc_info=error)  # noqa: TRY400 - with its trace
            await self._park(row["id"], row["claim_id"], f"{type(error).__name__} in receive")
            return None
        return Delivery(
            tag=row["id"],
            claim=claim,
            attempts=row["attempts"],
            handed_out=row["attempts"],
            queued_at=row["queued_at"],
        )

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        await self._database.execute("DELETE FROM queue WHERE id = ANY($1)", self._out_of_hand(deliveries))

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        with suppress(*UNAVAILABLE):  # then their leases end
            await self._later(deliveries, 0, 1)
            self._database.notify(Notice(claims=sorted({delivery.claim.provider for delivery in deliveries})))

    async def leave(self, deliveries: Sequence[Delivery]) -> None:
        await self._later(deliveries, LATER_SECONDS, 1)

    async def retry(self, delivery: Delivery) -> None:
        await self._later([delivery], LATER_SECONDS, 0)

    async def end(self, provider: str) -> None:
        """Nothing to do: nothing is leased but what `receive` returned."""

    async def _later(self, deliveries: Sequence[Delivery], seconds: float, uncounted: int) -> None:
        """Have them wait so long; so many of their attempts do not count."""
        await self._database.execute(_LATER, self._out_of_hand(deliveries), seconds, uncounted)

    def _out_of_hand(self, deliveries: Iterable[Delivery]) -> list[object]:
        tags = [delivery.tag for delivery in deliveries]
        self._in_hand.difference_update(tags)
        return tags

    async def publish_again(self, claim: Claim, attempts: int) -> None:
        """Queue a claim that failed elsewhere, to be tried again after a while."""
        await self._database.execute(
            f"""INSERT INTO queue (claim_id, provider, body, attempts, available_at)
                VALUES ($1, $2, $3, $4, clock_timestamp() + interval '{LATER_SECONDS} s')
                ON CONFLICT (claim_id) DO NOTHING""",  # noqa: S608 - the time is our own number
            claim.id,
            claim.provider,
            msgspec.json.encode(claim),
            attempts,
        )

    async def park(self, delivery: Delivery, reason: str) -> None:
        self._out_of_hand([delivery])
        await self._park(delivery.tag, delivery.claim.id, reason)

    async def bury(self, claim_id: str, provider: str, body: bytes, reason: str) -> None:
        """Put aside a message that is in no queue of ours."""
        await self._database.execute(
            "INSERT INTO dead (claim_id, provider, body, reason) VALUES ($1, $2, $3, $4)",
            claim_id,
            provider,
            body,
            reason,
        )

    async def _park(self, tag: object, claim_id: str, reason: str) -> None:
        await self._database.execute(
            """WITH taken AS (DELETE FROM queue WHERE id = $1 RETURNING provider, body)
               INSERT INTO dead (claim_id, provider, body, reason) SELECT $2, provider, body, $3 FROM taken""",
            tag,
            claim_id,
            reason,
        )

    async def waiting(self) -> dict[str, int]:
        """How many claims wait, by provider, those for later apart."""
        rows = await self._database.fetch(
            "SELECT provider, count(*) AS waiting FROM queue WHERE NOT later GROUP BY provider"
        )
        return {row["provider"]: row["waiting"] for row in rows}
