"""The conditions that the benchmark's commands accept: their options, and that the whole run uses all of them."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

import pytest

from tests.bench.conditions import USUAL, Under, add_options, under
from tests.bench.delays import SPREAD, fixed
from tests.bench.measuring import groups
from tests.bench.plan import QUICK, WHOLE, Plan
from tests.bench.results import Results


def told(*words: str) -> Under:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return under(parser, parser.parse_args(words))


def test_nothing_is_otherwise_unless_it_is_said() -> None:
    assert told() == USUAL
    assert str(USUAL) == ""


@pytest.mark.parametrize(
    ("words", "meant", "shown"),
    [
        (["--delays", "0.2", "5"], Under(delays=SPREAD), "gateways that take 0.2 to 5 s"),
        (["--delays", "0.5"], Under(delays=fixed(0.5)), "gateways that take 0.5 s"),
        (["--standby", "10"], Under(standby=0.01), "a standby 10 ms away"),
        (["--snapshot"], Under(snapshot=True), "an old snapshot held"),
        (
            ["--standby=5", "--snapshot"],
            Under(standby=0.005, snapshot=True),
            "a standby 5 ms away, an old snapshot held",
        ),
    ],
)
def test_each_condition_is_an_option_and_is_told_beside_the_figure(words: list[str], meant: Under, shown: str) -> None:
    assert told(*words) == meant
    assert str(meant) == shown


@pytest.mark.parametrize("words", [["--delays", "1", "2", "3"], ["--delays", "-1"]])
def test_delays_that_cannot_be_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        told(*words)


@pytest.mark.parametrize("plan", [WHOLE, QUICK])
def test_a_whole_run_measures_under_each_of_them(plan: Plan) -> None:
    found = Results(began=datetime.now(UTC), plan=plan, versions={})
    names = {one.name for group in groups(plan, found) for one in group.measurements}
    assert {
        "latency, gateways that take 0.2 to 5 s",
        "latency, a standby 10 ms away",
        "latency, an old snapshot held",
        f"end to end, payproof, an old snapshot held, round 1 of {plan.rounds}",
        f"end to end, payproof, two processes, round 1 of {plan.rounds}",
    } <= names


def test_two_processes_that_consume_are_measured_beside_one() -> None:
    found = Results(began=datetime.now(UTC), plan=WHOLE, versions={})
    names = {one.name for group in groups(WHOLE, found) for one in group.measurements}
    assert {"latency, 3 processes, round 1 of 5", "latency, 4 processes, round 1 of 5"} <= names
