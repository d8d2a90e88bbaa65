"""Where the time of a payment goes, from when its callback was sent to when its event arrived, by recorded times.

Recorded times are the database's, the times of sending and arrival are this machine's. They agree only because both run
here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import asyncpg
from msgspec import Struct

from tests.bench.numbered import number_in, payment_id
from tests.bench.spread import Spread, spread

_TIMES = """
    SELECT payment_id, min(at) FILTER (WHERE kind = 'claim') AS received,
        min(at) FILTER (WHERE kind = 'question') AS taken, min(at) FILTER (WHERE kind = 'answer') AS answered,
        max(at) FILTER (WHERE kind = 'decision') AS decided
    FROM entries WHERE payment_id = ANY($1::text[]) GROUP BY payment_id
"""


class Stages(Struct, frozen=True, kw_only=True):
    """Milliseconds of each stretch. `answered` includes the gateway's own delay.

    A process knows the database's clock as of its last reading, with an error up to the time that the reading took. On
    a busy machine `received` may be slightly negative, and `taken` as much longer.

    - `received`: from sending until the ingress had read it.
    - `taken`: published, delivered, and the look-up of its payment.
    - `answered`: its turn taken, and the question until its answer was read.
    - `recorded`: until the outcome is decided, with all that is written together.
    - `heard`: the write, the position in the log, the relay, the broker, and the subscriber.
    """

    received: Spread
    taken: Spread
    answered: Spread
    recorded: Spread
    heard: Spread


async def stages(url: str, sent: Mapping[int, float], heard: Mapping[int, float]) -> Stages:
    """The stages of these payments, by number; both times by `time.perf_counter`."""
    wall = time.time() - time.perf_counter()
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(_TIMES, [payment_id(n) for n in sent])
    finally:
        await connection.close()
    stretches: list[list[float]] = [[], [], [], [], []]
    for row in rows:
        n = number_in(row["payment_id"])
        if n in sent and n in heard:
            told = [row[name].timestamp() for name in ("received", "taken", "answered", "decided")]
            times = [sent[n] + wall, *told, heard[n] + wall]
            for stretch, begin, end in zip(stretches, times, times[1:], strict=False):
                stretch.append((end - begin) * 1000)
    received, taken, answered, recorded, listened = map(spread, stretches)
    return Stages(received=received, taken=taken, answered=answered, recorded=recorded, heard=listened)
