"""The looks at the queue: for claims that are free, for those of dead workers, and for how many there are.

They run many times a second, also while an old snapshot keeps the dead entries of all claims. So each begins at a
watermark, see worker/postgres/watermark.py, and every bound is one that an index can be searched by: a comparison with
statement_timestamp(), as one with clock_timestamp() is made for each row.
"""

from __future__ import annotations

from collections import Counter

from asyncpg import Record

from consumers.timing import TIMING
from worker.postgres.database import Database
from worker.postgres.watermark import START, Watermark, Watermarks

_LEASE_SECONDS = TIMING.claim_lease.total_seconds()
_TAKE = f"""
    WITH found AS MATERIALIZED (
        SELECT due.id, due.available_at
        FROM unnest($4::bool[], $5::timestamptz[]) AS look (later, since) CROSS JOIN LATERAL (
            SELECT q.id, q.available_at FROM queue q
            WHERE q.provider = $1 AND q.later = look.later AND q.available_at >= look.since
                AND q.available_at <= statement_timestamp()
            ORDER BY q.available_at, q.id LIMIT $2 FOR UPDATE SKIP LOCKED) AS due
        LIMIT $2)
    UPDATE queue
    SET holder = $3, available_at = clock_timestamp() + interval '{_LEASE_SECONDS:g} s', attempts = attempts + 1
    FROM found WHERE queue.id = found.id AND queue.id = ANY(ARRAY(SELECT id FROM found))
    RETURNING queue.id, claim_id, attempts, failures, queued_at, body, later, found.available_at AS waited_since
"""  # noqa: S608 - the lease is our own number
"""The second look, for claims of low priority, is made if the first finds too few."""

_FREE = """
    WITH held AS MATERIALIZED (
        SELECT taken.id, taken.holder, taken.available_at
        FROM unnest($1::text[]) AS g (provider) CROSS JOIN unnest(ARRAY[false, true]) AS l (later) CROSS JOIN LATERAL (
            SELECT q.id, q.holder, q.available_at FROM queue q
            WHERE q.provider = g.provider AND q.later = l.later
                AND q.available_at > greatest($2, statement_timestamp()) AND coalesce(q.holder, 0) <> 0
            ORDER BY q.available_at) AS taken),
    gone AS MATERIALIZED (
        SELECT DISTINCT holder FROM held WHERE holder NOT IN (
            SELECT classid::bigint << 32 | objid::bigint FROM pg_locks
            WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND database = (
                SELECT oid FROM pg_database WHERE datname = current_database()))),
    freed AS (
        UPDATE queue SET holder = NULL, available_at = clock_timestamp()
        WHERE id = ANY(ARRAY(
            SELECT id FROM queue
            WHERE id = ANY(ARRAY(SELECT held.id FROM held JOIN gone USING (holder)))
                AND holder = ANY(ARRAY(SELECT holder FROM gone))
            FOR UPDATE SKIP LOCKED))
        RETURNING provider)
    SELECT (SELECT min(available_at) FROM held) AS oldest, ARRAY(SELECT provider FROM freed) AS providers
"""
"""Frees claims whose holder is a lock that no session has. A claim whose lease has ended is free without it.

"holder IS NOT NULL" would let a planner choose the index queue_held, which has no order of time and so no mark.
"""

_ALL = "SELECT provider, count(*) AS waiting, min(available_at) AS oldest FROM queue WHERE NOT later GROUP BY provider"
_COUNT = """
    SELECT g.provider, counted.* FROM unnest($1::text[], $2::timestamptz[]) AS g (provider, since) CROSS JOIN LATERAL (
        SELECT count(*) AS waiting, min(q.available_at) AS oldest FROM queue q
        WHERE q.provider = g.provider AND NOT q.later AND q.available_at >= g.since) AS counted
"""


class ClaimLooks:
    """The looks of one process. `providers` are the gateways that it knows; claims of others are not freed or counted.

    A gateway becomes known when claims of it are taken, queued or counted here.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.providers = set[str]()
        self._free_from, self._held_from = Watermarks(), Watermark()
        self._counted_from, self._all_counted = Watermarks(), Watermark()

    async def take(self, provider: str, most: int, *, low_priority: bool, holder: int | None) -> list[Record]:
        """Take at most `most` claims that are free, those that wait longest; of low priority last, if at all."""
        self.providers.add(provider)
        now, looks = self._database.clock.now(), [False, True] if low_priority else [False]
        bounds = [self._free_from[provider, later].bound(now) for later in looks]
        rows = await self._database.fetch(_TAKE, provider, most, holder, looks, bounds)
        found = 0
        for later, bound in zip(looks, bounds, strict=True):
            if found == most:
                break  # the second look was not made
            waiting = [row["waited_since"] for row in rows if row["later"] == later]
            self._free_from[provider, later].saw(bound, min(waiting, default=None), now)
            found += len(waiting)
        return rows

    async def free_lost(self) -> Counter[str]:
        """Free the claims of workers that died. Returns how many, by provider."""
        leased = self._database.clock.now() + TIMING.claim_lease  # claims that are taken from now on lie above it
        bound = self._held_from.bound(leased)
        [freed] = await self._database.fetch(_FREE, list(self.providers), bound)
        self._held_from.saw(bound, freed["oldest"], leased)
        return Counter(freed["providers"])

    async def count(self) -> dict[str, int]:
        """How many claims wait or are in hand, by provider, without claims of low priority."""
        now = self._database.clock.now()
        bound = self._all_counted.bound(now)
        if bound == START:
            bounds = dict.fromkeys(self.providers, START)
            rows = await self._database.fetch(_ALL)
            self._all_counted.saw(bound, None, now)
        else:
            bounds = {provider: self._counted_from[provider].near(now) for provider in self.providers}
            rows = await self._database.fetch(_COUNT, list(bounds), list(bounds.values()))
        oldest = {row["provider"]: row["oldest"] for row in rows}
        for provider in bounds | oldest:
            self._counted_from[provider].saw(bounds.get(provider, START), oldest.get(provider), now)
        self.providers.update(oldest)
        return {row["provider"]: row["waiting"] for row in rows if row["waiting"]}
