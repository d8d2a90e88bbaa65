"""A payment's timeline in sentences for people, one row an entry.

The API may add kinds and fields, so an unknown kind or field is still shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from worker.playground.shop.client import Document
from worker.playground.shop.pages.markup import Html, html, joined

_ROW = """<li class="{look}"><time datetime="{at}" title="{at}">{after}</time>
<p><b>{kind}</b> {sentence}</p>{beside}</li>"""
_BESIDE = "<small>{text}</small>"
_KINDS = frozenset({"claim", "question", "answer", "decision", "event", "delivery", "resolution"})
_WHO = {
    "webhook": "A webhook",
    "ipn": "A notification in the gateway's name",
    "return": "A browser that came back",
    "sweep": "Payproof's own schedule",
    "operator": "A person, or this shop,",
}


def timeline(entries: Sequence[Document], opened_at: str) -> Html:
    """Rows in order of recording, each with the time since the payment was opened."""
    began = datetime.fromisoformat(opened_at)
    return joined(_row(entry, began) for entry in entries)


def _row(entry: Document, began: datetime) -> Html:
    kind, beside = str(entry["kind"]), _beside(entry)
    seconds = (datetime.fromisoformat(entry["at"]) - began).total_seconds()
    return html(
        _ROW,
        look=kind if kind in _KINDS else "other",
        at=entry["at"],
        after=_span(seconds),
        kind=kind.capitalize(),
        sentence=_sentence(kind, entry),
        beside=html(_BESIDE, text=beside) if beside else "",
    )


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"+{max(seconds, 0):.3f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"+{minutes // 60}:{minutes % 60:02}:{rest:02} h" if minutes >= 60 else f"+{minutes}:{rest:02} min"


def _sentence(kind: str, entry: Document) -> str:
    match kind:
        case "claim":
            who = _WHO.get(str(entry.get("source")), f"{entry.get('source')}")
            if entry.get("source") == "sweep":
                return f"{who} says that it is time to look."
            return f"{who} says {entry['said']}." if entry.get("said") else f"{who} wants it looked at."
        case "question":
            if entry.get("question") == "execute":
                return "Payproof asked the gateway to take the money."
            for candidate in ("transaction", "session"):
                if about := entry.get(f"{candidate}_asked"):
                    return f"Payproof asked the gateway about {candidate} {about}."
            return "Payproof asked the gateway."
        case "answer":
            return _answer(entry)
        case "decision":
            change = str(entry.get("change"))
            return f"{change[:1].upper()}{change[1:].replace('_', ' ')}."
        case "event":
            return f"Payproof wrote {entry.get('type')} to the log."
        case "delivery":
            return f"Webhook about {entry.get('type', 'it')}: {str(entry.get('result', 'sent')).replace('_', ' ')}."
        case "resolution":
            return f"{entry.get('actor')} resolved it as {entry.get('status')}: {entry.get('reason')}"
        case _:
            return ", ".join(f"{name}: {value}" for name, value in entry.items() if name not in ("kind", "at"))


def _answer(entry: Document) -> str:
    if "refused" in entry:
        known = "does not know that transaction" if entry["refused"] == "not_found" else "says it is another payment's"
        return f"The gateway {known}; the claim is refused."
    if "inconclusive" in entry:
        again = f", {entry['times']:,} times until {entry['last_at'][:19]}Z" if "times" in entry else ""
        return f"No answer: {entry['inconclusive']} ({entry.get('detail')}){again}. It means nothing for the money."
    amount = f", {entry['amount']} {entry.get('currency') or ''}".rstrip() if entry.get("amount") else ""
    return f"The gateway says {entry.get('word')}{amount}."


def _beside(entry: Document) -> str:
    """The small print: how far the entry is to be trusted, how long it took, its id."""
    match entry["kind"]:
        case "claim" if entry.get("source") != "sweep":
            signed = "Signed by the gateway" if entry.get("authenticity") == "signed" else "Anyone could have sent it"
            verdict = str(entry.get("verdict"))
            return f"{signed}; {'so the gateway is asked' if verdict == 'asks' else verdict}"
        case "answer":
            took = f"after {float(entry.get('seconds') or 0) * 1000:.0f} ms"
            means = f", which means {entry['status']}" if entry.get("status") else ""
            transaction = f", transaction {entry['transaction_id']}" if entry.get("transaction_id") else ""
            return took + means + transaction
        case "event":
            return str(entry.get("id", ""))
        case _:
            return ""
