"""The bus in Postgres: a durable queue that workers share with SKIP LOCKED, and the whole bus where there is no broker.

The one thing to get wrong: a leased row is not gone. It is deleted when its claim's transaction committed, and comes
back when its lease ends, which is how the claims of a killed worker are heard all the same.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
import structlog
from asyncpg import Record

from consumers.bus import BusAway, Delivery
from schemas.callbacks import Claim
from worker.clock import set_within
from worker.postgres.database import UNAVAILABLE, Database
from worker.postgres.notices import Notice

LEASE_SECONDS = 30
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
_LEAVE = f"""
    UPDATE queue SET attempts = greatest(attempts - 1, 0),
        available_at = clock_timestamp() + interval '{LEASE_SECONDS} s'
    WHERE id = ANY($1)
"""  # noqa: S608 - the lease is our own number


class PostgresBus:
    """See consumers.bus.Bus. `wake` is called with the providers of a notice that claims were queued."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queued = defaultdict[str, asyncio.Event](asyncio.Event)

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
        await self._database.execute("DELETE FROM queue WHERE id = ANY($1)", [delivery.tag for delivery in deliveries])

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Nothing to do: their leases end."""

    async def leave(self, deliveries: Sequence[Delivery]) -> None:
        await self._database.execute(_LEAVE, [delivery.tag for delivery in deliveries])

    async def retry(self, delivery: Delivery) -> None:
        """Nothing to do: its lease ends, and taking it counted the attempt."""

    async def publish_again(self, claim: Claim, attempts: int) -> None:
        """Queue a claim that failed elsewhere, to be tried again after the time of a lease."""
        await self._database.execute(
            f"""INSERT INTO queue (claim_id, provider, body, attempts, available_at)
                VALUES ($1, $2, $3, $4, clock_timestamp() + interval '{LEASE_SECONDS} s')
                ON CONFLICT (claim_id) DO NOTHING""",  # noqa: S608 - the lease is our own number
            claim.id,
            claim.provider,
            msgspec.json.encode(claim),
            attempts,
        )

    async def park(self, delivery: Delivery, reason: str) -> None:
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
