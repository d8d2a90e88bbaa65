"""Counters of one process for Prometheus. Base units, closed label sets, one registry per process.

A series that appears with its first event loses that event in a rate, and an alert cannot tell "never" from "unknown".
So every series of the configured gateways is there from the start, at 0. Figures that all processes read in the same
database must not be summed: they are in `worker/ops/state_metrics.py`.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, version
from itertools import product

from prometheus_client import Counter, Gauge, Histogram, Info, ProcessCollector, disable_created_metrics

from consumers.account import Account
from schemas.callbacks import Omission
from schemas.changes import Change
from schemas.payments import Payment
from schemas.words import EventType, Hold, QuestionKind, SignInOutcome, Status
from worker.telemetry.label_values import (
    CONNECTION_REFUSALS,
    DELIVERED,
    EXPECTED_RESULTS,
    LISTENERS,
    OUTCOMES,
    callback_labels,
)
from worker.telemetry.old_names import Registry

GATEWAY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40)
"""Up to the longest that a question may take, which is an Execute's 38 s."""

WEBHOOK_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
"""Up to the 15 s that an endpoint has."""


class Metrics:
    """The metrics of one process, registered in a registry of its own so that tests may have many.

    `accounts`: those whose gateways' series are made at the start.
    """

    def __init__(self, accounts: Collection[Account] = ()) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series and are of no use
        self.registry = Registry()
        ProcessCollector(namespace="payproof", registry=self.registry)
        Info("payproof_process", "The version that runs", registry=self.registry).info({"version": _version()})
        self.ready = self._gauge("payproof_process_ready", "1 while /readyz says so")
        self.roles = self._gauge("payproof_role_up", "1 while this process runs the role; else there is none", "role")
        self.last_poll = self._gauge(
            "payproof_role_last_poll_timestamp_seconds",
            "When the sweep last looked for due payments, or the relay for events without position: the latest counts",
            "role",
        )
        self.skew = self._gauge("payproof_clock_skew_seconds", "This machine's clock less the database's")
        self.broker = self._gauge(
            "payproof_broker_up", "1 while RabbitMQ confirms what this process publishes", "connection"
        )
        self.consumers = self._gauge(
            "payproof_consumer_up", "1 while RabbitMQ delivers this queue to this process", "queue"
        )
        self.rebuilt = self._counter(
            "payproof_consumers_rebuilt_total", "Consumers that RabbitMQ had forgotten, built anew", "queue"
        )
        self.http_connections = self._gauge(
            "payproof_http_connections", "Connections that are open at a listener of this process", "listener"
        )
        self.refused_connections = self._counter(
            "payproof_http_connections_refused_total",
            "Connections that were refused or cut at a limit: full, evicted, slow or large",
            *("listener", "reason"),
        )
        self._count_payments()
        self._count_machinery()
        self._expect(accounts)

        self.keys_refused = self._counter(
            "payproof_api_keys_refused_total", "Requests of the API with a key that no merchant has"
        )
        self.sign_ins = self._counter(
            "payproof_console_sign_ins_total", "Sign-ins and confirmations at the console, by how they ended", "outcome"
        )
        for outcome in SignInOutcome:
            self.sign_ins.labels(outcome.value)
        self.second_person_from = self._gauge(
            "payproof_second_person_from_taka",
            "From which amount two people decide, as this process has it; +Inf: never",
        )

    def _count_payments(self) -> None:
        self.callbacks = self._counter(
            "payproof_callbacks_total",
            "Callbacks by kind, by whether they prove their sender, and by what became of them",
            *("provider", "source", "authenticity", "result"),
        )
        self.digests = self._counter(
            "payproof_callbacks_digested_total",
            "Callbacks stored as a digest, by the budget that had no room",
            "reason",
        )
        self.question_seconds = self._histogram(
            *("payproof_question_seconds", "Time a gateway took over a question", GATEWAY_SECONDS),
            *("provider", "question"),
        )
        self.questions = self._counter(
            "payproof_questions_total",
            "Questions asked, by what they brought: a status, or why there was no answer",
            *("provider", "question", "outcome"),
        )
        self.events = self._counter(
            "payproof_events_written_total", "Events written to the log: one for each change", "provider", "type"
        )
        self.transitions = self._counter(
            "payproof_payment_transitions_total", "Payments that reached a status", "provider", "status"
        )
        self.holds = self._counter("payproof_holds_total", "Payments that were held", "provider", "hold")
        self.completed = self._counter(
            "payproof_completed_taka_total", "Money of payments with a completed event, in taka", "provider"
        )
        self.refunded = self._counter(
            "payproof_refunded_taka_total", "Money that gateways said went back, in taka", "provider"
        )

    def _count_machinery(self) -> None:
        self.claims = self._counter(
            "payproof_claims_taken_total", "Claims written, with the answer where they led to a question", "provider"
        )
        self.in_hand = self._gauge(
            "payproof_claims_in_hand", "Claims that this process was given and has not written", "provider"
        )
        self.dead_lettered = self._counter(
            "payproof_claims_dead_lettered_total", "Claims dead-lettered because they fail by themselves", "provider"
        )
        self.dropped = self._counter(
            "payproof_kept_claims_dropped_total",
            "Unsigned claims about payments that are not here yet that gave way to others",
            "provider",
        )
        self.spooled = self._counter(
            "payproof_claims_spooled_total", "Claims written to the spool because RabbitMQ did not confirm", "provider"
        )
        self.swept = self._counter("payproof_sweep_claims_total", "Payments the sweep found due")
        self.expected = self._counter(
            "payproof_expected_messages_total", "Messages that expect a payment, by what became of them", "result"
        )
        self.sequenced = self._counter("payproof_events_sequenced_total", "Events given their position in the log")
        self.published = self._counter("payproof_events_published_total", "Events that RabbitMQ confirmed")
        self.deliveries = self._histogram(
            "payproof_delivery_seconds",
            "Time an endpoint took over a webhook, by what became of the attempt",
            *(WEBHOOK_SECONDS, "result"),
        )

    def changed(self, before: Payment, change: Change) -> None:
        """Count the event, the new status, the new hold and the refunded money of one committed change."""
        after, provider = change.payment, change.payment.provider
        if change.event is not None:
            self.events.labels(provider, change.event.type.value).inc()
            if change.event.type is EventType.COMPLETED:
                self.completed.labels(provider).inc(float(after.amount))
        if after.status is not before.status:
            self.transitions.labels(provider, after.status.value).inc()
        if after.hold is not None and after.hold is not before.hold:
            self.holds.labels(provider, after.hold.value).inc()
        if after.refunded_amount > before.refunded_amount:
            self.refunded.labels(provider).inc(float(after.refunded_amount - before.refunded_amount))

    def sign_in(self, outcome: SignInOutcome) -> None:
        self.sign_ins.labels(outcome.value).inc()

    def drop(self, provider: str, count: int) -> None:
        """Count kept claims that gave way to others."""
        self.dropped.labels(provider).inc(count)

    def connections(self, listener: str) -> ConnectionMetrics:
        """The counters of a listener of LISTENERS."""
        return ConnectionMetrics(self.http_connections.labels(listener), self.refused_connections, listener)

    def polled(self, role: str) -> None:
        """Store that this role has just looked for work without an error."""
        self.last_poll.labels(role).set(time.time())

    def _expect(self, accounts: Collection[Account]) -> None:
        """Make every series that there can be."""
        for account in accounts:
            name, capabilities = account.provider.name, account.provider.capabilities
            for source, authenticity, result in callback_labels(signs=capabilities.signs):
                self.callbacks.labels(name, source, authenticity, result)
            if capabilities.asked_by:
                kinds = [kind for kind in QuestionKind if capabilities.executes or kind is QuestionKind.STATUS]
                for kind, outcome in product(kinds, OUTCOMES):
                    self.question_seconds.labels(name, kind.value)
                    self.questions.labels(name, kind.value, outcome)
            reachable = [status for status in Status if status is not Status.PENDING]
            for counter, words in ((self.events, EventType), (self.transitions, reachable), (self.holds, Hold)):
                for word in words:
                    counter.labels(name, word.value)
            self.in_hand.labels(name)
            claims = (self.claims, self.dead_lettered, self.dropped, self.spooled, self.rebuilt)
            for counter in (self.completed, self.refunded, *claims):
                counter.labels(name)
        for because in Omission:
            self.digests.labels(because.value)
        for result in DELIVERED:
            self.deliveries.labels(result)
        for result in EXPECTED_RESULTS:
            self.expected.labels(result)
        self.rebuilt.labels("expected")
        for listener, reason in product(LISTENERS, CONNECTION_REFUSALS):
            self.refused_connections.labels(listener, reason)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(name, says, labels, registry=self.registry)

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(name, says, labels, registry=self.registry)

    def _histogram(self, name: str, says: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, says, labels, buckets=buckets, registry=self.registry)


class ConnectionMetrics:
    """The connections of one listener; see worker.runtime.connection_limits.ConnectionCounters."""

    def __init__(self, open_now: Gauge, refused: Counter, listener: str) -> None:
        self._open, self._refused, self._listener = open_now, refused, listener

    def opened(self) -> None:
        self._open.inc()

    def closed(self) -> None:
        self._open.dec()

    def refused(self, reason: str) -> None:
        self._refused.labels(self._listener, reason).inc()


def _version() -> str:
    try:
        return version("payproof")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
