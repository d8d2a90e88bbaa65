"""The closed vocabularies: one word per concept, the same in code, SQL, messages, metrics and the runbook.

A payment's `Status` only rises. A `Hold` stands beside the status and is never one.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a payment stands, in rising order; a payment never moves to the left.

    - `pending`: opened, and no gateway has said what became of it. Left by a Fact, by the clock or by a person.
    - `expired`: nobody paid in time, by the gateway's word or, where that is proof enough, by the clock.
    - `cancelled`: the gateway says that the buyer cancelled.
    - `failed`: the gateway says that the payment was refused.
    - `completed`: the gateway says, and everything it says fits, that the money arrived.
    - `refunded`: all of the money went back.

    A process that dies leaves no payment between two of these: a status changes in one transaction with its event.
    """

    PENDING = "pending"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    COMPLETED = "completed"
    REFUNDED = "refunded"

    @property
    def rank(self) -> int:
        return _RANKS[self]

    @property
    def paid(self) -> bool:
        """Whether money arrived, even if it was returned since."""
        return self in (Status.COMPLETED, Status.REFUNDED)

    @property
    def closed(self) -> bool:
        """Whether the payment ended without money."""
        return self in (Status.EXPIRED, Status.CANCELLED, Status.FAILED)


_RANKS = {status: rank for rank, status in enumerate(Status)}


class Hold(StrEnum):
    """Why a payment waits beside its status. Members stand in the order in which one of several is shown.

    A person has to look at the first seven; a later answer that fits lifts the last three by itself.

    - `identity_mismatch`: the gateway's answer is about another payment.
    - `currency_mismatch`: paid in another currency.
    - `amount_mismatch`: another amount was paid, more was refunded than was paid, or a figure cannot be read. A later
      answer with a figure that fits lifts the last of these by itself.
    - `transaction_reused`: another payment has the same transaction.
    - `duplicate_for_order`: paid when another attempt of the order was, or this one a second time.
    - `contradiction`: the gateway said that it is paid or refunded, and later otherwise.
    - `unexpected`: paid at the gateway, unknown here.
    - `unmapped_status`: the gateway used a word that nobody has taught us.
    - `unverifiable`: somebody claims that it is paid, and the gateway cannot be asked.
    - `unresolved`: asked until the schedule ended, without an outcome.
    """

    IDENTITY_MISMATCH = "identity_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    AMOUNT_MISMATCH = "amount_mismatch"
    TRANSACTION_REUSED = "transaction_reused"
    DUPLICATE_FOR_ORDER = "duplicate_for_order"
    CONTRADICTION = "contradiction"
    UNEXPECTED = "unexpected"
    UNMAPPED_STATUS = "unmapped_status"
    UNVERIFIABLE = "unverifiable"
    UNRESOLVED = "unresolved"

    @property
    def waiting(self) -> bool:
        """Whether a later fitting answer lifts it without a person; the others are holds of money."""
        return self in (Hold.UNMAPPED_STATUS, Hold.UNVERIFIABLE, Hold.UNRESOLVED)


class Risk(StrEnum):
    """How a gateway rates the money that it says was paid. It never changes the status, and holds nothing.

    - `low`: it found nothing wrong.
    - `high`: the payment is paid, and the gateway advises to wait with the goods until a person has looked at it.
    """

    LOW = "low"
    HIGH = "high"


class Scope(StrEnum):
    """What an API key may do.

    - `open`: open payments, and have payments tracked.
    - `read`: read payments, their list and their timelines.
    - `verify`: have the gateway asked at once.
    - `resolve`: decide on held payments.
    - `events`: read the event log, and the webhooks and their deliveries; have them sent again.
    """

    OPEN = "open"
    READ = "read"
    VERIFY = "verify"
    RESOLVE = "resolve"
    EVENTS = "events"


class Source(StrEnum):
    """Who sent a claim."""

    WEBHOOK = "webhook"
    IPN = "ipn"
    RETURN = "return"
    SWEEP = "sweep"
    OPERATOR = "operator"


class Authenticity(StrEnum):
    """Whether the bytes of a callback prove who sent them. They never prove anything about the money."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"


class Said(StrEnum):
    """The outcome that a claim names. It may lead to a question, and never becomes an answer."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCEL = "cancel"


class QuestionKind(StrEnum):
    """The kinds of questions. `execute` takes money (OnePayBD, bKash); `status` never does."""

    STATUS = "status"
    EXECUTE = "execute"


class Id(StrEnum):
    """The ids by which gateways know a payment. Each has the name of its field.

    - `session_id`: the checkout's, given by the gateway when it was opened.
    - `reference`: ours, sent with the opening.
    - `transaction_id`: the money's, given by the gateway once the buyer pays.
    """

    SESSION = "session_id"
    REFERENCE = "reference"
    TRANSACTION = "transaction_id"


class MoneyField(StrEnum):
    """The fields of an answer that are about money. Each has its own name."""

    AMOUNT = "amount"
    CURRENCY = "currency"
    REFUNDED = "refunded_amount"


AnswerField = Id | MoneyField
"""The fields of an answer that must agree with its payment."""


class EventType(StrEnum):
    """What happened to a payment.

    - `payment.opened`: the payment is expected from now on.
    - `payment.completed`: the money arrived, and all that the gateway says fits. Written at most once for a payment.
    - `payment.failed`: the payment was refused.
    - `payment.cancelled`: the buyer cancelled.
    - `payment.expired`: nobody paid in time.
    - `payment.refunded`: all of the money went back.
    - `payment.partially_refunded`: some of it, or some more of it, went back.
    - `payment.held`: the payment is held; `data.hold` says why. Do not ship.
    - `payment.released`: the hold ended, and nothing else changed that has an event of its own.
    """

    OPENED = "payment.opened"
    COMPLETED = "payment.completed"
    FAILED = "payment.failed"
    CANCELLED = "payment.cancelled"
    EXPIRED = "payment.expired"
    REFUNDED = "payment.refunded"
    PARTIALLY_REFUNDED = "payment.partially_refunded"
    HELD = "payment.held"
    RELEASED = "payment.released"


class EntryKind(StrEnum):
    """The kinds of entries in a payment's timeline."""

    CLAIM = "claim"
    QUESTION = "question"
    ANSWER = "answer"
    DECISION = "decision"
    EVENT = "event"
    DELIVERY = "delivery"
    RESOLUTION = "resolution"


class SignInOutcome(StrEnum):
    """How a sign-in to the console, or a confirmation, ended."""

    SUCCEEDED = "succeeded"
    UNKNOWN_NAME = "unknown_name"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a reason
    WRONG_CODE = "wrong_code"
    WRONG_CONFIRMATION = "wrong_confirmation"
    NOT_PROVED = "not_proved"
    """By the answer of the identity provider."""
    SLOWED = "slowed"


class OperatorRole(StrEnum):
    """What an operator of the console may do.

    - `viewer`: reads.
    - `operator`: reads, verifies, writes notes, sends and replays again, and proposes a resolution.
    - `approver`: as `operator`; approves the proposals of others, and drops dead letters.
    - `auditor`: reads, and may reveal the contents of a callback.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    AUDITOR = "auditor"
