"""Answers in the timeline as plain sentences: a gateway's replies, and rows of statements."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from consumers.explain.collapse import TimelineLine, timeline_line
from consumers.money.rule_names import named_row
from schemas.answers import StatementRow, Trouble
from schemas.changes import Entry
from schemas.words import EntryKind

_PHONE = re.compile(r"(?<![0-9A-Za-z])(?:\+?88)?(01[3-9])[0-9]{8}(?![0-9A-Za-z])", re.ASCII)
_EMAIL = re.compile(r"[^\s@<>(),;:]+@[^\s@<>(),;:]+")


def statement_row(data: dict[str, Any]) -> str:
    """The row and the statement that an answer's entry comes from, in words."""
    row = StatementRow(name=masked(str(data["statement"])), row=data["row"], listed="listed" in data)
    return named_row(row)


def masked(text: str) -> str:
    """A gateway's words with phone numbers and e-mail addresses masked."""
    return _EMAIL.sub("***@***", _PHONE.sub(r"\1********", text))


def answer_line(entry: Entry, at: datetime, asked: str) -> TimelineLine:
    data = entry.data
    shown = {name: value for name, value in data.items() if name not in ("seconds", "at", "kind", "times", "last_at")}
    last_at = datetime.fromisoformat(data["last_at"]) if "last_at" in data else at
    if data.get("execute") == "not_sent":
        words = f"Execute, which takes the money, was to be asked and was not sent: {masked(data['detail'])}."
        return timeline_line(at, EntryKind.ANSWER, f"{words} Nothing was taken, and it is tried again.")
    if "refused" in data:
        known = "does not know that id" if data["refused"] == "not_found" else "knows it as another payment's"
        before, after = asked, f" it said that it {known}; the claim is refused."
    elif data.get("inconclusive") == Trouble.NOT_FOUND and candidate_asked(data):
        before, after = f"{asked}{'it' if asked else 'It'} answered ", ": it does not know that one, or not yet."
    elif "inconclusive" in data:
        why = f"{data['inconclusive']} ({masked(data['detail'])})"
        before, after = f"{asked}{'no' if asked else 'No'} answer ", f": {why}. That means nothing for the money."
    else:
        before, after = f"{asked}{'it' if asked else 'It'} answered ", f": {answer_words(data)}."
    return TimelineLine(
        at=at,
        last_at=last_at,
        count=data.get("times", 1),
        kind=EntryKind.ANSWER,
        before=before,
        seconds=data.get("seconds"),
        after=after,
        key=(asked, *sorted((name, str(value)) for name, value in shown.items())),
    )


def row_line(entry: Entry) -> TimelineLine:
    """A row of a statement, in words."""
    data = entry.data
    source = "the gateway's own list, which we fetched" if "listed" in data else "exported by an accountant"
    as_of = str(data["of"]).replace("T", " ")
    if "refund" in data:
        said = f"{data['refunded_amount']} of it was paid back by {as_of}"
    else:
        said = f"as of {as_of} it is {answer_words(data)}"
    row = statement_row(data)
    held = " Two people decide about it." if "unproven" in data else ""
    return timeline_line(entry.at, entry.kind, f"{row[0].upper()}{row[1:]}, {source}, says that {said}.{held}")


def answer_words(data: dict[str, Any]) -> str:
    amount = f", {data['amount']} {data.get('currency') or ''}".rstrip() if data.get("amount") else ""
    transaction = f", transaction {data['transaction_id']}" if data.get("transaction_id") else ""
    refunded = f", {data['refunded_amount']} paid back" if data.get("refunded_amount") else ""
    unreadable = ", ".join(data.get("unreadable", ())).replace("_", " ")
    unreadable = f", unreadable: {unreadable}" if unreadable else ""
    risk = f", risk {data['risk']}" if data.get("risk") else ""
    executed = f"; Execute: {data['execute']}" if "execute" in data else ""
    told = f"{amount}{transaction}{risk}{refunded}{unreadable}{executed}"
    others = "".join(f"; in the same reply also {answer_words(one)}" for one in data.get("others", ()))
    return f"{data['status']} (its word: {masked(data['word'])}){told}{others}"


def candidate_asked(data: dict[str, Any]) -> str | None:
    """The candidate that a question was asked by, in words; None where it was asked by our own ids."""
    kinds = [kind for kind in ("transaction", "session") if f"{kind}_asked" in data]
    return f"{kinds[0]} {data[f'{kinds[0]}_asked']}" if kinds else None
