"""One installation for the layer. It asks when it is told to look and hardly by itself, so calls can be counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.buyers import WEBHOOK_SECRET, Payproof
from tests.processes import running
from worker.demo.playing import staged
from worker.demo.system import System

SETTINGS = """\
return_wait = "1s"

[checks]
claimed = ["300ms", "1h"]
pending = ["1h"]
grace = "1h"
give_up = "2h"
"""


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    with running(settings=SETTINGS, secret=WEBHOOK_SECRET) as system:
        yield system


@pytest.fixture
async def payproof(system: System) -> AsyncIterator[Payproof]:
    """The service as strangers and the shop reach it. Afterwards its log holds no error of ours and nobody's data."""
    async with staged(system) as stage:
        yield Payproof(system, stage)
    log = system.service.log.read_text()
    assert system.service.running
    for never in ("Traceback", '"level": "error"', '"level": "critical"', "Demo Buyer", "buyer@example.com"):
        assert never not in log
    for secret in (system.key, WEBHOOK_SECRET, "01700000000", "sandbox-ipay-key", "whsec_moneybag_sandbox"):
        assert secret not in log
