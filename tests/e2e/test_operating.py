"""What operators look at, in a real Prometheus that scrapes a real payproof on RabbitMQ with payments of every kind.

The installation is this file's own: payments of every gateway that were completed, refused and held, a forged webhook,
a dead letter, an account with a budget whose key is refused. All queries go to the API that Grafana uses.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from urllib.request import urlopen

import asyncpg
import pytest
from msgspec import Struct

from tests.broker import RabbitMQ, rabbitmq
from tests.dashboard import dashboard, queries
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof
from tests.harness import BLIND, CHECKED, QUICK, STORIES, System, environment, play, staged
from tests.processes import directory, until
from tests.prometheus import Prometheus, prometheus, promtool
from tests.runbook import Alert, alerts, commands, metrics
from worker.postgres.server.embedded import embedded
from worker.telemetry.old_names import OLD_NAMES

ACCOUNT = """
[[merchants.accounts]]
id = "shop-budget"
provider = "ipay"
base_url = "{base}/ipay"
api_key = "was-revoked"
calls_per_second = 5
"""
SETTINGS = QUICK.replace('give_up = "20s"', 'give_up = "1h"')
PLAYED = ("Success", "Failure", "Success, for a person to confirm", "Order paid twice", "Transaction used twice")
VARIABLES = {"$provider": ".*", "$__rate_interval": "30s", "$__range": "5m"}
SECONDS = 60
MOST_SERIES = 150
"""For each gateway."""
ORPHAN = "wh_ffffffffffff"
"""An endpoint that left the configuration while an event waited for it."""
UNSHOWN = {
    *("payproof_process_virtual_memory_bytes", "payproof_process_start_time_seconds", "payproof_process_max_fds"),
}
"""Metrics that the client library adds, and that no panel or alert uses."""


class Scene(Struct, frozen=True):
    system: System
    broker: RabbitMQ
    prometheus: Prometheus


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with directory() as place, rabbitmq() as broker, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAYPROOF_AMQP_URL", broker.url)
        system = System(place, settings=SETTINGS, secret=WEBHOOK_SECRET, merchants="")
        system._merchants += ACCOUNT.format(base=system.sandbox_url)
        system.start()
        try:
            with prometheus({"ingress": system.ops_url.removeprefix("http://")}, every="1s") as server:
                asyncio.run(_much_happens(system))
                yield Scene(system, broker, server)
        finally:
            system.stop()


async def _much_happens(system: System) -> None:
    stories = [story for story in STORIES if story.name in PLAYED and story.gateway in (*CHECKED, BLIND)]
    async with staged(system) as stage:
        rows = await play(stories, stage, lambda _: None)
        assert [row.wrong for row in rows if row.wrong] == []
        payproof = Payproof(system, stage)
        forged = await payproof.call("POST", "/webhooks/shop-moneybag", data=b"{}")
        assert forged.status == 401
        body = {"account": "shop-budget", "reference": "b-1", "amount": "10", "currency": "BDT", "session_id": "IPAY-1"}
        tracked = await payproof.shop_calls("POST", "/v1/payments/track", json=body)
        assert tracked.status == 201, tracked.text
        await payproof.shop_calls("POST", f"/v1/payments/{tracked.json['payment_id']}/verify")
    async with embedded(system.place / "data") as url:
        database = await asyncpg.connect(url)
        await database.execute(
            "INSERT INTO dead (claim_id, provider, body, reason) VALUES ('c-1', 'ipay', '{}', 'test')"
        )
        await database.execute(
            f"INSERT INTO endpoints (id, merchant, url, place) VALUES ('{ORPHAN}', 'shop', 'https://gone.example/', 0)"
        )
        await database.execute(
            f"""INSERT INTO deliveries (endpoint, event_id, place, next_at)
                SELECT '{ORPHAN}', id, place, now() FROM events WHERE place IS NOT NULL LIMIT 1"""
        )
        await database.close()


@pytest.fixture
def scrape(scene: Scene) -> str:
    with urlopen(f"{scene.system.ops_url}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def families(scrape: str) -> set[str]:
    """The metric names as queries use them, a histogram's once."""
    return set(re.findall(r"^# TYPE (\S+)", scrape, flags=re.MULTILINE))


async def test_promtool_finds_nothing_wrong_with_what_a_process_tells(scrape: str) -> None:
    assert promtool("check", "metrics", told=scrape) == ""


async def test_no_label_holds_what_is_personal_or_unbounded(scrape: str) -> None:
    labels = dict(re.findall(r'(\w+)="([^"]*)"', scrape))
    closed = {"provider", "source", "authenticity", "result", "question", "outcome", "type", "status", "hold", "queue"}
    closed |= {"reason", "task", "listener"}
    known = {"role", "connection", "account", "endpoint", "place", "version", "le"}
    assert set(labels) <= closed | known
    assert "pay_" not in scrape, "no payment is named"
    series = [line for line in scrape.splitlines() if not line.startswith("#")]
    gateways = set(re.findall(r'provider="(\w+)"', scrape))
    assert len(series) < MOST_SERIES * len(gateways)


@pytest.mark.parametrize(("panel", "query"), queries(dashboard()))
async def test_every_query_of_the_dashboard_brings_data(scene: Scene, panel: str, query: str) -> None:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)

    async def data() -> bool:
        return bool(scene.prometheus.query(query))

    await until(data, what=f"{panel}: {query}", seconds=SECONDS)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
async def test_every_alert_is_asked_without_an_error(scene: Scene, alert: Alert) -> None:
    scene.prometheus.query(alert.expr)

    async def judged() -> bool:
        rules = [rule for group in scene.prometheus.ask("rules")["groups"] for rule in group["rules"]]
        (mine,) = [rule for rule in rules if rule["name"] == alert.name]
        assert mine.get("lastError", "") == ""
        return mine["health"] == "ok"

    await until(judged, what="Prometheus evaluated it", seconds=SECONDS)


async def test_alerts_and_dashboard_name_what_a_process_tells_and_leave_nothing_out(scrape: str) -> None:
    named = metrics(" ".join([*(query for _, query in queries(dashboard())), *(alert.expr for alert in alerts())]))
    told = families(scrape)
    assert named - told == set()
    former = {name for old in OLD_NAMES.values() for name in (old, f"{old}_total")}
    assert told - named - former == UNSHOWN


async def test_what_all_processes_read_in_one_place_is_never_summed_over_them(scrape: str) -> None:
    same = set(re.findall(r"^# HELP (\S+) .*take the max", scrape, flags=re.MULTILINE))
    assert "payproof_payments_held" in same
    for where, query in [*queries(dashboard()), *((alert.name, alert.expr) for alert in alerts())]:
        for metric in metrics(query) & same:
            assert re.search(rf"max( by \([\w, ]+\) )?\({metric}\b", query), f"{where}: {query}"


async def test_the_words_of_alerts_are_filled_in(scene: Scene) -> None:
    async def active() -> list[dict[str, str]]:
        found = [alert["annotations"] for alert in scene.prometheus.ask("alerts")["alerts"]]
        return found if len(found) >= 3 else []

    told = await until(active, what="three alerts are pending", seconds=SECONDS)
    for words in told:
        for text in words.values():
            assert "{{" not in text
            assert "error" not in text
            assert "<no value>" not in text


async def test_the_money_counted_is_the_money_that_the_log_tells_of(scene: Scene) -> None:
    async with staged(scene.system) as stage:
        page = await Payproof(scene.system, stage).shop_calls("GET", "/v1/events?limit=1000")
    told: dict[str, float] = {}
    for event in page.json["events"]:
        if event["type"] == "payment.completed":
            told[event["data"]["provider"]] = told.get(event["data"]["provider"], 0) + float(event["data"]["amount"])
    assert told

    async def counted() -> bool:
        series = scene.prometheus.query("payproof_completed_taka_total > 0")
        return {one["metric"]["provider"]: float(one["value"][1]) for one in series} == told

    await until(counted, what=f"completed payments are counted as {told}")


@pytest.mark.parametrize(("new", "old"), sorted(OLD_NAMES.items()))
async def test_a_renamed_metric_is_told_under_both_names_with_the_same_value(scene: Scene, new: str, old: str) -> None:
    both = f"{new}_total == {old}_total or {new} == {old}"

    async def told() -> bool:
        return bool(scene.prometheus.query(both))

    await until(told, what=both)


async def test_what_happened_is_seen(scene: Scene) -> None:
    for query in (
        'payproof_payments_held{hold="unverifiable"} > 0',
        'payproof_holds_total{hold="transaction_reused"} > 0',
        'payproof_callbacks_total{provider="moneybag", authenticity="signed", result="taken"} > 0',
        'payproof_callbacks_total{provider="moneybag", result="forged"} == 1',
        'payproof_questions_total{provider="ipay", outcome="key_refused"} > 0',
        'payproof_dead_letters{place="postgres"} == 1',
        'payproof_delivery_seconds_count{result="delivered"} > 0',
        "payproof_events_published_total > 0 and payproof_events_published_total == payproof_events_sequenced_total",
    ):

        async def seen(query: str = query) -> bool:
            return bool(scene.prometheus.query(query))

        await until(seen, what=query, seconds=SECONDS)


@pytest.fixture(scope="module")
def names(scene: Scene) -> dict[str, str]:
    """The values of the placeholders in capitals, as a listing or an alert would show them."""
    listed = _run(scene, "payproof payments list --hold unverifiable").stdout
    (payment, *_) = re.findall(r"pay_\w{26}", listed)
    listed = re.findall(r"wh_\w{12}", _run(scene, "payproof webhooks list").stdout)
    endpoint = next(one for one in listed if one != ORPHAN)
    letter = json.loads(_run(scene, "payproof dead list --json").stdout.splitlines()[0])["id"]
    return {"PAYMENT": payment, "ENDPOINT": endpoint, "LETTER": letter, "ACCOUNT": "shop-ipay", "GATEWAY": "ipay"}


ACTS = ("payments resolve", "payments verify", "dead replay", "dead drop", "webhooks enable", "webhooks replay")


def _acts(command: str) -> bool:
    return any(f"payproof {act}" in command for act in ACTS)


@pytest.mark.parametrize("command", [one for one in commands("sh") if not _acts(one)])
async def test_a_command_of_the_runbook_that_looks_runs_as_written(
    scene: Scene, names: dict[str, str], command: str
) -> None:
    done = _run(scene, _named(command, names))
    allowed = (0, 1) if command == "payproof doctor" else (0,)  # a key was revoked here, which doctor reports
    assert done.returncode in allowed, done.stdout + done.stderr
    assert done.stdout.strip() or "rabbitmqctl" in command, "it shows something"


async def test_the_commands_that_act_run_as_written(scene: Scene, names: dict[str, str]) -> None:
    """One after the other, as in the runbook: the dropped letter exists, the resolved payment is held."""
    for command in sorted((one for one in commands("sh") if _acts(one)), key=_drops_last):
        done = _run(scene, _named(command, names))
        # A letter without a claim cannot be replayed, and a gateway without a status API cannot be asked.
        allowed = (0, 1) if "dead replay" in command or "verify" in command else (0,)
        assert done.returncode in allowed, f"{command}: {done.stdout}{done.stderr}"


async def test_the_question_to_the_database_runs_as_written(scene: Scene) -> None:
    async with embedded(scene.system.place / "data") as url:
        database = await asyncpg.connect(url)
        for statement in commands("sql"):
            await database.fetch(statement)
        await database.close()


async def test_a_broker_that_goes_away_is_seen_and_that_it_is_back(scene: Scene) -> None:
    async def holds(query: str) -> None:
        async def seen() -> bool:
            return bool(scene.prometheus.query(query))

        await until(seen, what=query, seconds=SECONDS)

    scene.broker.stop()
    try:
        await holds('ALERTS{alertname="PayproofBrokerAway", alertstate="pending"}')
        await holds('ALERTS{alertname="PayproofQueueWithoutConsumer", queue="ipay", alertstate="pending"}')
        await holds("payproof_process_ready == 1")  # it still takes callbacks
    finally:
        await asyncio.to_thread(scene.broker.start)
    await holds("payproof_broker_up == 1")


def _drops_last(command: str) -> tuple[bool, str]:
    return "resolve" in command or "drop" in command, command


def _named(command: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        command = re.sub(rf"\b{name}\b", value, command)
    return command


def _run(scene: Scene, command: str) -> subprocess.CompletedProcess[str]:
    """Run it as a shell would, with this machine's programs and operators' port."""
    program, *words = shlex.split(command.replace("http://127.0.0.1:9090", scene.system.ops_url))
    if program == "rabbitmqctl":
        return subprocess.CompletedProcess(command, 0, scene.broker.ctl(*words), "")
    if program == "curl":
        with urlopen(words[-1], timeout=10) as answer:
            return subprocess.CompletedProcess(command, 0, answer.read().decode(), "")
    return subprocess.run(
        [sys.executable, "-P", "-m", "worker.cli", *words],
        cwd=scene.system.place,
        env=environment() | scene.system.settings | {"COLUMNS": "200", "USER": os.environ.get("USER", "operator")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
