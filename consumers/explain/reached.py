"""Which of the shop's endpoints the newest event reached.

An event is written to the log in the transaction that changes a payment. It is delivered later, to each endpoint of the
shop by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from schemas.changes import Entry
from schemas.words import EntryKind


class Receiver(Struct, frozen=True, kw_only=True):
    """An endpoint that gets the payment's events, and the state of the newest event that it gets.

    The event was delivered at `delivered_at`, or given up at `given_up_at`, or waits for an endpoint that was disabled
    at `disabled_at`. Otherwise it is tried at `next_at`, which is None while the event has no position in the log.
    `had_at`: the endpoint took it then, and it was sent again since. `answer`: the response to the last of `attempts`.
    """

    endpoint: str
    configured_id: str | None = None
    host: str
    event_id: str
    type: str
    written_at: datetime
    attempts: int = 0
    answer: str | None = None
    delivered_at: datetime | None = None
    had_at: datetime | None = None
    given_up_at: datetime | None = None
    disabled_at: datetime | None = None
    next_at: datetime | None = None

    @property
    def named(self) -> str:
        return f"{self.host} ({self.configured_id or self.endpoint})"


def delivery_sentence(entries: Sequence[Entry], receivers: Sequence[Receiver]) -> str:
    """The newest event of the payment and which endpoints have it, in a sentence."""
    events = [entry for entry in entries if entry.kind is EntryKind.EVENT]
    if not events:
        return "Nothing was written to the shop's log yet."
    newest = events[-1]
    written = f"The shop's log has {newest.data['type']} since {_time(newest.at)}"
    if not receivers:
        return f"{written}; no webhook endpoint wants it."
    return f"{written}; {'; '.join(_stands(one, newest.data['id']) for one in receivers)}."


def open_deliveries(receivers: Iterable[Receiver], now: datetime) -> Iterable[tuple[datetime | None, str]]:
    """The deliveries that are not done, each with its time and words; without a time where a person has to act."""
    for one in receivers:
        if one.delivered_at is not None or (one.given_up_at is not None and one.had_at is not None):
            continue
        failed = f"; {_failures(one)}" if one.answer else ""
        if one.given_up_at is not None:
            words = f"{one.type} did not reach {one.named}, and is not sent again by itself (payproof webhooks replay)"
            yield None, words
        elif one.disabled_at is not None:
            words = f"{one.type} waits until somebody enables {one.named}, which said that it is gone"
            yield None, f"{words} (payproof webhooks enable)"
        elif one.next_at is None or one.next_at <= now:
            yield one.next_at, f"{one.type} is to be sent to {one.named}{failed}"
        else:
            yield one.next_at, f"{one.type} is sent to {one.named} again{failed}"


def _stands(one: Receiver, newest: str) -> str:
    which = "it" if one.event_id == newest else f"{one.type}, the newest that it wants,"
    if one.delivered_at is not None:
        return f"{one.named} has {which} since {_time(one.delivered_at)}"
    since = f"{one.named} has not had {which} since {_time(one.written_at)}"
    if one.had_at is not None:
        again = "and it was sent again in vain" if one.given_up_at is not None else "and it is being sent again"
        since = f"{one.named} has {which} since {_time(one.had_at)}, {again}"
    failed = f": {_failures(one)}" if one.answer else ""
    if one.given_up_at is not None:
        return f"{since}{failed}, and it was given up at {_time(one.given_up_at)}"
    if one.disabled_at is not None:
        return f"{since}: it said at {_time(one.disabled_at)} that it is gone, and nothing is sent there"
    at = f", and it is tried next at {_time(one.next_at)}" if one.next_at is not None else ", and it is on its way"
    return f"{since}{failed}{at}"


def _failures(one: Receiver) -> str:
    if one.attempts == 1:
        return f"1 attempt failed: {one.answer}"
    return f"{one.attempts} attempts failed, the last: {one.answer}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%SZ}"
