"""Every reader of strangers' bytes over some thousand cases; `deploy/dev fuzz` runs a million."""

from __future__ import annotations

from pathlib import Path

from consumers.providers import PROVIDERS
from tests.fuzz.mutating import Dice
from tests.fuzz.parser import Parser
from tests.fuzz.parsers import parsers
from tests.fuzz.running import fuzz

CASES, SEED = 300, 20261121


def test_no_reader_crashes_on_anything() -> None:
    rows = fuzz(parsers(), CASES, SEED)
    assert {row.name: row.kept for row in rows if row.crashes} == {}
    assert all(row.cases == CASES for row in rows)


def test_every_gateway_is_read_both_ways() -> None:
    names = {parser.name for parser in parsers()}
    assert {f"{gateway}: {what}" for gateway in PROVIDERS for what in ("callbacks", "replies")} <= names


def test_a_crash_is_counted_kept_and_can_be_brought_about_again() -> None:
    def read(dice: Dice) -> None:
        if dice.below(2):
            raise KeyError("a bug")

    (row,) = fuzz([Parser("buggy", read)], 100, SEED)
    assert 0 < row.crashes < row.cases == 100
    ((place, case),) = row.kept.items()
    assert place.startswith(f"KeyError at {Path(__file__).parent.name}/{Path(__file__).name}:")
    assert Dice(bytes.fromhex(case)).below(2) == 1


def test_the_same_seed_draws_the_same_cases_and_another_does_not() -> None:
    seen: list[list[bytes]] = []
    for seed in (1, 1, 2):
        drawn: list[bytes] = []
        text = Parser("noted", lambda dice, drawn=drawn: drawn.append(dice.changed(b"paid")))
        fuzz([text], 50, seed)
        seen.append(drawn)
    assert seen[0] == seen[1] != seen[2]
