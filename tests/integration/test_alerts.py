"""The alerts as Prometheus judges them: each fires for its cause, and not for similar series."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.alert_cases import CASES, Series
from tests.prometheus import RULES, promtool
from tests.runbook import alerts


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    promtool("check", "rules", str(RULES))


def test_every_alert_fires_when_it_should_and_not_when_it_should_not(tmp_path: Path) -> None:
    assert sorted(CASES) == sorted(alert.name for alert in alerts()), "there is a case per alert"
    tests = [
        tried(f"{name} {word}", name, series, case.at, fires=word == "fires")
        for name, case in CASES.items()
        for word, series in (("fires", case.fires), ("is quiet", case.quiet))
    ]
    file = tmp_path / "alerts.yaml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", str(file))


def tried(what: str, alert: str, series: Series, at: str, *, fires: bool) -> dict[str, Any]:
    """One promtool test. A query asks whether the alert fires, so that its text need not be repeated."""
    firing = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) > bool 0 or vector(0)'
    return {
        "name": what,
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": at, "exp_samples": [{"labels": "{}", "value": int(fires)}]}],
    }
