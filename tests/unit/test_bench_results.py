"""From the figures of a benchmark to its table: every goal has a verdict, and each failure has its reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.bench.delays import SPREAD
from tests.bench.goals import GOALS, Measured, Unmeasured
from tests.bench.plan import QUICK, WHOLE
from tests.bench.recovery import Recovery
from tests.bench.report import show, verdicts
from tests.bench.results import Failed, Results, figures
from tests.bench.serving import ALL_IN_ONE, APART
from tests.bench.spread import spread

BARE = ("bare ingress", "bare consumer")


def drained(per_second: float) -> Any:
    return SimpleNamespace(per_second=per_second, cpu_seconds_per_thousand=1.0, rss_bytes=2**26)


def accepted(per_second: float) -> Any:
    return SimpleNamespace(per_second=per_second, milliseconds=spread([1.0, 2.0]))


def waited(layout: Sequence[str], p99: float, under: str = "") -> Any:
    name = " | ".join(layout) + (f", {under}" if under else "")
    return SimpleNamespace(layout=layout, under=under, name=name, per_second=200.0, milliseconds=spread([p99]))


def costing(**values: float) -> Any:
    figures = ("cpu_seconds", "postgres_cpu_seconds", "rabbitmq_cpu_seconds", "rss_bytes", "transactions", "wal_pages")
    others = ("statements", "wal_syncs", "wal_bytes", "wal_page_bytes", "published", "delivered", "acknowledged")
    return SimpleNamespace(**{"payments": 1_000, "rate": None} | dict.fromkeys(figures + others, 1.0) | values)


@pytest.fixture
def found() -> Results:
    """A quick run without failures."""
    return Results(
        began=datetime(2026, 11, 21, tzinfo=UTC),
        plan=QUICK,
        versions={"python": "3.11"},
        drains=[{"payproof": drained(80), "bare": drained(100), "faststream": drained(10), "celery": drained(10)}],
        ingress=[
            {
                "payproof returns": accepted(90),
                "bare returns": accepted(100),
                "payproof webhooks": accepted(70),
                "bare webhooks": accepted(100),
            }
        ],
        paced=[{"payproof": waited(ALL_IN_ONE, 20.0), "bare": waited(BARE, 10.0)}],
        latencies=[waited(APART, 90.0), waited(ALL_IN_ONE, 70.0, str(SPREAD))],
        saturated=[
            SimpleNamespace(buyers=200, per_second=rate, milliseconds=spread([p99]))  # type: ignore[list-item]
            for rate, p99 in ((800.0, 250.0), (900.0, 150.0), (700.0, 350.0))
        ],
        isolation=SimpleNamespace(healthy=[spread([10.0])], beside_slow=[spread([12.0])]),  # type: ignore[arg-type]
        recoveries=[
            Recovery(bus="rabbitmq", consumers=2, gateway_seconds=1.0, after_kill=[0.1, 0.2, 9.0]),
            Recovery(bus="postgres", consumers=2, gateway_seconds=1.0, after_kill=[1.5, 1.0, 1.5]),
            Recovery(bus="rabbitmq", consumers=1, gateway_seconds=1.0, after_kill=[2.0], after_ready=[0.1]),
            Recovery(bus="postgres", consumers=1, gateway_seconds=1.0, after_kill=[12.0], after_ready=[10.0]),
        ],
        idle=[
            SimpleNamespace(bus="rabbitmq", percent=0.2, wakeups_per_second=6.0, rss_bytes=2**26),  # type: ignore[list-item]
            SimpleNamespace(bus="postgres", percent=1.2, wakeups_per_second=6.0, rss_bytes=2**26),  # type: ignore[list-item]
        ],
        cost=costing(),
        paced_cost=costing(rate=200.0, statements=3.5, wal_syncs=1.25, wal_bytes=9_000.0, wal_page_bytes=4_000.0),
    )


def printed(found: Results) -> str:
    written = StringIO()
    show(found, Console(file=written, width=200, highlight=False, markup=False))
    return written.getvalue()


def test_each_goal_is_judged_by_what_is_worst_for_us(found: Results) -> None:
    assert {verdict.goal.name: verdict.met for verdict in verdicts(found)} == {
        "bare": True,
        "faststream": True,
        "celery": True,
        "ingress": False,  # of webhooks, the worse of the two
        "growth": False,  # is not part of a quick run
        "isolation": True,
        "latency": True,  # of one process, which is how shops begin
        "statements": True,  # of payments that come at a rate, as the next two
        "syncs": False,
        "wal": True,
        "recovery": True,  # with the bus that takes longer, as the next
        "restart": False,
        "idle": False,  # with the bus that costs more
    }
    assert figures(found)["ingress"] == Measured(rounds=[0.7])
    assert figures(found)["idle"] == Measured(rounds=[1.2])
    assert figures(found)["syncs"] == Measured(rounds=[1.25])
    assert figures(found)["wal"] == Measured(rounds=[9.0])
    assert figures(found)["recovery"] == Measured(rounds=[1.5, 1.0, 1.5])
    assert figures(found)["restart"] == Measured(rounds=[10.0])


def test_the_slow_end_is_held_to_the_bare_limits_of_the_same_round(found: Results) -> None:
    found.paced += [
        {"payproof": waited(ALL_IN_ONE, 90.0), "bare": waited(BARE, 30.0)},
        {"payproof": waited(ALL_IN_ONE, 500.0)},
        {"payproof": waited(ALL_IN_ONE, 45.0), "bare": waited(BARE, 15.0)},
    ]
    assert figures(found)["latency"] == Measured(rounds=[2.0, 3.0, 3.0])
    assert {one.goal.name: one.met for one in verdicts(found)}["latency"] is False
    [ours] = [line for line in printed(found).splitlines() if line.startswith("ingress,consume,sweep,relay,deliver  ")]
    [theirs] = [line for line in printed(found).splitlines() if line.startswith("bare ingress | bare consumer")]
    assert "67.5 (20.0 to 500.0)" in ours
    assert "15.0 (10.0 to 30.0)" in theirs


def test_what_payments_cost_at_a_rate_is_told_beside_those_that_waited(found: Results) -> None:
    text = printed(found)
    waited_for, paced = text.split("that come at a rate")
    assert "statements" in waited_for
    for words in (
        "payments a second 200",
        "with 3.50 statements",
        "waits for the disk of one 1.25",
        "9,000 bytes, 4,000 of them",
    ):
        assert words in " ".join(paced.split())


def test_what_it_takes_at_saturation_is_told_beside_the_fixed_rate(found: Results) -> None:
    [line] = [line for line in printed(found).splitlines() if "at saturation, 200 buyers" in line]
    assert "800 (700 to 900)" in line
    assert "250.0 (150.0 to 350.0)" in line


def test_what_was_otherwise_than_usual_is_told_and_not_judged(found: Results) -> None:
    [line] = [line for line in printed(found).splitlines() if "gateways that take 0.2 to 5 s" in line]
    assert "70.0" in line
    assert figures(found)["latency"] == Measured(rounds=[2.0])


def test_a_round_that_a_contender_did_not_come_through_is_left_out_of_its_ratio(found: Results) -> None:
    found.drains += [{"payproof": drained(50), "celery": drained(10)}, {"payproof": drained(60), "bare": drained(100)}]
    assert figures(found)["bare"] == Measured(rounds=[0.8, 0.6])
    assert figures(found)["celery"] == Measured(rounds=[8.0, 5.0])


def test_what_failed_is_named_with_its_reason_and_counts_as_missed(found: Results) -> None:
    del found.drains[0]["bare"]
    found.failed.append(Failed(name="end to end, bare", goals=("bare",), why="DrainError: bare ended\nits log"))
    assert figures(found)["bare"] == Unmeasured(why="DrainError: bare ended\nits log")
    assert not verdicts(found)[0].met
    text = printed(found)
    assert "not measured  DrainError: bare ended" in text
    assert "end to end, bare: not measured: DrainError: bare ended\nits log" in text


def test_a_reason_is_not_told_of_a_goal_that_was_measured_all_the_same(found: Results) -> None:
    found.failed.append(Failed(name="end to end, bare, round 2", goals=("bare",), why="DrainError: too slow"))
    assert figures(found)["bare"] == Measured(rounds=[0.8])


def test_the_table_has_every_goal_also_when_nothing_was_measured() -> None:
    text = printed(Results(began=datetime(2026, 11, 21, tzinfo=UTC), plan=WHOLE, versions={}))
    for goal in GOALS:
        assert goal.what in text
    assert text.count("not measured") == text.count("missed") == len(GOALS)


def test_the_figures_behind_the_goals_have_their_tables(found: Results) -> None:
    text = printed(found)
    for words in ("payproof to bare, webhooks", "one that answers after 5 s", "ingress | consume | sweep,relay"):
        assert words in text


def test_growth_is_the_most_payments_against_the_fewest(found: Results) -> None:
    found.plan = WHOLE
    sizes = [
        SimpleNamespace(settled=settled, rates=[100.0], ratios=[ratio], held=[81.0] if settled == 10_000_000 else [])
        for settled, ratio in zip(WHOLE.history, (1.0, 0.97, 0.93), strict=True)
    ]
    found.growth = SimpleNamespace(sizes=sizes, quiet=None, due=None)  # type: ignore[assignment]
    assert figures(found)["growth"] == Measured(rounds=[0.93])
    [plain, held] = [line for line in printed(found).splitlines() if "10,000,000" in line]
    assert "100" in plain
    assert "an old snapshot held" in held
    assert "81" in held
