"""Metrics under their names of 0.3 beside the new ones. Release 0.5 removes this file.

Rules and dashboards of a site move from one name to the other while both are there, with the same values.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric

OLD_NAMES = {
    "payproof_account_breaker_open": "payproof_account_silent",
    "payproof_claims_dead_lettered": "payproof_claims_parked",
    "payproof_claims_in_spool": "payproof_spool_claims",
    "payproof_claims_low_priority": "payproof_claims_later",
    "payproof_endpoint_breaker_open": "payproof_endpoint_shut",
    "payproof_events_published": "payproof_events_carried",
    "payproof_events_sequenced": "payproof_events_placed",
    "payproof_oldest_unpublished_event_seconds": "payproof_oldest_uncarried_event_seconds",
    "payproof_oldest_unsequenced_event_seconds": "payproof_oldest_unplaced_event_seconds",
    "payproof_payment_transitions": "payproof_payments_reached",
    "payproof_role_last_poll_timestamp_seconds": "payproof_role_looked_timestamp_seconds",
}
"""Old names by new names, of families. A counter's family is named without its `_total`."""


class Registry(CollectorRegistry):
    """Reports a renamed family under both names."""

    def collect(self) -> Iterator[Metric]:
        for family in super().collect():
            yield family
            if old := OLD_NAMES.get(family.name):
                yield _renamed(family, old)


def _renamed(family: Metric, name: str) -> Metric:
    renamed = Metric(name, f"The former name of {family.name}: {family.documentation}", family.type)
    renamed.samples = [sample._replace(name=name + sample.name.removeprefix(family.name)) for sample in family.samples]
    return renamed
