"""One installation for the layer. It asks when a test requests it and hardly by itself, so calls can be counted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contract import check_event
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof
from tests.harness import System, staged
from tests.processes import loud, running

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


@pytest.fixture(scope="session")
def judged() -> set[str]:
    """The ids of the events that fit the published schema."""
    return set()


@pytest.fixture
async def payproof(system: System, judged: set[str]) -> AsyncIterator[Payproof]:
    """The service as strangers and the shop reach it.

    Afterwards its log holds no error of ours and no personal data, and its events fit their schema.
    """
    async with staged(system) as stage:
        yield Payproof(system, stage)
        for told in stage.feed.all:
            if told.id not in judged:
                check_event(json.loads(told.raw))
                judged.add(told.id)
    log = system.service.log.read_text()
    assert system.service.running
    assert loud(log) == []
    for never in ("Demo Buyer", "buyer@example.com"):
        assert never not in log
    for secret in (system.key, WEBHOOK_SECRET, "01700000000", "sandbox-ipay-key", "whsec_moneybag_sandbox"):
        assert secret not in log
