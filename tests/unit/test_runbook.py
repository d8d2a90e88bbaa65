"""Alerts, runbook and holds stay in step: an operator who is woken finds the meaning and the next step."""

from __future__ import annotations

import re

import pytest
import yaml

from schemas.words import Hold
from tests.broker import _ELECT
from tests.dashboard import FILE, SOURCE, dashboard, written
from tests.runbook import DEPLOY, RUNBOOK, Alert, alerts, anchor, commands, sections
from worker.process import ROLES

ALERTS = alerts()


def test_every_alert_and_every_hold_has_a_section_and_nothing_else_has() -> None:
    assert sorted(sections()) == sorted([*(alert.name for alert in ALERTS), *Hold])


@pytest.mark.parametrize("heading", sections())
def test_a_section_says_what_it_means_what_to_look_at_and_what_to_do(heading: str) -> None:
    said = re.findall(r"^\*\*(.+?)\*\*", sections()[heading], flags=re.MULTILINE)
    assert [word for word in said if word != "Do not"] == ["Means.", "Look.", "Do."]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_names_its_section_and_says_in_words_what_is_wrong(alert: Alert) -> None:
    assert alert.annotations["runbook_url"] == f"deploy/runbook.md#{anchor(alert.name)}"
    assert alert.labels["severity"] in ("page", "ticket")
    assert alert.annotations["summary"]
    assert alert.annotations["description"].endswith(".")


def test_links_lead_to_headings() -> None:
    text = RUNBOOK.read_text()
    there = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}
    assert set(re.findall(r"\]\(#(.+?)\)", text)) <= there


def test_holds_of_money_page_and_those_that_wait_do_not() -> None:
    by_name = {alert.name: alert for alert in ALERTS}
    for name, waiting, severity in (("PayproofMoneyHeld", False, "page"), ("PayproofPaymentsWait", True, "ticket")):
        alert = by_name[name]
        (listed,) = re.findall(r'hold=~"(.+?)"', alert.expr)
        assert listed.split("|") == [hold.value for hold in Hold if hold.waiting is waiting]
        assert alert.labels["severity"] == severity


def test_every_role_that_money_needs_is_missed_when_nobody_runs_it() -> None:
    (missing,) = [alert for alert in ALERTS if alert.name == "PayproofRoleMissing"]
    assert re.findall(r'role="(\w+)"', missing.expr) == [role for role in ROLES if role not in ("console", "reconcile")]


def test_the_dashboard_asks_the_source_that_is_provisioned() -> None:
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert [(source["type"], source["uid"]) for source in sources] == [(SOURCE["type"], SOURCE["uid"])]


def test_the_dashboard_is_what_its_description_says() -> None:
    assert FILE.read_bytes() == written(dashboard()), "python -m tests.dashboard writes it anew"


def test_the_command_against_a_queue_without_a_leader_is_the_one_that_mends_it_in_the_tests() -> None:
    assert f"rabbitmqctl eval '{_ELECT}'" in commands("sh")


def test_commands_of_the_runbook_are_ours_or_the_brokers_or_ask_the_operators_port() -> None:
    for command in commands("sh"):
        assert command.split()[0] in ("payproof", "rabbitmqctl", "curl"), command
