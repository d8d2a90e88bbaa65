"""The shipped files of Prometheus over compose's services: what a healthy installation shows, and what rings for what.

Only addresses and times are this file's own: Prometheus scrapes every second, and no alert is pending for longer than
two seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.e2e.watched import SECONDS, Watched, pay, watched_services
from tests.harness import CHECKED, staged
from tests.processes import until
from tests.prometheus import Prometheus
from tests.runbook import alerts
from worker.process import ROLES

ROUNDS = 5

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched() -> AsyncIterator[Watched]:
    async with watched_services(every="1s", pending="2s") as watched:
        yield watched


async def test_no_alert_rings_over_a_healthy_installation_while_buyers_pay(watched: Watched) -> None:
    async with staged(watched.boxes) as stage:
        for number, gateway in enumerate(CHECKED, 1):
            await pay(stage, gateway, number)
    await watched.quiet()
    judged = _evaluations(watched.prometheus)

    async def again() -> bool:
        assert watched.ringing() == []
        return _evaluations(watched.prometheus) != judged

    for _ in range(ROUNDS):
        await until(again, what="the rules are evaluated again", seconds=SECONDS)
        judged = _evaluations(watched.prometheus)


async def test_each_role_is_seen_under_its_own_name(watched: Watched) -> None:
    shown = {series["metric"]["role"] for series in watched.prometheus.query("payproof_role_up == 1")}
    assert shown == set(ROLES)
    polled = {
        series["metric"]["role"] for series in watched.prometheus.query("payproof_role_last_poll_timestamp_seconds")
    }
    assert polled == {"sweep", "relay"}


async def test_no_label_of_ours_is_replaced_by_that_of_a_target(watched: Watched) -> None:
    assert [label for label in watched.prometheus.ask("labels") if label.startswith("exported_")] == []


async def test_a_service_that_ends_rings_for_itself_and_for_its_role(watched: Watched) -> None:
    watched.boxes.end("deliver")
    await watched.holds('ALERTS{alertname="PayproofProcessDown", role="deliver", alertstate="firing"}')
    await watched.holds('ALERTS{alertname="PayproofRoleMissing", role="deliver", alertstate="firing"}')
    assert not watched.prometheus.query('ALERTS{alertname="PayproofRoleMissing", role!="deliver"}')
    await watched.boxes.begin("deliver")
    await watched.quiet()


async def test_a_broker_that_is_away_rings_in_each_process_that_publishes(watched: Watched) -> None:
    await _away_and_back(watched, watched.broker.stop, watched.broker.start, "PayproofBrokerAway")


async def test_a_database_that_is_away_rings_and_readiness_goes(watched: Watched) -> None:
    stop, start = watched.postgres.stop, watched.postgres.start
    await _away_and_back(watched, stop, start, "PayproofDatabaseAway", "PayproofNotReady")


async def _away_and_back(watched: Watched, stop: Callable[[], None], start: Callable[[], None], *names: str) -> None:
    """Each of these alerts fires while the server is away, and ends when it is back."""
    await asyncio.to_thread(stop)
    try:
        for name in names:
            await watched.holds(f'ALERTS{{alertname="{name}", alertstate="firing"}}')
    finally:
        await asyncio.to_thread(start)
    await watched.quiet()


def _evaluations(scraper: Prometheus) -> list[str]:
    """When each group of rules was last evaluated; every rule was evaluated without an error."""
    groups = scraper.ask("rules")["groups"]
    assert sum(len(group["rules"]) for group in groups) == len(alerts())
    return [group["lastEvaluation"] for group in groups]
