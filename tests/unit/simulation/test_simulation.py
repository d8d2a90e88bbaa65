"""Months of payments through the real stages and the gateways' real bytes; see `stories.py` and `invariants.py`.

A seed that fails is run again with PAYPROOF_SIMULATION_SEED=<seed>; PAYPROOF_SIMULATION_SEEDS runs so many more, and
PAYPROOF_SIMULATION_PAYMENTS makes worlds larger. `python -m tests.unit.simulation.run` is the long run.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.unit.simulation.world import judged

CHOSEN = os.environ.get("PAYPROOF_SIMULATION_SEED")
MORE = int(os.environ.get("PAYPROOF_SIMULATION_SEEDS", "2"))
SEEDS = [int(CHOSEN)] if CHOSEN else [1, 2, 3, 4, *(random.randrange(10**6) for _ in range(MORE))]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_gateways_call_paid_is_told_once_in_time_and_nothing_else_is(seed: int) -> None:
    print(f"PAYPROOF_SIMULATION_SEED={seed}")
    assert [str(one) for one in judged(seed)] == [], f"PAYPROOF_SIMULATION_SEED={seed}"
