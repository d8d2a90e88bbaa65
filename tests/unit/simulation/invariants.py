"""The invariants of every simulated world, whatever its seed; each part is in a file of its own.

- `outcomes`: a payment that the gateway calls paid ends completed; holds have a cause; unpaid payments are closed; no
  event is untrue, sent twice, or missing.
- `timing`: after a callback within seconds, by the schedules within their steps.
- `costs`: one question and one Execute at a time, within budgets, whatever strangers send.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.simulation.costs import costly
from tests.unit.simulation.findings import Finding
from tests.unit.simulation.outcomes import outcomes
from tests.unit.simulation.seen import all_seen
from tests.unit.simulation.stories import Stories
from tests.unit.simulation.timing import timely
from tests.unit.simulation.workers import System


def broken(system: System, stories: Stories) -> Iterator[Finding]:
    """Every invariant that does not hold, in words; nothing for a correct world."""
    everything = list(all_seen(system, stories))
    yield from outcomes(everything)
    yield from timely(everything)
    yield from costly(system, everything)
