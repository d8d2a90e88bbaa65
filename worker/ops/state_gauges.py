"""The gauges of `worker.ops.state_metrics`: what was read, under the names and with the help that Prometheus gets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily

from schemas.words import Hold
from worker.postgres.reads.account_state import AccountState
from worker.postgres.reads.installation_state import DatabaseState, EndpointState

SAME = " (the same from every process: take the max)"


class BrokerState(Struct, frozen=True):
    """How many claims wait at the broker, by gateway, and how many dead letters. Empty and None while it is away."""

    waiting: dict[str, int]
    dead: int | None


def database_gauges(
    state: DatabaseState, broker: BrokerState | None, providers: Sequence[str], events_retention: float | None
) -> Iterator[GaugeMetricFamily]:
    yield from _of_payments(state, providers)
    yield from _of_events(state, broker, events_retention)
    archive = _gauge("payproof_archive_bytes", "Size of the archive of callbacks on disk, with its indexes")
    archive.add_metric([], state.archive_bytes)
    yield archive
    snapshot = _gauge(
        "payproof_oldest_snapshot_transactions",
        "Transactions since the oldest snapshot began that keeps dead rows: of a dump, a standby, a session",
    )
    snapshot.add_metric([], state.snapshot)
    yield snapshot
    yield from _of_accounts(state.accounts)
    yield from _of_endpoints(state.endpoints)
    yield _of_retention(state.retention)
    yield from _of_decisions(state)
    orphaned = _gauge(
        "payproof_deliveries_orphaned", "Webhooks that wait for an endpoint in no configuration", "endpoint"
    )
    for endpoint, waiting in state.orphans.items():
        orphaned.add_metric([endpoint], waiting)
    yield orphaned


def claims_gauges(
    state: DatabaseState | None, broker: BrokerState | None, providers: Sequence[str]
) -> Iterator[GaugeMetricFamily]:
    waiting = _gauge("payproof_claims_waiting", "Claims that wait or are in hand, wherever they lie", "provider")
    low = _gauge("payproof_claims_low_priority", "Claims that repeat others, taken after all others", "provider")
    spool = _gauge("payproof_claims_in_spool", "Claims in Postgres, although RabbitMQ should have them", "provider")
    dead = _gauge("payproof_dead_letters", "Dead letters, by where they lie", "place")
    for provider in providers:
        counts = [state.queued.get(provider, 0)] if state else []
        counts += [broker.waiting[provider]] if broker and provider in broker.waiting else []
        if counts:
            waiting.add_metric([provider], sum(counts))
        if state:
            low.add_metric([provider], state.low_priority.get(provider, 0))
        if state and broker is not None:
            spool.add_metric([provider], state.queued.get(provider, 0))
    if state:
        dead.add_metric(["postgres"], state.dead)
    if broker and broker.dead is not None:
        dead.add_metric(["broker"], broker.dead)
    yield from (waiting, low, spool, dead)


def _of_payments(state: DatabaseState, providers: Sequence[str]) -> Iterator[GaugeMetricFamily]:
    held = _gauge("payproof_payments_held", "Payments held now; counted up to 10,000", "provider", "hold")
    for provider in sorted({*providers, *(provider for provider, _ in state.held)}):
        for hold in Hold:
            held.add_metric([provider, hold.value], state.held.get((provider, hold.value), 0))
    yield held
    stopped = _gauge(
        "payproof_payments_stopped", "Payments not asked in a loop any more, as they fail by themselves", "provider"
    )
    for provider in sorted({*providers, *state.stopped}):
        stopped.add_metric([provider], state.stopped.get(provider, 0))
    yield stopped


def _of_events(
    state: DatabaseState, broker: BrokerState | None, retention: float | None
) -> Iterator[GaugeMetricFamily]:
    unsequenced = _gauge("payproof_oldest_unsequenced_event_seconds", "Age of the oldest event without a position")
    unsequenced.add_metric([], state.unsequenced)
    yield unsequenced
    newest = _gauge("payproof_newest_event_timestamp_seconds", "When the last event that has its position was written")
    if state.newest is not None:
        newest.add_metric([], state.newest)
    yield newest
    lost = _gauge("payproof_events_lost", "Events that a failover lost; for a day, or until their payment is back")
    lost.add_metric([], state.lost)
    yield lost
    held_back = _gauge(
        "payproof_events_held_back_seconds",
        "How long events are kept past [retention] events because RabbitMQ has not confirmed them",
    )
    held_back.add_metric([], max(0.0, state.unpublished - (math.inf if retention is None else retention)))
    yield held_back
    if broker is not None:
        unpublished = _gauge(
            "payproof_oldest_unpublished_event_seconds", "Age of the oldest event that RabbitMQ has not confirmed"
        )
        unpublished.add_metric([], state.unpublished)
        yield unpublished


def _of_accounts(accounts: Sequence[AccountState]) -> Iterator[GaugeMetricFamily]:
    labels = ("provider", "account")
    unresolved = _gauge(
        "payproof_oldest_unresolved_seconds", "Age of the oldest payment that is pending and not held", *labels
    )
    overdue = _gauge("payproof_oldest_overdue_check_seconds", "How long a payment has been due for a question", *labels)
    breaker_open = _gauge(
        "payproof_account_breaker_open", "1 while the gateway gives this account no answers and is probed", *labels
    )
    forgetful = _gauge(
        "payproof_account_forgetful", '1 while the gateway says "not found" of one payment after the other', *labels
    )
    calls = _gauge("payproof_account_calls_left", "Calls left of the account's budget, where it has one", *labels)
    for one in accounts:
        names = [one.provider, one.account]
        unresolved.add_metric(names, one.unresolved)
        overdue.add_metric(names, one.overdue)
        breaker_open.add_metric(names, one.breaker_open)
        forgetful.add_metric(names, one.forgetful)
        if one.calls is not None:
            calls.add_metric(names, one.calls)
    yield from (unresolved, overdue, breaker_open, forgetful, calls)


def _of_endpoints(endpoints: Sequence[EndpointState]) -> Iterator[GaugeMetricFamily]:
    disabled = _gauge("payproof_endpoint_disabled", "1 while nothing is sent, because it answered 410", "endpoint")
    breaker_open = _gauge("payproof_endpoint_breaker_open", "1 while it fails and is only probed", "endpoint")
    waiting = _gauge("payproof_deliveries_waiting", "Webhooks that wait; counted up to 10,000", "endpoint")
    given_up = _gauge("payproof_deliveries_given_up", "Webhooks whose schedule ended in failure", "endpoint")
    oldest = _gauge(
        "payproof_oldest_undelivered_event_seconds", "Age of the oldest event not delivered to it", "endpoint"
    )
    for one in endpoints:
        for family, value in (
            (disabled, one.disabled),
            (breaker_open, one.breaker_open),
            (waiting, one.waiting),
            (given_up, one.given_up),
            (oldest, one.oldest),
        ):
            family.add_metric([one.endpoint], value)
    yield from (disabled, breaker_open, waiting, given_up, oldest)


def _of_decisions(state: DatabaseState) -> Iterator[GaugeMetricFamily]:
    unseconded = _gauge("payproof_oldest_open_proposal_seconds", "Age of the oldest proposal that nobody decided about")
    approved = _gauge("payproof_oldest_approved_proposal_seconds", "How long an approved proposal waits for a worker")
    statement = _gauge(
        "payproof_oldest_waiting_statement_seconds", "How long an uploaded statement waits while nobody reconciles any"
    )
    unseconded.add_metric([], state.open_proposal)
    approved.add_metric([], state.approved_proposal)
    statement.add_metric([], state.statement)
    yield from (unseconded, approved, statement)


def _of_retention(succeeded: Mapping[str, float]) -> GaugeMetricFamily:
    last_run = _gauge("payproof_retention_last_run_timestamp_seconds", "Last run that left nothing to delete", "task")
    for task, at in sorted(succeeded.items()):
        last_run.add_metric([task], at)
    return last_run


def _gauge(name: str, says: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says + SAME, labels=labels)
