"""What a line of a statement and our payment come to: every verdict with its outcome, its sentence and what follows.

The SQL in `worker/postgres/statements/verdict_sql.py` finds the verdict of each line, a million at once; here stands
what a verdict means. The one thing to get wrong: a statement is no answer. It makes us ask; only where nobody can be
asked is a line itself recorded, and what it says against an answer newer than itself counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal, TypedDict, Unpack

from msgspec import Struct

from schemas.callbacks import Claim
from schemas.statements import Line, LineOutcome, StatementMap
from schemas.words import Authenticity, Source

ALWAYS_FOLLOWED = 100
LONGEST_NAME_IN_NOTE = 80


class ClaimAbout(TypedDict):
    id: str
    account: str
    provider: str
    payment_id: str
    received_at: datetime


Step = Literal["ask", "hold", "report", "none"]
"""`ask` the gateway, or record the line where it cannot be asked; `hold` the money as a payment of its own."""


class Verdict(StrEnum):
    """What a line was found to be, in the order in which it is tried; see VERDICTS."""

    UNREADABLE = "unreadable"
    ATTEMPT_BEFORE = "attempt_before"
    AGAIN_OTHERWISE = "again_otherwise"
    AGAIN = "again"
    TWO_PAYMENTS = "two_payments"
    REFUND_UNKNOWN = "refund_unknown"
    UNKNOWN = "unknown"
    NO_MONEY = "no_money"
    UNCLAIMED = "unclaimed"
    RETURNED_MORE = "returned_more"
    SAME = "same"
    PENDING_THERE = "pending_there"
    OTHER_ATTEMPT = "other_attempt"
    OLDER = "older"
    ENDED_OTHERWISE = "ended_otherwise"
    AMOUNT = "amount"
    UNPAID = "unpaid"
    SECOND_TRANSACTION = "second_transaction"
    RETURNED = "returned"
    FEE = "fee"
    ABSENT = "absent"


class Meaning(Struct, frozen=True):
    """`says` is filled in with the fields of a `VerdictFields`."""

    outcome: LineOutcome
    step: Step
    says: str


_O = LineOutcome
VERDICTS: Mapping[Verdict, Meaning] = {
    Verdict.UNREADABLE: Meaning(_O.UNREADABLE, "report", "{words}"),
    Verdict.ATTEMPT_BEFORE: Meaning(_O.DUPLICATE, "none", "an attempt that row {first_row} says was paid"),
    Verdict.AGAIN_OTHERWISE: Meaning(
        _O.DUPLICATE, "report", "the same transaction as row {first_row}, with another amount"
    ),
    Verdict.AGAIN: Meaning(_O.DUPLICATE, "none", "the same as row {first_row}"),
    # Of the closed list this is the nearest: the payment is known, and the two sides differ on which one was paid.
    Verdict.TWO_PAYMENTS: Meaning(
        _O.STATUS_DIFFERS, "ask", "its ids belong to two payments here, {payment_id} and {other_payment_id}"
    ),
    Verdict.REFUND_UNKNOWN: Meaning(_O.MISSING_HERE, "report", "{amount} went back of a payment that is unknown here"),
    Verdict.UNKNOWN: Meaning(_O.MISSING_HERE, "hold", "{amount} was paid there, and no payment here has its ids"),
    Verdict.NO_MONEY: Meaning(_O.MATCHED, "none", "{status} there and unknown here: no money came"),
    Verdict.UNCLAIMED: Meaning(
        _O.MISSING_HERE, "report", "known from a statement alone: held as unexpected until someone claims it"
    ),
    Verdict.RETURNED_MORE: Meaning(
        _O.STATUS_DIFFERS,
        "ask",
        "{refunds} went back there by this statement, and {refunded_here} by what is known here",
    ),
    Verdict.SAME: Meaning(_O.MATCHED, "none", ""),
    Verdict.PENDING_THERE: Meaning(_O.MATCHED, "none", "pending there when it was exported, {status_here} here"),
    Verdict.OTHER_ATTEMPT: Meaning(
        _O.MATCHED, "none", "{status} there for an attempt of its own; another transaction paid it"
    ),
    Verdict.OLDER: Meaning(
        _O.MATCHED, "none", "{status} there, and {status_here} by an answer newer than this statement"
    ),
    Verdict.ENDED_OTHERWISE: Meaning(_O.STATUS_DIFFERS, "ask", "{status} there, {status_here} here"),
    Verdict.AMOUNT: Meaning(_O.AMOUNT_DIFFERS, "ask", "{amount} there, {amount_here} here"),
    Verdict.UNPAID: Meaning(_O.MISSING_HERE, "ask", "{status} there, {status_here} here"),
    Verdict.SECOND_TRANSACTION: Meaning(
        _O.MISSING_HERE, "ask", "paid there by this transaction, and here by another: it may be paid twice"
    ),
    Verdict.RETURNED: Meaning(_O.STATUS_DIFFERS, "ask", "{status} there, {status_here} here"),
    Verdict.FEE: Meaning(_O.FEE_DIFFERS, "report", "a fee of {fee} there; it should be {fee_due}"),
    Verdict.ABSENT: Meaning(
        _O.MISSING_THERE, "report", "{status_here} here, and in no line of a statement that covers its time"
    ),
}


class VerdictFields(Struct, frozen=True, kw_only=True):
    """What a sentence is made of."""

    status: str | None = None
    status_here: str | None = None
    amount: Decimal | None = None
    amount_here: Decimal | None = None
    refunds: Decimal | None = None
    refunded_here: Decimal | None = None
    fee: Decimal | None = None
    fee_due: Decimal | None = None
    payment_id: str | None = None
    other_payment_id: str | None = None
    first_row: int | None = None
    words: str | None = None


def sentence(verdict: Verdict, found: VerdictFields) -> str | None:
    """Why a line has its outcome, in a few plain words; None where there is nothing to say."""
    names = {name: getattr(found, name) for name in VerdictFields.__struct_fields__}
    return VERDICTS[verdict].says.format(**names) or None


class Terms(Struct, frozen=True, kw_only=True):
    """What an account's statements are judged by. The fee is `fee_percent` of the amount, half up, and `fee_fixed`.

    `grace` is for how many seconds before the end of a statement a payment may be missing from it.
    """

    fee_percent: Decimal | None = None
    fee_fixed: Decimal | None = None
    grace: float = 86_400.0

    @classmethod
    def of(cls, columns: StatementMap) -> Terms:
        return cls(fee_percent=columns.fee_percent, fee_fixed=columns.fee_fixed, grace=columns.grace)


def too_many(to_follow: int, lines: int) -> bool:
    """Whether so much differs that the file is likelier another account's, or read by a wrong map, than true."""
    return to_follow > ALWAYS_FOLLOWED and 2 * to_follow > lines


def too_many_words(to_follow: int, lines: int) -> str:
    return (
        f"{to_follow} of {lines} lines differ from what is known here; that looks like another account's statement or "
        "a column read wrongly, so nobody was asked and nothing was recorded"
    )


def statement_claim(line: Line, source: str, **about: Unpack[ClaimAbout]) -> Claim:
    """Have the gateway asked about a payment because of a line. It says nothing of the outcome, so it executes nothing.

    The line's transaction goes along, for gateways that are asked by one.
    """
    name = source if len(source) <= LONGEST_NAME_IN_NOTE else f"{source[:LONGEST_NAME_IN_NOTE]}…"
    return Claim(
        source=Source.OPERATOR,
        authenticity=Authenticity.UNSIGNED,
        transaction_id=line.transaction_id,
        note=f"row {line.row} of the statement {name} says {line.status}, {line.amount:.2f}",
        **about,
    )
