"""The rule of money behind each event, in the words that timelines show.

Nothing is decided here: `fold.advance` has decided, and these functions only name its rule.
"""

from __future__ import annotations

from typing import assert_never

from schemas.answers import StatementRow
from schemas.payments import Payment
from schemas.words import EventType, Hold

OF_HOLDS = {
    Hold.IDENTITY_MISMATCH: "an answer about another payment is not believed, and held",
    Hold.CURRENCY_MISMATCH: "money that does not fit is held",
    Hold.AMOUNT_MISMATCH: "money that does not fit is held",
    Hold.TRANSACTION_REUSED: "one transaction pays one payment, the one recorded first",
    Hold.DUPLICATE_FOR_ORDER: "an order is paid once, and what is paid twice is held",
    Hold.CONTRADICTION: "paid money that the gateway takes back is held",
    Hold.UNEXPECTED: "money that nobody asked for is held",
    Hold.UNMAPPED_STATUS: "a word that is not in the gateway's documentation means nothing, and is held",
    Hold.UNVERIFIABLE: "a claim is never believed, so where nobody can be asked a person decides",
    Hold.UNRESOLVED: "nobody gives up in silence: what stays open is put before a person",
}


def named_row(row: StatementRow) -> str:
    return f"entry {row.row} of {row.name}" if row.listed else f"row {row.row} of {row.name}"


def rule_of(after: Payment, event: EventType, *, resolved: bool, stated: bool = False) -> str:
    """The rule behind the event of a change, as a sentence. `after` is the payment after the change.

    `resolved`: a person's resolution brought it. `stated`: a row of a statement brought it.
    """
    if stated and after.hold is None:
        return "where nobody is asked, the gateway's own statement counts, as of its own time"
    if resolved and after.hold is None:
        return "a person's word settles what is held"
    match event:
        case EventType.HELD:
            assert after.hold is not None, "held is told of what is held"
            return OF_HOLDS[after.hold]
        case EventType.COMPLETED if after.late:
            return "late money counts, and payment.completed is written once for a payment"
        case EventType.COMPLETED:
            return "an answer that fits is believed, and payment.completed is written once for a payment"
        case EventType.EXPIRED if after.expired_by_clock_at is not None:
            return "what nobody paid closes when its time is over"
        case EventType.FAILED | EventType.CANCELLED | EventType.EXPIRED:
            return "the gateway's own word, asked by us, closes a payment"
        case EventType.REFUNDED | EventType.PARTIALLY_REFUNDED:
            return "the greatest refund that the gateway shows counts"
        case EventType.RELEASED:
            return "a later answer that fits lifts what only waited"
        case EventType.OPENED:
            return "a payment is expected before anyone can pay it"
        case _:
            assert_never(event)
