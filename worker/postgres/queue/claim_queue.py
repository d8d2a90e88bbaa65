"""The bus in Postgres: a durable queue that workers share with SKIP LOCKED, and the whole bus where there is no broker.

A row that was taken is not gone: it is deleted when its claim is written. Until then it names a lock that its worker's
session holds. When no session holds that lock, the worker died, and the claim is free at once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress

import msgspec
import structlog
from asyncpg import Record

from consumers.ports.bus import ClaimMessage
from consumers.ports.unavailable import BusUnavailable, DatabaseUnavailable, error_name
from schemas.callbacks import Claim, read_claim
from schemas.own_json import NotOurs
from worker.postgres.database import Database
from worker.postgres.queue.claim_looks import ClaimLooks
from worker.postgres.wakeups import Wakeup
from worker.runtime.clock import set_within

LOOK_SECONDS = 1.0  # between looks for claims of workers that died
POSTPONE_SECONDS = 30
POLL_SECONDS = 5.0

log = structlog.get_logger()

_POSTPONE = """
    UPDATE queue SET holder = NULL, attempts = greatest(attempts - $3, 0), failures = failures + $4,
        available_at = clock_timestamp() + make_interval(secs => $2)
    WHERE id = ANY($1)
"""


async def no_holder() -> None:
    """The process has no session that shows that it lives. Its claims are free when their lease ends."""


class PostgresBus:
    """See consumers.ports.bus.Bus. The listener for wakeups calls `wake` with the providers that have new claims."""

    def __init__(self, database: Database, holder: Callable[[], Awaitable[int | None]] = no_holder) -> None:
        """`holder` returns the number of a lock that this process's session holds now; see PostgresTurns."""
        self._database, self._holder = database, holder
        self._queued = defaultdict[str, asyncio.Event](asyncio.Event)
        self._returning = dict[object, str]()
        """Claims that were given back, but not yet in the database: the provider of each, by its tag."""
        self._looks = ClaimLooks(database)

    async def free_lost(self) -> None:
        """Until cancelled: free the claims of workers that died, and retry `requeue` where it failed."""
        while True:
            try:
                await self._return()
                await self._free()
            except DatabaseUnavailable as error:
                log.warning("claims.free_failed", error=error_name(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def _free(self) -> None:
        await self._holder()  # if the session broke, this also locks the turns of our questions again
        if freed := await self._looks.free_lost():
            log.info("claims.freed", claims=sum(freed.values()))
            self._tell(freed)

    def wake(self, providers: Iterable[str]) -> None:
        """Let `receive` look for claims of these providers at once."""
        for provider in providers:
            self._looks.providers.add(provider)
            self._queued[provider].set()

    async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
        since = self._database.primary.since  # before the write: the next server may lack it
        try:
            await self._database.execute(
                """INSERT INTO queue (claim_id, provider, body, later)
                   SELECT *, $4 FROM unnest($1::text[], $2::text[], $3::bytea[])
                   ON CONFLICT (claim_id) DO NOTHING""",
                [claim.id for claim in claims],
                [claim.provider for claim in claims],
                [msgspec.json.encode(claim) for claim in claims],
                low_priority,
            )
        except DatabaseUnavailable as error:
            raise BusUnavailable(error_name(error)) from error
        self._database.witness.heard(claims, None, since)
        self._tell({claim.provider for claim in claims})

    async def receive(self, provider: str, most: int) -> list[ClaimMessage]:
        queued = self._queued[provider]
        while True:
            queued.clear()
            messages = await self.lease(provider, most)
            if len(messages) == most:
                queued.set()
            if messages:
                return messages
            await set_within(queued, POLL_SECONDS)

    async def lease(self, provider: str, most: int, *, low_priority: bool = True) -> list[ClaimMessage]:
        """Take the claims that are there now, at most `most`. Claims of low priority come last, if they are wanted."""
        while True:
            rows = await self._looks.take(provider, most, low_priority=low_priority, holder=await self._holder())
            messages = [await self._claim_message(row) for row in sorted(rows, key=lambda row: row["id"])]
            readable = [message for message in messages if message is not None]
            if readable or not rows:
                return readable

    async def _claim_message(self, row: Record) -> ClaimMessage | None:
        """The claim of the row. A claim that this version cannot read is dead-lettered, and None is returned."""
        try:
            claim = read_claim(row["body"])
        except NotOurs as error:
            log.error("claim.unreadable", claim_id=row["claim_id"], exc_info=error)  # noqa: TRY400 - with its trace
            with suppress(DatabaseUnavailable):  # then it comes again after its lease, and the other rows are not lost
                await self._dead_letter(row["id"], row["claim_id"], f"{error.kind} in receive")
            return None
        return ClaimMessage(
            tag=row["id"],
            claim=claim,
            attempts=row["failures"] + 1,
            handed_out=row["attempts"],
            queued_at=row["queued_at"],
        )

    async def ack(self, messages: Sequence[ClaimMessage]) -> None:
        await self._database.execute("DELETE FROM queue WHERE id = ANY($1)", [message.tag for message in messages])

    async def requeue(self, messages: Sequence[ClaimMessage]) -> None:
        self._returning |= {message.tag: message.claim.provider for message in messages}
        with suppress(DatabaseUnavailable):  # `free_lost` tries again
            await self._return()

    async def _return(self) -> None:
        returning, self._returning = self._returning, {}
        if not returning:
            return
        try:
            await self._postpone(returning, 0, 1)
        except BaseException:
            self._returning |= returning
            raise
        self._tell(set(returning.values()))

    async def postpone(self, messages: Sequence[ClaimMessage]) -> None:
        await self._postpone([message.tag for message in messages], POSTPONE_SECONDS, 1)

    async def retry(self, message: ClaimMessage) -> None:
        await self._postpone([message.tag], POSTPONE_SECONDS, 0, 1)

    async def stop_receiving(self, provider: str) -> None:
        """Does nothing: this process has no claims in hand beyond those that `receive` returned."""

    async def _postpone(self, tags: Iterable[object], seconds: float, uncounted: int, failed: int = 0) -> None:
        """Let claims wait `seconds`. Takes `uncounted` from their attempts, and adds `failed` to their failures."""
        await self._database.execute(_POSTPONE, list(tags), seconds, uncounted, failed)

    def _tell(self, providers: Collection[str]) -> None:
        """Tell this process and the others that these gateways have claims."""
        self.wake(providers)
        self._database.notify(Wakeup(claims=sorted(providers)))

    async def publish_again(self, claim: Claim, handed_out: int, failures: int = 0) -> None:
        """Queue a claim that was not in this queue until now. It waits POSTPONE_SECONDS."""
        await self._database.execute(
            f"""INSERT INTO queue (claim_id, provider, body, attempts, failures, available_at)
                VALUES ($1, $2, $3, $4, $5, clock_timestamp() + interval '{POSTPONE_SECONDS} s')
                ON CONFLICT (claim_id) DO NOTHING""",  # noqa: S608 - the time is our own number
            claim.id,
            claim.provider,
            msgspec.json.encode(claim),
            handed_out,
            failures,
        )

    async def dead_letter(self, message: ClaimMessage, reason: str) -> None:
        await self._dead_letter(message.tag, message.claim.id, reason)

    async def dead_letter_raw(self, claim_id: str, provider: str, body: bytes, reason: str) -> None:
        """Dead-letter a message that is not in this queue."""
        await self._database.execute(
            "INSERT INTO dead (claim_id, provider, body, reason) VALUES ($1, $2, $3, $4)",
            claim_id,
            provider,
            body,
            reason,
        )

    async def _dead_letter(self, tag: object, claim_id: str, reason: str) -> None:
        await self._database.execute(
            """WITH taken AS (DELETE FROM queue WHERE id = $1 RETURNING provider, body)
               INSERT INTO dead (claim_id, provider, body, reason) SELECT $2, provider, body, $3 FROM taken""",
            tag,
            claim_id,
            reason,
        )

    async def depths(self) -> dict[str, int]:
        """How many claims wait or are in hand, by provider, without claims of low priority."""
        return await self._looks.count()
