"""Whether the log is whole, and came over AMQP as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from tests.fault.fleet import Fleet
from tests.harness import ToldEvent
from tests.processes import until

TOLD_SECONDS = 60.0


def gaps(told: Sequence[ToldEvent]) -> list[str]:
    """Payments whose versions in the log are not 1, 2, 3 ..."""
    versions = defaultdict[str, list[int]](list)
    for one in told:
        versions[one.subject].append(one.data["version"])
    return [f"{one}: told {seen}" for one, seen in versions.items() if seen != list(range(1, len(seen) + 1))]


async def unheard(fleet: Fleet, told: Sequence[ToldEvent]) -> list[str]:
    """Events of the log that did not come over AMQP, to the byte."""
    heard = fleet.subscriber.heard

    async def all_heard() -> bool:
        return all(one.id in heard for one in told)

    with suppress(AssertionError):
        await until(all_heard, what="every event over AMQP", seconds=TOLD_SECONDS)
    return [f"{one.id}: not over AMQP as in the log" for one in told if heard.get(one.id) != one.raw]
