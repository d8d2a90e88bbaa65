"""Writers of a running release go on while every migration since that release is applied to filled tables."""

from __future__ import annotations

import pytest

from tests.bench.migrations import SINCE, paused

PAYMENTS = 20_000
SECONDS = 1.5
"""How long a migration may wait for a lock, and what two busy cores add to it. On a machine at rest it is 0.1 s."""


@pytest.mark.alone
@pytest.mark.parametrize("since", ["0012", SINCE])
async def test_no_writer_waits_long_for_any_migration(unmade: str, since: str) -> None:
    longest: dict[str, float] = {}

    def tell(migration: str, pauses: dict[str, float]) -> None:
        longest[migration] = max(pauses.values())

    await paused(unmade, since, PAYMENTS, tell)
    assert len(longest) > 1
    assert {name: seconds for name, seconds in longest.items() if seconds > SECONDS} == {}
