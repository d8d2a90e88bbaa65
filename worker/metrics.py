"""What Prometheus sees. Base units, closed label sets, one registry per process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one process, registered in a registry of its own so that tests may have many."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.callbacks = Counter(
            "payproof_callbacks_total",
            "Callbacks by source, gateway and what became of them",
            ["source", "provider", "result"],
            registry=self.registry,
        )
        self.questions = Histogram(
            "payproof_question_seconds",
            "Time a gateway took over a question, by what it brought",
            ["provider", "question", "outcome"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.claims = Counter(
            "payproof_claims_taken_total", "Claims taken, by gateway", ["provider"], registry=self.registry
        )
        self.parked = Counter(
            "payproof_claims_parked_total",
            "Claims put aside because they fail by themselves",
            ["provider"],
            registry=self.registry,
        )
        self.spooled = Counter(
            "payproof_claims_spooled_total",
            "Claims written to Postgres because RabbitMQ did not confirm them",
            ["provider"],
            registry=self.registry,
        )
        self.rebuilt = Counter(
            "payproof_consumers_rebuilt_total",
            "Consumers that RabbitMQ had forgotten and that were built anew",
            ["provider"],
            registry=self.registry,
        )
        self.expected = Counter(
            "payproof_expected_total",
            "Payments registered by message, by what became of the message",
            ["result"],
            registry=self.registry,
        )
        self.published = Counter(
            "payproof_events_published_total", "Events confirmed by RabbitMQ", registry=self.registry
        )
        self.decisions = Counter(
            "payproof_events_written_total",
            "Events written to the log, by gateway and type",
            ["provider", "type"],
            registry=self.registry,
        )
        self.deliveries = Histogram(
            "payproof_delivery_seconds",
            "Time an endpoint took over a webhook, by what became of the attempt",
            ["result"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.undelivered = Gauge(
            "payproof_deliveries_waiting", "Webhooks waiting for enabled endpoints", registry=self.registry
        )
        self.given_up = Gauge(
            "payproof_deliveries_given_up", "Webhooks whose schedule ended in failure", registry=self.registry
        )
        self.oldest_undelivered = Gauge(
            "payproof_oldest_undelivered_event_seconds",
            "Age of the oldest event that waits for an enabled endpoint",
            registry=self.registry,
        )
        self.placed = Counter("payproof_events_placed_total", "Events given their place", registry=self.registry)
        self.swept = Counter("payproof_sweep_claims_total", "Payments the sweep found due", registry=self.registry)
        self.waiting = Gauge(
            "payproof_claims_waiting", "Claims in the queue, by gateway", ["provider"], registry=self.registry
        )
        self.held = Gauge("payproof_payments_held", "Payments held, by reason", ["hold"], registry=self.registry)
        self.oldest_unresolved = Gauge(
            "payproof_oldest_unresolved_seconds",
            "Age of the oldest payment that is pending or held",
            registry=self.registry,
        )
        self.oldest_unplaced = Gauge(
            "payproof_oldest_unplaced_event_seconds", "Age of the oldest event without a place", registry=self.registry
        )
