"""The counters of a payment's changes in a process, and that each possible label starts at 0."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace
from prometheus_client import generate_latest

from schemas.changes import Change
from schemas.events import Event
from schemas.payments import Payment
from schemas.words import EventType, Hold, Status
from tests.fakes.clock import NOON
from tests.fakes.providers import PLAIN, account
from worker.runtime.connection_limits import REASONS
from worker.telemetry.label_values import CONNECTION_REFUSALS
from worker.telemetry.metrics import Metrics

NAME = PLAIN.provider.name
PENDING = Payment(
    id="pay_0",
    merchant="shop",
    account=PLAIN.id,
    provider=NAME,
    reference="order-1",
    amount=Decimal("1500.50"),
    currency="BDT",
    version=1,
    opened_at=NOON,
    expires_at=NOON,
)
COMPLETED = replace(PENDING, status=Status.COMPLETED, version=2)


def told(payment: Payment, kind: EventType) -> Change:
    event = Event(
        id=f"{payment.id}.{payment.version}",
        payment_id=payment.id,
        version=payment.version,
        type=kind,
        merchant=payment.merchant,
        account=payment.account,
        time=NOON,
        body=b"{}",
    )
    return Change(payment=payment, event=event)


def counted(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"provider": NAME, **labels})


def test_money_is_counted_when_it_is_told_as_completed_and_only_then() -> None:
    metrics = Metrics([PLAIN])
    held = replace(COMPLETED, holds=(Hold.DUPLICATE_FOR_ORDER,))
    metrics.changed(PENDING, told(held, EventType.HELD))
    assert counted(metrics, "payproof_completed_taka_total") == 0
    assert counted(metrics, "payproof_holds_total", hold="duplicate_for_order") == 1
    metrics.changed(held, told(COMPLETED, EventType.COMPLETED))
    assert counted(metrics, "payproof_completed_taka_total") == 1500.5
    assert counted(metrics, "payproof_payment_transitions_total", status="completed") == 1


def test_of_a_refund_what_is_new_is_counted() -> None:
    metrics = Metrics([PLAIN])
    some = replace(COMPLETED, refunded_amount=Decimal("500.00"), version=3)
    metrics.changed(COMPLETED, told(some, EventType.PARTIALLY_REFUNDED))
    everything = replace(some, status=Status.REFUNDED, refunded_amount=some.amount, version=4)
    metrics.changed(some, told(everything, EventType.REFUNDED))
    assert counted(metrics, "payproof_refunded_taka_total") == 1500.5


def test_a_change_without_an_event_counts_nothing() -> None:
    metrics = Metrics([PLAIN])
    before = generate_latest(metrics.registry).decode()
    metrics.changed(PENDING, Change(payment=replace(PENDING, step=1)))
    assert _ours(generate_latest(metrics.registry).decode()) == _ours(before)


def test_kept_claims_that_gave_way_are_counted_by_gateway() -> None:
    metrics = Metrics([PLAIN])
    assert counted(metrics, "payproof_kept_claims_dropped_total") == 0
    metrics.drop(NAME, 3)
    assert counted(metrics, "payproof_kept_claims_dropped_total") == 3


def test_every_series_of_a_gateway_is_there_from_the_start() -> None:
    metrics = Metrics([account("shop-a", replace(PLAIN.provider.capabilities, executes=True, signs=True))])
    series = len(_ours(generate_latest(metrics.registry).decode()))
    for outcome in ("completed", "key_refused", "unmapped", "stranger"):
        labels = {"question": "execute", "outcome": outcome}
        assert metrics.registry.get_sample_value("payproof_questions_total", {"provider": NAME, **labels}) == 0
    assert counted(metrics, "payproof_callbacks_total", source="webhook", authenticity="signed", result="taken") == 0
    assert series < 250, "a few hundred series a gateway are enough"


@pytest.mark.parametrize(
    ("new", "old", "labels"),
    [
        ("payproof_payment_transitions_total", "payproof_payments_reached_total", {"status": "completed"}),
        ("payproof_claims_dead_lettered_total", "payproof_claims_parked_total", {}),
    ],
)
def test_a_renamed_counter_is_told_under_its_former_name_with_the_same_value(
    new: str, old: str, labels: dict[str, str]
) -> None:
    metrics = Metrics([PLAIN])
    metrics.changed(PENDING, told(COMPLETED, EventType.COMPLETED))
    metrics.dead_lettered.labels(NAME).inc(3)
    assert counted(metrics, old, **labels) == counted(metrics, new, **labels) != 0


def test_connections_are_counted_by_listener_and_why_they_were_refused() -> None:
    assert set(CONNECTION_REFUSALS) == set(REASONS)
    metrics = Metrics()
    counters = metrics.connections("public")
    counters.opened()
    counters.opened()
    counters.closed()
    counters.refused("evicted")
    value = metrics.registry.get_sample_value
    refused = "payproof_http_connections_refused_total"
    assert value("payproof_http_connections", {"listener": "public"}) == 1
    assert value(refused, {"listener": "public", "reason": "evicted"}) == 1
    assert value(refused, {"listener": "operators", "reason": "full"}) == 0


def _ours(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [line for line in lines if not line.startswith("payproof_process_")]
