"""The verdicts on a statement's lines: for each its outcome, its sentence and the step that follows.

The SQL in `worker/postgres/statements/verdict_sql.py` finds the verdict of each line, for a million lines at once. A
statement is no answer: it makes us ask. Only where the gateway cannot be asked is a line itself recorded, and it counts
for nothing against a newer answer.
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
"""`ask`: ask the gateway, or record the line where it cannot be asked. `hold`: hold the money as a payment of its own.
`report`: leave it to a person. `none`: nothing."""


class Verdict(StrEnum):
    """The verdict on a line. The first that applies, in this order, is taken; see VERDICTS."""

    UNREADABLE = "unreadable"
    ATTEMPT_BEFORE = "attempt_before"
    AGAIN_OTHERWISE = "again_otherwise"
    AGAIN = "again"
    TWO_PAYMENTS = "two_payments"
    PAST = "past"
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
    """`says` is a format string over the fields of VerdictFields."""

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
    # The nearest of the closed list of outcomes: the two sides differ on which payment was paid.
    Verdict.TWO_PAYMENTS: Meaning(
        _O.STATUS_DIFFERS, "ask", "its ids belong to two payments here, {payment_id} and {other_payment_id}"
    ),
    Verdict.PAST: Meaning(
        _O.MISSING_HERE, "report", "its payment {payment_id} is past its retention, so nothing of it is left to compare"
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
    """The values that a verdict's sentence may name."""

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
    """Why a line has its outcome, in a few words; None where the outcome says all."""
    names = {name: getattr(found, name) for name in VerdictFields.__struct_fields__}
    return VERDICTS[verdict].says.format(**names) or None


class Terms(Struct, frozen=True, kw_only=True):
    """The terms by which an account's statements are judged.

    The fee is `fee_percent` of the amount, rounded half up, and `fee_fixed`. `grace`: how many seconds before the end
    of a statement a payment may be missing from it.
    """

    fee_percent: Decimal | None = None
    fee_fixed: Decimal | None = None
    grace: float = 86_400.0

    @classmethod
    def of(cls, columns: StatementMap) -> Terms:
        return cls(fee_percent=columns.fee_percent, fee_fixed=columns.fee_fixed, grace=columns.grace)


def too_many(to_follow: int, lines: int) -> bool:
    """Whether so many lines differ that the file is probably another account's, or was read by a wrong column map."""
    return to_follow > ALWAYS_FOLLOWED and 2 * to_follow > lines


def too_many_words(to_follow: int, lines: int) -> str:
    return (
        f"{to_follow} of {lines} lines differ from what is known here; that looks like another account's statement or "
        "a column read wrongly, so nobody was asked and nothing was recorded"
    )


def statement_claim(line: Line, source: str, **about: Unpack[ClaimAbout]) -> Claim:
    """A claim that makes us ask the gateway because of a line. It has no `said`, so it can request no Execute.

    It names the line's transaction, for gateways that are asked by transaction.
    """
    name = source if len(source) <= LONGEST_NAME_IN_NOTE else f"{source[:LONGEST_NAME_IN_NOTE]}…"
    return Claim(
        source=Source.OPERATOR,
        authenticity=Authenticity.UNSIGNED,
        transaction_id=line.transaction_id,
        note=f"row {line.row} of the statement {name} says {line.status}, {line.amount:.2f}",
        **about,
    )
