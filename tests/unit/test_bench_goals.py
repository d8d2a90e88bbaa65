"""The table of goals: which figures meet a goal and which miss it, and that rounding never turns one into the other."""

from __future__ import annotations

import pytest

from tests.bench.goals import GOALS, Goal, Is, Measured, Unmeasured, figures_shown, judge, judged, ratio, shown

AT_LEAST = Goal(name="a", what="a", side=Is.AT_LEAST, bound=0.7)
AT_MOST = Goal(name="b", what="b", side=Is.AT_MOST, bound=25.0, unit=" ms")
UNDER = Goal(name="c", what="c", side=Is.UNDER, bound=1.0, unit=" %")


@pytest.mark.parametrize(
    ("goal", "figure", "met"),
    [
        (AT_LEAST, 0.7, True),
        (AT_LEAST, 0.71, True),
        (AT_LEAST, 0.69999, False),
        (AT_MOST, 25.0, True),
        (AT_MOST, 25.001, False),
        (UNDER, 0.99, True),
        (UNDER, 1.0, False),
    ],
)
def test_a_bound_itself_is_met_but_where_a_figure_must_be_under_it(goal: Goal, figure: float, met: bool) -> None:
    assert judge(goal, Measured(rounds=[figure])).met is met


def test_the_figure_is_the_median_so_that_one_bad_round_decides_nothing() -> None:
    figure = Measured(rounds=[0.8, 0.1, 0.75])
    assert (figure.figure, figure.spread) == (0.75, (0.1, 0.8))
    assert judge(AT_LEAST, figure).met


def test_what_was_not_measured_is_missed_and_says_why() -> None:
    verdict = judge(AT_MOST, Unmeasured(why="RabbitMQ did not come up"))
    assert not verdict.met
    assert figures_shown(AT_MOST, verdict.figure) == ("not measured", "RabbitMQ did not come up")


def test_every_goal_has_its_row_whatever_was_handed_in() -> None:
    verdicts = judged({"bare": Measured(rounds=[0.9])})
    assert [verdict.goal for verdict in verdicts] == list(GOALS)
    assert [verdict.goal.name for verdict in verdicts if verdict.met] == ["bare"]
    assert all(isinstance(verdict.figure, Unmeasured) for verdict in verdicts[1:])


def test_a_figure_that_no_goal_is_about_is_a_mistake_of_ours() -> None:
    with pytest.raises(LookupError, match="no goal is about bear"):
        judged({"bear": Measured(rounds=[0.9])})


def test_the_bounds_that_a_release_is_held_to() -> None:
    """A change of a bound changes this test too, with its reason."""
    assert {goal.name: shown(goal) for goal in GOALS} == {
        "bare": "at least 0.5",
        "faststream": "at least 8 times",
        "celery": "at least 6.5 times",
        "ingress": "at least 0.75",
        "growth": "at least 0.9",
        "isolation": "at most 1.3",
        "latency": "at most 2.5 times",
        "statements": "at most 4",
        "syncs": "at most 1",
        "wal": "at most 10 kB",
        "recovery": "at most 2 s",
        "restart": "at most 2 s",
        "idle": "under 1 %",
    }


def test_goals_are_named_once() -> None:
    assert len({goal.name for goal in GOALS}) == len(GOALS)


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that was slow for a whole round was slow for both."""
    assert ratio([(80.0, 100.0), (8.0, 10.0), (60.0, 100.0)]) == Measured(rounds=[0.8, 0.8, 0.6])


def test_without_a_round_of_both_there_is_no_ratio() -> None:
    assert isinstance(ratio([]), Unmeasured)
    assert isinstance(ratio([(80.0, 0.0)]), Unmeasured)


@pytest.mark.parametrize(
    ("goal", "words"), [(AT_LEAST, "at least 0.7"), (AT_MOST, "at most 25 ms"), (UNDER, "under 1 %")]
)
def test_a_goal_in_words(goal: Goal, words: str) -> None:
    assert shown(goal) == words


@pytest.mark.parametrize(
    ("goal", "rounds", "words"),
    [
        (AT_LEAST, [0.7512], ("0.75", "of one")),
        (AT_MOST, [18.2, 17.0, 30.0], ("18.20 ms", "17.00 to 30.00 of 3")),
        (AT_LEAST, [0.6999], ("0.6999", "of one")),
        (UNDER, [0.9999], ("0.9999 %", "of one")),
    ],
)
def test_a_figure_is_never_rounded_to_the_other_side_of_its_bound(
    goal: Goal, rounds: list[float], words: tuple[str, str]
) -> None:
    assert figures_shown(goal, Measured(rounds=rounds)) == words
