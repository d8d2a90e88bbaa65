"""Months of payments through the real stages, with everything that goes wrong; see `stories.py` and `invariants.py`.

A seed that fails is run again with PAYPROOF_SIMULATION_SEED=<seed>; PAYPROOF_SIMULATION_PAYMENTS makes worlds larger.
"""

from __future__ import annotations

import os
import random
from datetime import timedelta

import pytest

from consumers.rules import Rules
from schemas.checks import Checks
from tests.unit.simulation.invariants import broken
from tests.unit.simulation.stories import ACCOUNTS, LAST_STORY, Stories
from tests.unit.simulation.workers import System

PAYMENTS = int(os.environ.get("PAYPROOF_SIMULATION_PAYMENTS", "500"))
CHOSEN = os.environ.get("PAYPROOF_SIMULATION_SEED")
SEEDS = [int(CHOSEN)] if CHOSEN else [1, 2, 3, random.randrange(10**6)]

CHECKS = Checks(claimed=(2.0, 5.0, 15.0, 60.0, 300.0, 3600.0))
"""The default, but that what is asked about for a week is asked every hour in the end and not two thousand times."""


def world(seed: int, payments: int = PAYMENTS) -> tuple[System, Stories]:
    rules = Rules(
        accounts={account.id: account for account in ACCOUNTS},
        checks=CHECKS,
        public_url="https://pay.example",
        jitter=0.1,
    )
    system = System(ACCOUNTS, rules, seed, workers=3)
    return system, Stories(system, seed, payments)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_payment_reaches_the_truth_within_its_budget_and_none_ends_in_silence(seed: int) -> None:
    print(f"PAYPROOF_SIMULATION_SEED={seed}")
    system, _ = world(seed)
    assert system.agenda.run(LAST_STORY + timedelta(days=60)), f"seed {seed}: something never comes to rest"
    assert list(broken(system)) == [], f"seed {seed}"
