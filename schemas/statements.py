"""A gateway's statement: how its columns are read, its lines, and the outcome of each line.

A line is read exactly or not at all, because a guessed amount or status would be wrong money. A row that cannot be read
is `Unread`, with its row number and the reason.
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
    """`[merchants.accounts.statement]`: the columns of an account's statements and the words in them.

    Columns are named by their headers, compared without case and outer spaces. `date_format` is strptime's; without it
    times are ISO 8601. A time without a zone is in `time_zone`.

    A row is a refund if its `kind` column has one of `refunds`, or, with `signed_amounts`, if its amount is negative.
    If `payments` lists the words for payments, any other word in `kind` makes the row unreadable. So does a `currency`
    other than BDT. Without `status` every row is money that came. With it, a word that is in none of the lists
    `completed` to `refunded` makes the row unreadable.

    `fee_percent` and `fee_fixed`: the fee that the gateway should keep of a payment. `grace`: how many seconds after
    its payment a row may be missing from an export.
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
    """One row as it was read. `row` counts from 1, with the header, as a spreadsheet shows it.

    `amount` is above zero, for a refund too. `status` is our word for `word`, the statement's own. A refund line has
    the status `refunded`, which says only that its amount went back.
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
    """One row that could not be read. `why` names the column. `text`: the row as it stands, cut."""

    row: int
    why: str
    text: str


class LineOutcome(StrEnum):
    """The outcome of comparing a line, or a payment without a line.

    - `matched`: the same here and in the statement.
    - `missing_here`: paid in the statement; unknown or unpaid here.
    - `missing_there`: completed here, and in no line of a statement that covers its time.
    - `amount_differs`, `status_differs`: known here with another amount, or another status.
    - `fee_differs`: all else agrees, and the fee is not the one of the account's rule.
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
