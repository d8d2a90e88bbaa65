"""What the broker tells: whether claims can go over it, which queues keep silent, and the dead letters it holds.

The one thing to get wrong: one silent queue. The others flow, so nobody notices but the buyers of one gateway.
"""

from __future__ import annotations

from collections.abc import Iterator

from worker.amqp.diagnose import Diagnosis
from worker.amqp.topology import DEAD
from worker.ops.doctor.finding import Finding

_ELECT = "rabbitmq-queues quorum_status tells more; restarting its node of RabbitMQ has a leader elected again"


def findings(examined: Diagnosis) -> Iterator[Finding]:
    if examined.trouble is not None:
        yield Finding("no", "broker", examined.trouble)
    elif not examined.silent:
        words = "reachable, it lets us in, its queues are as they must be, and it confirms what is published"
        yield Finding("ok", "broker", words)
    for queue in examined.silent:
        waits = "claims that fail again and again cannot be put aside" if queue == DEAD else "its gateway's claims wait"
        words = f"it does not answer, as a queue that lost its leader; {waits}, and the other queues flow"
        yield Finding("no", f"queue {queue}", words, _ELECT)
    if examined.dead:
        yield Finding(
            "!!", "dead letters", f"{examined.dead} waiting at the broker", "look at them with payproof dead list"
        )
