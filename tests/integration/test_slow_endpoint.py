"""An endpoint that answers after 14 seconds delays no other endpoint's deliveries."""

from __future__ import annotations

import pytest

from tests.integration.slow_endpoint import measure
from worker.deliver.endpoint_worker import MAX_IN_FLIGHT
from worker.postgres.database import Database


@pytest.mark.alone
async def test_an_endpoint_that_sits_on_all_it_gets_delays_no_other(database: Database) -> None:
    figures = await measure(database, 200, slow=True)
    print(figures)
    assert figures.held == MAX_IN_FLIGHT
    assert figures.p99 < 1, figures
