"""A soak of a minute: its calibration, its samples and its judge work, and a short time breaks no wide bound."""

from __future__ import annotations

import os
import secrets

import pytest
from rich.console import Console

from tests.fault.soak import run
from tests.fault.soak_report import show

SEED = int(os.environ.get("PAYPROOF_TEST_SEED") or secrets.randbits(32))
MINUTES = 1.0


@pytest.mark.alone
def test_a_minute_with_everything_on_loses_nothing_and_breaks_no_bound(capsys: pytest.CaptureFixture[str]) -> None:
    soaked = run(MINUTES, SEED, lambda _: None, most=16)
    with capsys.disabled():
        print(f"\nPAYPROOF_TEST_SEED={SEED}")
        show(soaked, Console(highlight=False))
    assert soaked.verdicts.all == []
    assert soaked.over == []
    assert soaked.capacity > 0
    assert len(soaked.samples) >= 3
    assert soaked.chores["lists answered 200"] > 0
    assert any("reconciliations" in chore for chore in soaked.chores)
    assert soaked.samples[-1].payments >= len(soaked.samples)
    assert soaked.loud == []
