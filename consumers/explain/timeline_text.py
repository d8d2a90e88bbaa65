"""Each timeline entry as a plain sentence: who said what, whether it was believed and why, and what followed.

A sentence says only what its entry recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from msgspec.structs import replace

from consumers.apply_claim import TOO_MANY
from consumers.explain.answer_text import answer_line, candidate_asked, masked, row_line
from consumers.explain.collapse import TimelineLine, timeline_line
from consumers.explain.snapshot import LeftOut
from schemas.changes import Entry
from schemas.payments import Payment
from schemas.words import EntryKind, Source

_SOURCES = {
    "webhook": "A webhook of the gateway",
    "ipn": "A notification in the gateway's name",
    "return": "A browser that came back",
}
_KINDS = {
    "webhook": "a webhook",
    "ipn": "a notification",
    "return": "a browser that came back",
    "operator": "a person, or the shop's API, asking",
    "sweep": "our schedule's turn",
    "question": "a question to the gateway",
    "answer": "its reply",
}
_TRIGGERS = {
    "urgent": " because a signed claim came in or a person wants to know",
    "hint": " because of a claim that anyone could have sent",
    "reference": " because of a claim that named no more than our reference",
    "wish": " because the buyer approved, and its order was free",
    "schedule": " by our own schedule",
}
_VERDICTS = {
    "asks": "so we ask the gateway",
    "answered already": "and nothing is asked: the gateway was asked since it came in, and answered already",
    "repeated": "and it counts once: the same came before",
    TOO_MANY: f"and we ask when there is room: {TOO_MANY}",
    "this gateway cannot be asked": "and this gateway cannot be asked, so it proves nothing",
}
_AFTERWARDS = {
    "delivered": "delivered",
    "failed": "not delivered, and it is sent again",
    "given_up": "not delivered, and given up; payproof webhooks replay sends it again",
    "disabled": "the endpoint says that it is gone, and nothing is sent there until payproof webhooks enable",
}


def timeline_lines(
    payment: Payment, entries: Sequence[Entry], left_out: LeftOut | None = None
) -> Iterator[TimelineLine]:
    """Yield a line for the opening and for each entry, in order. A question and its answer are one line."""
    cut = left_out.place if left_out else 0
    yield _opening(payment)
    answers = _answers(entries)
    paired = {id(answer) for answer in answers.values()}
    for place, entry in enumerate(entries):
        if left_out is not None and place == cut:
            yield _left_out(left_out)
        data = entry.data
        match entry.kind:
            case EntryKind.CLAIM:
                if data["source"] == Source.OPERATOR:
                    yield _claim(entry)
                elif data["source"] != Source.SWEEP:
                    yield replace(_claim(entry), claim_ids=(str(data["claim_id"]),) if "claim_id" in data else ())
                elif not _asked_next(entries[:cut] if place < cut else entries, place, cut=place < cut):
                    words = "Our schedule said that it was time, and nothing could be asked just then."
                    yield timeline_line(entry.at, entry.kind, words)
            case EntryKind.QUESTION:
                yield _question(entry, answers.get(id(entry)), cut=place < cut)
            case EntryKind.ANSWER:
                if "statement" in data:
                    yield row_line(entry)
                elif id(entry) not in paired:
                    yield answer_line(entry, entry.at, "")
            case EntryKind.DECISION:
                why = f" ({masked(str(data['why']))})" if "why" in data else ""
                by = f", by {masked(str(data['by']))}" if "by" in data else ""
                rule = f" The rule: {data['rule']}." if "rule" in data else ""
                yield timeline_line(entry.at, entry.kind, f"Decided: {data['change']}{by}{why}.{rule}")
            case EntryKind.EVENT:
                version = str(data["id"]).rpartition(".")[2]
                yield timeline_line(
                    entry.at, entry.kind, f"Wrote {data['type']}, version {version}, to the shop's log."
                )
            case EntryKind.RESOLUTION:
                rests = f" (evidence: {data['evidence']})" if "evidence" in data else ""
                second = f", approved by {data['approved_by']}" if "approved_by" in data else ""
                words = f"{data['actor']} resolved it as {data['status']}: {data['reason']}{rests}{second}."
                yield timeline_line(entry.at, entry.kind, words)
            case EntryKind.DELIVERY:
                yield _delivery(entry)


def _opening(payment: Payment) -> TimelineLine:
    through = f"{payment.account} ({payment.provider})"
    if payment.unexpected_at is not None:
        words = f"A statement named money through {through} that nobody had asked for here: {payment.id}."
        return timeline_line(payment.unexpected_at, "opening", words)
    order = f", order {payment.order_ref}" if payment.order_ref else ""
    asked = f"{payment.amount:.2f} {payment.currency} through {through}, reference {payment.reference}{order}"
    return timeline_line(payment.opened_at, "opening", f"The shop asked for {asked}: {payment.id}.")


def _left_out(left_out: LeftOut) -> TimelineLine:
    counted = sorted(left_out.counted, key=lambda one: -one.count)
    since, until = min(one.first_at for one in counted), max(one.last_at for one in counted)
    kinds = ", ".join(f"{one.count:,} × {_KINDS.get(one.source or one.kind, one.kind)}" for one in counted)
    words = f"Until {until:%Y-%m-%d %H:%M:%SZ} more happened than fits here: {kinds}. The timeline has all of it."
    return timeline_line(since, "left out", words)


def _asked_next(entries: Sequence[Entry], place: int, *, cut: bool) -> bool:
    """Whether the entry after this claim is a question. `cut`: the result where no later entry is known."""
    later = next((one for one in entries[place + 1 :] if one.kind is not EntryKind.CLAIM), None)
    return cut if later is None else later.kind is EntryKind.QUESTION


def _claim(entry: Entry) -> TimelineLine:
    data = entry.data
    verdict = str(data["verdict"])
    then = _VERDICTS.get(verdict, f"and nothing is asked: {verdict}")
    names = ("source", "authenticity", "said", "verdict", "transaction_id", "session_id", "note")
    key = tuple(data.get(name) for name in names)
    if data["source"] == Source.OPERATOR:
        return timeline_line(entry.at, entry.kind, f"A person, or the shop's API, wants it looked at, {then}.", *key)
    said = f"said {data['said']}" if "said" in data else "named this payment"
    named = f" and transaction {data['transaction_id']}" if "transaction_id" in data else ""
    note = f" ({data['note']})" if "note" in data else ""
    trust = "It is signed" if data["authenticity"] == "signed" else "Anyone could have sent it"
    return timeline_line(
        entry.at, entry.kind, f"{_SOURCES[data['source']]} {said}{named}{note}. {trust}, {then}.", *key
    )


def _question(entry: Entry, answer: Entry | None, *, cut: bool = False) -> TimelineLine:
    data = entry.data
    candidate = candidate_asked(data)
    about = f" about {candidate}" if candidate else ""
    what = "to take the money (Execute)" if data["question"] == "execute" else f"what happened{about}"
    asked = f"We asked the gateway {what}{_TRIGGERS.get(data.get('trigger', ''), '')}"
    if answer is None and cut:
        return timeline_line(entry.at, entry.kind, f"{asked}; the reply, if any, is among what is left out.")
    if answer is None:
        return timeline_line(entry.at, entry.kind, f"{asked}; no reply is recorded, it may be on its way.")
    return answer_line(answer, entry.at, f"{asked}; ")


def _delivery(entry: Entry) -> TimelineLine:
    """One attempt. Equal attempts have equal keys, so they become one line."""
    data = entry.data
    version = str(data["event_id"]).rpartition(".")[2]
    sent = f"Sent {data['type']}, version {version}, to {data['host']} ({data['endpoint']})"
    answered_so = f"it answered {data['status']}" if "status" in data else str(data["error"])
    then = _AFTERWARDS[data["result"]]
    return TimelineLine(
        at=entry.at,
        last_at=entry.at,
        kind=entry.kind,
        before=f"{sent}; {answered_so} ",
        seconds=data["milliseconds"] / 1000,
        after=f": {then}.",
        key=(sent, answered_so, then),
    )


def _answers(entries: Sequence[Entry]) -> dict[int, Entry]:
    """The answer to each question, by the question's `id()`. Its time less its `seconds` is the question's time."""
    asked: dict[tuple[object, ...], Entry] = {}
    found: dict[int, Entry] = {}
    for entry in entries:
        about = (entry.data.get("question"), candidate_asked(entry.data))
        if entry.kind is EntryKind.QUESTION:
            asked[(*about, entry.at)] = entry
        elif entry.kind is EntryKind.ANSWER and "seconds" in entry.data:
            at = entry.at - timedelta(seconds=entry.data["seconds"])
            for near in (at, at - _TICK, at + _TICK):
                if question := asked.pop((*about, near), None):
                    found[id(question)] = entry
                    break
    return found


_TICK = timedelta(microseconds=1)
