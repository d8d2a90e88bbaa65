"""Months of payments through the real stages and the gateways' real bytes; see `stories.py` and `invariants.py`.

A seed that fails is run again with PAYPROOF_SIMULATION_SEED=<seed>; PAYPROOF_SIMULATION_SEEDS runs so many more, and
PAYPROOF_SIMULATION_PAYMENTS makes worlds larger. `python -m tests.unit.simulation.run` is the long run.
"""

from __future__ import annotations

import os

import pytest

from tests.unit.simulation.world import judged

CHOSEN = os.environ.get("PAYPROOF_SIMULATION_SEED")
MORE = int(os.environ.get("PAYPROOF_SIMULATION_SEEDS", "2"))
SEEDS = [int(CHOSEN)] if CHOSEN else [*range(1, 5 + MORE)]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_gateways_call_paid_is_told_once_in_time_and_nothing_else_is(seed: int) -> None:
    print(f"PAYPROOF_SIMULATION_SEED={seed}")
    assert [str(one) for one in judged(seed)] == [], f"PAYPROOF_SIMULATION_SEED={seed}"


WORLDS = int(os.environ.get("PAYPROOF_SIMULATION_WORLDS", "1000"))
FIRST = int(CHOSEN) if CHOSEN else 10_000
FEW = 3
"""Payments of a small world: each seed draws few different things, so many seeds draw more."""


@pytest.mark.timeout(900)
def test_nor_in_a_thousand_small_worlds() -> None:
    """Each has its own seed, counted from the printed seed."""
    print(f"PAYPROOF_SIMULATION_SEED={FIRST} PAYPROOF_SIMULATION_WORLDS={WORLDS}")
    found = {seed: [str(one) for one in judged(seed, FEW)] for seed in range(FIRST, FIRST + WORLDS)}
    assert {seed: words for seed, words in found.items() if words} == {}
