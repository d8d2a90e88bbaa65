"""A few rows of the table of chaos (`deploy/dev chaos`): the same site, faults and judge."""

from __future__ import annotations

import pytest
from rich.console import Console

from tests.fault.chaos import Outcome, run
from tests.fault.load import SEED
from tests.fault.rows import rows

ROWS = {("consume", "stop"), ("PostgreSQL's disk", "full"), ("network to RabbitMQ", "kill")}


@pytest.mark.alone
async def test_a_few_rows_lose_nothing_and_the_flow_goes_on() -> None:
    print(f"PAYPROOF_TEST_SEED={SEED}")
    table = [row for row in rows() if (row.what, row.how) in ROWS]
    assert len(table) == len(ROWS)
    outcomes = await run(table, [], SEED, Console())
    assert [one for one in outcomes if not one.held] == list[Outcome]()
