"""A short flood: buyers who pay meanwhile complete, and no gateway is asked beyond its account's budget."""

from __future__ import annotations

import os
import secrets

import pytest
from rich.console import Console

from tests.fault.flood import flood

SEED = int(os.environ.get("PAYPROOF_TEST_SEED") or secrets.randbits(32))
HITS, BUYERS = 2000, 20


@pytest.mark.alone
async def test_everyone_who_pays_under_a_flood_completes_within_the_budgets(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nPAYPROOF_TEST_SEED={SEED}")
    outcome = await flood(HITS, SEED, Console(quiet=True), buyers=BUYERS)
    assert outcome.late == []
    assert outcome.completed == BUYERS
    assert {name: calls for name, calls in outcome.calls.items() if calls[0] > calls[1]} == {}
    assert "500" not in outcome.answers
    assert outcome.held
