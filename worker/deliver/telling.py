"""What is written down of an attempt: the state of its delivery, and its entry in the payment's timeline.

The one thing to get wrong: the URL. A timeline is read by many, and a URL may hold a token; only its host is told.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_never

from consumers.webhook_policy import Again, Delivered, GivenUp, Outcome, Refused
from worker.config.webhook_endpoints import Endpoint
from worker.deliver.sender import Sent
from worker.postgres.events.deliveries import Settled, Taken

RESULTS = ("delivered", "failed", "given_up", "disabled")


def result_of(became: Outcome) -> str:
    match became:
        case Delivered():
            return "delivered"
        case Again():
            return "failed"
        case GivenUp():
            return "given_up"
        case Refused():
            return "disabled"
    assert_never(became)


def record(endpoint: Endpoint, taken: Taken, sent: Sent, became: Outcome, at: datetime) -> Settled:
    again = became.at if isinstance(became, Again) else at if isinstance(became, Refused) else None
    heard = sent.heard
    told: dict[str, Any] = {
        "endpoint": endpoint.id,
        "host": endpoint.host,
        "event_id": taken.event_id,
        "type": taken.type,
        "attempt": taken.attempt,
        **({"status": heard.status} if heard.status is not None else {"error": heard.trouble}),
        "milliseconds": round(sent.seconds * 1000),
        "result": result_of(became),
    }
    if isinstance(became, Again):
        told["next_at"] = became.at
    return Settled(
        taken=taken,
        at=at,
        step=taken.step + isinstance(became, Again),
        answer=heard.words,
        told=told,
        next_at=again,
        delivered_at=at if isinstance(became, Delivered) else None,
        given_up_at=at if isinstance(became, GivenUp) else None,
    )
