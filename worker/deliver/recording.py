"""Recording the attempts of an endpoint that have ended: in the database, and then in metrics and the log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import asyncpg
import structlog
from msgspec import Struct

from consumers.webhook_policy import AttemptOutcome, Delivered, Health, next_health, outcome_elsewhere
from worker.config.webhook_endpoints import Endpoint
from worker.deliver.attempt_log import attempt_result, result_of
from worker.deliver.sender import SentAttempt
from worker.postgres.database import Connection
from worker.postgres.events.deliveries import (
    LeasedDelivery,
    expedite_deliveries,
    lockable_payments,
    payments_here,
    record_attempts,
)
from worker.postgres.events.endpoint_rows import LastAnswer, LockedEndpoint, note_success, save_health
from worker.telemetry.metrics import Metrics

log = structlog.get_logger()


class FinishedAttempt(Struct, frozen=True, kw_only=True):
    """An attempt that has ended and is not recorded yet."""

    taken: LeasedDelivery
    sent: SentAttempt
    became: AttemptOutcome
    at: datetime


class RecordedAttempts(Struct, frozen=True, kw_only=True):
    """The endpoint's `health` after the `written` attempts. A failover lost the payments of the `lost` attempts."""

    health: Health
    written: list[FinishedAttempt] = []
    lost: list[FinishedAttempt] = []


async def record_finished(
    connection: Connection[asyncpg.Record],
    endpoint: Endpoint,
    locked: LockedEndpoint,
    finished: Sequence[FinishedAttempt],
    now: datetime,
) -> RecordedAttempts:
    """Write down these attempts, except those of payments that are locked now: the next cycle writes them.

    Attempts at a URL that is not the row's, as of a process with an older configuration, do not change its health.
    """
    health = before = locked.health
    if not finished:
        return RecordedAttempts(health=health)
    lost = list[FinishedAttempt]()
    ids = [one.taken.payment_id for one in finished]
    free = await lockable_payments(connection, ids)
    if not free.issuperset(ids):
        here = await payments_here(connection, ids)
        lost = [one for one in finished if one.taken.payment_id not in here]
    ended = [one for one in finished if one.taken.payment_id in free]
    if not ended:
        return RecordedAttempts(health=health, lost=lost)
    results, elsewhere = [], locked.url != endpoint.url
    for one in ended:
        became = outcome_elsewhere(one.became, one.taken.step, one.at) if elsewhere else one.became
        if not elsewhere:
            health = next_health(health, one.sent.response, became, one.at, probe=one.taken.probe)
        results.append(attempt_result(endpoint, one.taken, one.sent, became, one.at))
    await record_attempts(connection, endpoint.id, results)
    newest = max(ended, key=lambda one: one.at)
    answer = LastAnswer(newest.at, newest.sent.response.words)
    if health != before:
        await save_health(connection, endpoint.id, health, answer)
    if any(isinstance(one.became, Delivered) for one in ended):
        await note_success(connection, endpoint.id, now, answer)
        if before.probing and not health.probing:
            await expedite_deliveries(connection, endpoint.id, now)
    return RecordedAttempts(health=health, written=ended, lost=lost)


def tell_recorded(
    metrics: Metrics, endpoint: Endpoint, before: Health, health: Health, recorded: Collection[FinishedAttempt]
) -> None:
    """Count the attempts that are recorded and committed, and log failures and changes of the endpoint's health."""
    for one in recorded:
        result = result_of(one.became)
        metrics.deliveries.labels(result).observe(one.sent.seconds)
        if not isinstance(one.became, Delivered):
            say = log.warning if result == "given_up" else log.info
            say(
                "delivery.failed",
                endpoint=endpoint.id,
                event_id=one.taken.event_id,
                attempt=one.taken.attempt,
                result=result,
                why=one.sent.response.words,
            )
    if health.disabled_at != before.disabled_at:
        log.warning("endpoint.disabled", endpoint=endpoint.id, host=endpoint.host)
    elif health.probing != before.probing:
        change = log.warning if health.probing else log.info
        change("endpoint.breaker_opened" if health.probing else "endpoint.breaker_closed", endpoint=endpoint.id)
