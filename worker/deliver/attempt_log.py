"""The records of an attempt: the new state of its delivery with what was sent, and an entry in the payment's timeline.

A timeline has many readers and a URL may hold a token, so of an endpoint's URL only the host is written. The answer's
first bytes may hold personal data. They stand in the delivery's row alone, and are never logged.
"""

from __future__ import annotations

from base64 import b64encode
from codecs import getincrementaldecoder
from datetime import datetime
from typing import Any, assert_never

from consumers.webhook_policy import AttemptOutcome, Delivered, GivenUp, Gone, Retry
from worker.config.webhook_endpoints import Endpoint
from worker.deliver.sender import SentAttempt
from worker.postgres.events.deliveries import AttemptResult, LeasedDelivery

RESULTS = ("delivered", "failed", "given_up", "disabled")


def result_of(became: AttemptOutcome) -> str:
    match became:
        case Delivered():
            return "delivered"
        case Retry():
            return "failed"
        case GivenUp():
            return "given_up"
        case Gone():
            return "disabled"
    assert_never(became)


def answer_start(began: bytes) -> dict[str, str]:
    """How the answer began: as `body` where it is text, else in base64. The last character of a text may be cut off."""
    if not began:
        return {}
    try:
        text = getincrementaldecoder("utf-8")().decode(began)
    except UnicodeDecodeError:
        text = "\0"
    return {"body_base64": b64encode(began).decode()} if "\0" in text else {"body": text}


def attempt_result(
    endpoint: Endpoint, taken: LeasedDelivery, sent: SentAttempt, became: AttemptOutcome, at: datetime
) -> AttemptResult:
    """The rows to write for one attempt that ended at `at`."""
    again = became.at if isinstance(became, Retry) else at if isinstance(became, Gone) else None
    response = sent.response
    told: dict[str, Any] = {
        "endpoint": endpoint.id,
        "host": endpoint.host,
        "event_id": taken.event_id,
        "type": taken.type,
        "attempt": taken.attempt,
        **({"status": response.status} if response.status is not None else {"error": response.trouble}),
        "milliseconds": round(sent.seconds * 1000),
        "result": result_of(became),
    }
    if isinstance(became, Retry):
        told["next_at"] = became.at
    return AttemptResult(
        taken=taken,
        at=at,
        step=taken.step + isinstance(became, Retry),
        answer=response.words,
        told=told,
        last_attempt={
            **{name: told[name] for name in ("attempt", "status", "error", "milliseconds") if name in told},
            "at": at,
            "headers": dict(sent.headers),
            **answer_start(sent.began),
        },
        next_at=again,
        delivered_at=at if isinstance(became, Delivered) else None,
        given_up_at=at if isinstance(became, GivenUp) else None,
    )
