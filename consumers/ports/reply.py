"""A gateway's reply to one question, from the worker that asked to the rules that apply it."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.answers import Question, QuestionOutcome


class Reply(Struct, frozen=True, kw_only=True):
    """The reply to a question. Its times are the database's; `calls` is how many requests it took.

    `traceparent`: the trace of the claim that led to the question.
    """

    payment_id: str
    question: Question
    asked_at: datetime
    answered_at: datetime
    outcome: QuestionOutcome
    calls: int = 1
    traceparent: str | None = None
