"""A gateway's statement: how a file is read, what a line of it says, and what became of each line.

The one thing to get wrong: a line is read exactly or not at all. What cannot be read is `Unread` with its row and the
reason, and never a guess.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.checks import DAY, Seconds
from schemas.words import Status

Header = Annotated[str, Meta(min_length=1, max_length=200)]
StatementWords = tuple[Annotated[str, Meta(min_length=1)], ...]


class StatementMap(Struct, frozen=True, kw_only=True):
    """`[merchants.accounts.statement]`: which column of an account's statements says what.

    Columns are named by their headers, compared without case and outer spaces. `date_format` is strptime's; without it
    times are ISO 8601. A time without zone is one of `time_zone`. A row is a refund when its `kind` column holds one of
    `refunds`, or, with `signed_amounts`, when its amount is negative. Where `payments` lists what payments are called,
    any other word in `kind`, such as that of a settlement, makes the row unreadable; a `currency` other than BDT does
    too. Without `status` every row is money that arrived; with it, a word in none of the lists makes the row
    unreadable. `fee_percent` and `fee_fixed` are what the gateway should have kept of a payment; `grace` is how long
    after its payment a row may be missing from an export.
    """

    amount: Header
    currency: Header | None = None
    transaction_id: Header | None = None
    session_id: Header | None = None
    reference: Header | None = None
    at: Header | None = None
    fee: Header | None = None
    status: Header | None = None
    kind: Header | None = None
    date_format: str | None = None
    time_zone: str = "Asia/Dhaka"
    signed_amounts: bool = False
    refunds: StatementWords = ()
    payments: StatementWords = ()
    completed: StatementWords = ()
    failed: StatementWords = ()
    cancelled: StatementWords = ()
    expired: StatementWords = ()
    pending: StatementWords = ()
    refunded: StatementWords = ()
    fee_percent: Decimal | None = None
    fee_fixed: Decimal | None = None
    grace: Seconds = DAY


class Line(Struct, frozen=True, kw_only=True):
    """One row as it was read. `row` counts from 1 and includes the header, as a spreadsheet shows it.

    `amount` is above zero also of a refund. `status` is our word for `word`, the statement's own; of a refund line it
    is `refunded` and says only that this much went back.
    """

    row: int
    kind: Literal["payment", "refund"]
    status: Status
    word: str | None
    amount: Decimal
    transaction_id: str | None = None
    session_id: str | None = None
    reference: str | None = None
    fee: Decimal | None = None
    at: datetime | None = None


class Unread(Struct, frozen=True, kw_only=True):
    """One row that could not be read: why, naming the column. `text` is the row as it stands, cut."""

    row: int
    why: str
    text: str


class LineOutcome(StrEnum):
    """What became of a line, or of a payment that has none.

    - `matched`: here and there the same.
    - `missing_here`: paid there; unknown or unpaid here.
    - `missing_there`: completed here, and in no line of a statement that covers its time.
    - `amount_differs`, `status_differs`: known here with another amount, or another end.
    - `fee_differs`: all else agrees, and the fee is not what the rule of the account says.
    - `duplicate`: the same transaction, or the same reference, in an earlier line of this statement.
    - `unreadable`: see `Unread`.
    """

    MATCHED = "matched"
    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    AMOUNT_DIFFERS = "amount_differs"
    STATUS_DIFFERS = "status_differs"
    FEE_DIFFERS = "fee_differs"
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"
