"""Whether payproof has processed every callback: every claim that made it ask was followed by an answer.

A question may be in flight when a claim is recorded, and still be asked after the claim came in; then it answers the
claim. So times are compared, not positions.
"""

from __future__ import annotations

from datetime import datetime

from worker.playground.demo.stories_shop import Document


def all_heard(timeline: list[Document]) -> bool:
    """Whether each claim that asked is older than an answered question; about its transaction, if it named any.

    A transaction that the gateway called another payment's is not asked about again, however often it is claimed.
    """
    asking = [entry for entry in timeline if entry["kind"] == "claim" and entry["verdict"] == "asks"]
    answered = [question for question in timeline if question["kind"] == "question" and _answered(question, timeline)]
    refused = {_about(entry) for entry in timeline if entry["kind"] == "answer" and "refused" in entry}
    return all(
        ("transaction_id" in claim and claim["transaction_id"] in refused)
        or any(_hears(question, claim) for question in answered)
        for claim in asking
    )


def answers(timeline: list[Document]) -> int:
    """How many answers of any kind came so far."""
    return sum(entry["kind"] == "answer" for entry in timeline)


def _answered(question: Document, timeline: list[Document]) -> bool:
    return any(
        entry["kind"] == "answer" and _at(entry) > _at(question) and _about(entry) == _about(question)
        for entry in timeline
    )


def _hears(question: Document, claim: Document) -> bool:
    named = claim.get("transaction_id")
    return _at(question) > _at(claim) and (named is None or _about(question) in (None, named))


def _at(entry: Document) -> datetime:
    return datetime.fromisoformat(entry["at"])


def _about(entry: Document) -> str | None:
    about: str | None = entry.get("transaction_asked") or entry.get("session_asked")
    return about
