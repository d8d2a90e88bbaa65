"""Questions to gateways and their outcomes: Question, Answer, Inconclusive, ForeignTransaction, Executed, and the Fact.

Only an Answer can become a Fact. Timeouts, 5xx, 429, 401, HTML and "not found" are Inconclusive. They never mean that a
payment failed: the buyer may have paid.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Literal

from msgspec import Struct
from msgspec.structs import asdict, replace

from schemas.words import QuestionKind, Risk, Status


class Question(Struct, frozen=True, kw_only=True):
    """A question about one payment.

    `transaction_id` or `session_id`: the candidate to ask by, where only callbacks bring the id that the gateway needs.
    """

    kind: QuestionKind = QuestionKind.STATUS
    transaction_id: str | None = None
    session_id: str | None = None

    @property
    def candidate(self) -> str | None:
        return self.transaction_id or self.session_id


class Expected(Struct, frozen=True, kw_only=True):
    """The values that answers about a payment must agree with. `aliases`: sessions that a later opening replaced."""

    payment_id: str
    reference: str
    amount: Decimal
    currency: str
    session_id: str | None = None
    aliases: tuple[str, ...] = ()


class Answer(Struct, frozen=True, kw_only=True):
    """An answer of a gateway, in our words. Ids, amount and currency are as echoed; None where the reply has none.

    `status` is None where `word`, the gateway's own status word, is missing from its table ("unmapped").
    `refunded_amount` is None where the reply says nothing of refunds; with the status `refunded` that means all of the
    amount. `unreadable` names `amount`, `refunded_amount` or both, in that order, where the reply's field is no money.
    The field is None then. `risk` is set where the gateway rates the money that it says was paid.

    `others`: further paid answers of the same reply, each about a transaction of its own. They are set on a paid answer
    only, have no `others` themselves, and each is judged like an answer of its own. A Fact's answer has none.
    """

    status: Status | None
    word: str
    session_id: str | None = None
    reference: str | None = None
    transaction_id: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    refunded_amount: Decimal | None = None
    fee: Decimal | None = None
    method: str | None = None
    risk: Risk | None = None
    paid_at: datetime | None = None
    unreadable: tuple[str, ...] = ()
    others: tuple[Answer, ...] = ()

    @property
    def each(self) -> tuple[Answer, ...]:
        """The answer without its others, and then each of them."""
        return (replace(self, others=()), *self.others) if self.others else (self,)

    @property
    def paid(self) -> bool:
        """Whether it says that money came, even if all of it went back since."""
        return self.status is not None and self.status.paid


class Trouble(StrEnum):
    """Why a question brought no answer.

    - `no_reply`: connection refused, cut, or silent until the deadline.
    - `server_error`: 5xx or maintenance.
    - `rate_limited`: 429.
    - `key_refused`: 401 or 403.
    - `unreadable`: HTML, broken JSON, a reply without its status, a 404 in no documented form.
    - `not_found`: the gateway does not know one of our own ids, and says so as it documents.
    - `undocumented`: its reply about a payment that it may not know; the form of that is undocumented, such as `[]`.
      It says nothing about the payment, and is no failure of the gateway.
    """

    NO_REPLY = "no_reply"
    SERVER_ERROR = "server_error"
    RATE_LIMITED = "rate_limited"
    KEY_REFUSED = "key_refused"
    UNREADABLE = "unreadable"
    NOT_FOUND = "not_found"
    UNDOCUMENTED = "undocumented"

    @property
    def is_failure(self) -> bool:
        """Whether it may mean that the gateway is in trouble, and not only that it knows nothing of this payment."""
        return self not in (Trouble.NOT_FOUND, Trouble.UNDOCUMENTED)


class Inconclusive(Struct, frozen=True, kw_only=True):
    """A reply that is no answer. `retry_after`: seconds, where the gateway said so. `detail` is safe to log."""

    trouble: Trouble
    detail: str
    retry_after: float | None = None


class ForeignTransaction(Struct, frozen=True, kw_only=True):
    """The outcome of a question by a candidate that the gateway does not know, or knows as another payment's."""

    why: Literal["not_found", "other_payment"]


ExecuteReply = Literal["completed", "refused", "settled", "other", "unread", "none", "not_sent"]


class Executed(Struct, frozen=True, kw_only=True):
    """The outcome of an Execute, and the answer from it or from the Query after it.

    - `completed`: it took the money, and `then` is its own answer.
    - `refused`: the buyer has not approved.
    - `settled`: it was done before.
    - `other`: another error, in the gateway's own words.
    - `unread`: the reply cannot be read. The money may have been taken.
    - `none`: no reply came. The money may have been taken.
    - `not_sent`: it was not begun in time, so it was not sent.

    For `refused`, `settled`, `other` and `unread`, `then` is the outcome of the Query after it, and only that can be a
    Fact. With `none`, `not_sent`, and `other` for a refused token, no Query was sent, and `then` is Inconclusive.
    """

    reply: ExecuteReply
    then: Answer | Inconclusive


QuestionOutcome = Answer | Inconclusive | ForeignTransaction | Executed


class StatementRow(Struct, frozen=True, kw_only=True):
    """The row of a statement that a Fact comes from, where no gateway was asked.

    `name`: the file's name. `row` counts from 1, as a spreadsheet shows it. `listed`: an entry of the gateway's own
    list, which we fetched, and no exported file. `refund`: it says only how much of the money went back.
    """

    name: str
    row: int
    refund: bool = False
    listed: bool = False


class Fact(Struct, frozen=True, kw_only=True, dict=True):
    """An Answer with its times and `transaction_asked`. Equal answers are one Fact with first and last times.

    `row` is set where only a statement says so. The times are the row's then. A row tells of something that happened
    once, so a later export of it makes it no newer, and an equal answer of the gateway replaces it.
    """

    answer: Answer
    row: StatementRow | None = None
    transaction_asked: str | None = None
    first_asked_at: datetime
    first_answered_at: datetime
    last_asked_at: datetime
    last_answered_at: datetime

    @cached_property
    def key(self) -> str:
        """Equal for answers with equal status, amounts, currency and ids that were asked by the same transaction."""
        answer = self.answer
        parts = (
            answer.status or f"unmapped:{answer.word}",
            answer.amount,
            answer.currency,
            answer.session_id,
            answer.reference,
            answer.transaction_id,
            answer.refunded_amount,
            self.transaction_asked,
            *(("refund",) if self.refund else ()),
            *(f"unreadable:{name}" for name in answer.unreadable),
        )
        return "|".join("" if part is None else f"={part}" for part in parts)

    @property
    def refund(self) -> bool:
        """Whether it says only how much went back, and nothing about the money that had come."""
        return self.row is not None and self.row.refund

    @property
    def unproven(self) -> bool:
        """Whether it is a row of a file that one person brought, on which two people decide. Its word is its status."""
        return self.row is not None and self.answer.status is None

    def merged(self, other: Fact) -> Fact:
        """The Fact that two Facts with equal keys become, in any order."""
        early, late = (self, other) if _age(self) <= _age(other) else (other, self)
        filled = {name: value for name, value in asdict(late.answer).items() if value is not None}
        filled |= {name: value for name, value in asdict(early.answer).items() if value is not None}
        asked = [fact for fact in (self, other) if fact.row is None]
        latest = asked or [early]
        return Fact(
            answer=Answer(**{"status": None, **filled}),
            row=None if asked else early.row,
            transaction_asked=self.transaction_asked,
            first_asked_at=min(self.first_asked_at, other.first_asked_at),
            first_answered_at=min(self.first_answered_at, other.first_answered_at),
            last_asked_at=max(fact.last_asked_at for fact in latest),
            last_answered_at=max(fact.last_answered_at for fact in latest),
        )


def _age(fact: Fact) -> tuple[datetime, datetime, str]:
    return fact.first_answered_at, fact.first_asked_at, repr((fact.answer, fact.row))
