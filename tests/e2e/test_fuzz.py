"""Noise at every door of the shipped service, and Schemathesis over its API: no 500, no silence, no growth."""

from __future__ import annotations

import asyncio

from tests.fuzz.run import SERVICE_FLAT_MB
from tests.fuzz.service import fuzz_service


async def test_the_service_answers_whatever_it_is_sent() -> None:
    served = await asyncio.to_thread(fuzz_service, 300, 1500, 20261121)
    assert {row.name: row.kept for row in served.rows if row.crashes} == {}
    assert served.memory[1] - served.memory[0] < SERVICE_FLAT_MB
