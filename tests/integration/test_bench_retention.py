"""The measurement of growing tables still fits the statements that it measures."""

from __future__ import annotations

import pytest

from tests.bench.history import SETTLED
from tests.bench.retention import SEED, main


async def test_each_statement_is_measured_and_the_narrow_table_too(capsys: pytest.CaptureFixture[str]) -> None:
    await main([SETTLED], 10_000, SEED)
    told = capsys.readouterr().out
    for what in ("look by reference", "due payments", "metrics retention", "retention: 1,000 payments"):
        assert f"\n{what} " in told
    assert "past_payments: a new reference: " in told
