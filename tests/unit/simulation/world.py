"""One simulated world: months of payments, and the judge's findings when all has come to rest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

from consumers.account import Account
from consumers.rules import Rules
from schemas.checks import Checks
from tests.unit.simulation.accounts import ACCOUNTS
from tests.unit.simulation.findings import Finding
from tests.unit.simulation.invariants import broken
from tests.unit.simulation.stories import LAST_STORY, Stories
from tests.unit.simulation.workers import System

CHECKS = Checks(claimed=(2.0, 5.0, 15.0, 60.0, *[300.0] * 30, 3600.0))
"""As the default, but after some hours only once an hour: a week of questions would otherwise be two thousand."""

PAYMENTS = int(os.environ.get("PAYPROOF_SIMULATION_PAYMENTS", "300"))


def world(seed: int, payments: int = PAYMENTS, accounts: Sequence[Account] = ACCOUNTS) -> tuple[System, Stories]:
    rules = Rules(
        accounts={account.id: account for account in accounts},
        checks=CHECKS,
        public_url="https://pay.example",
        jitter=0.1,
    )
    system = System(accounts, rules, seed, workers=3)
    return system, Stories(system, seed, payments, accounts)


def judged(seed: int, payments: int = PAYMENTS) -> list[Finding]:
    """Everything that is wrong in this world; nothing, if all is well."""
    system, stories = world(seed, payments)
    at_rest = system.agenda.run(LAST_STORY + timedelta(days=60))
    unrest = [] if at_rest else [Finding(kind="silent", payment_id="", words="something never comes to rest")]
    return unrest + list(broken(system, stories))
