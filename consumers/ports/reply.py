"""A gateway's reply to one question, on its way from the worker that asked to the rules that apply it."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.answers import Question, QuestionOutcome


class Reply(Struct, frozen=True, kw_only=True):
    """What a question brought, and when, by the database's clock; `calls` is how many requests it took.

    `traceparent` names the trace of what made us ask.
    """

    payment_id: str
    question: Question
    asked_at: datetime
    answered_at: datetime
    outcome: QuestionOutcome
    calls: int = 1
    traceparent: str | None = None
