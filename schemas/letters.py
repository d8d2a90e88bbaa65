"""A gateway's reply that could not be recorded, as it is kept among the dead letters until a person replays it.

Exactly one of `answer`, `inconclusive` and `stranger` is set: the outcome.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.answers import Answer, ExecuteReply, ForeignTransaction, Inconclusive, Question
from schemas.own_json import read_own


class KeptReply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A reply as it is kept. `execute`: the reply to an Execute, if that was asked, beside its `Executed.then`."""

    payment_id: str
    account: str
    provider: str
    question: Question
    asked_at: datetime
    answered_at: datetime
    calls: int
    execute: ExecuteReply | None = None
    answer: Answer | None = None
    inconclusive: Inconclusive | None = None
    stranger: ForeignTransaction | None = None


def read_kept_reply(body: bytes) -> KeptReply:
    """Read the reply that was kept as `body`. Raises NotOurs."""
    return read_own(body, KeptReply)
