"""The payment as it is stored, and what the rules of money judge with it.

`Payment` has our own state (leases, schedules, marks) beside the facts about the money. Only
`schemas.shown.PaymentView` is shown to shops, the same in the API and in every event.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct, field

from schemas.answers import Fact
from schemas.words import Hold, Risk, Status

ScheduleName = Literal["claimed", "pending", "closed", "refunds"]


class Candidate(Struct, frozen=True, kw_only=True):
    """An id that a callback brought, for a gateway that cannot be asked by our ids.

    It is a transaction id (Moneybag) or a session id (UddoktaPay), by `Capabilities.candidates`. The field is called
    `transaction_id` for both, as in the rows that earlier releases wrote.

    - `unasked`: only a claim says that it is this payment's. The gateway may have been asked about it, and not know it
      yet. An answer about it ends this state.
    - `confirmed`: the gateway's own answer echoed our reference.
    - `struck` (rejected): the gateway knows it as another payment's. It is never asked about again.

    Each candidate is asked about by itself. So it has times like a payment's, for the claims and answers about it
    alone.

    - `signed`: a signed claim or a person named it.
    - `own`: it came on the payment's own path, signed, or beside a session that the gateway issued, and so not with our
      reference alone.
    - `heard_at`: when a claim first named it, or when its schedule began again.
    - `success_at`: the last claim of success about it that did not come with our reference alone.
    - `unknown_since`, `unknown_at`: when the first and the last question was asked that brought "not found".
    - `unpaid_at`: when the first such question after the end was asked.
    - `step`, `late_step`: how many of its questions came on the `claimed` delays, and on the `closed` delays.
    """

    transaction_id: str
    signed: bool
    own: bool = True
    state: Literal["unasked", "confirmed", "struck"] = "unasked"
    heard_at: datetime | None = None
    urgent_at: datetime | None = None
    hinted_at: datetime | None = None
    referred_at: datetime | None = None
    success_at: datetime | None = None
    asked_at: datetime | None = None
    fact_asked_at: datetime | None = None
    unknown_since: datetime | None = None
    unknown_at: datetime | None = None
    unpaid_at: datetime | None = None
    step: int = 0
    late_step: int = 0


class Payment(Struct, frozen=True, kw_only=True):
    """One row of `payments`. The comments in `schemas/sql` explain each column."""

    id: str
    merchant: str
    account: str
    provider: str
    reference: str
    order_ref: str | None = None
    amount: Decimal
    currency: str
    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    return_url: str | None = None
    failure_url: str | None = None
    cancel_url: str | None = None

    status: Status = Status.PENDING
    holds: tuple[Hold, ...] = ()
    version: int = 0
    late: bool = False
    amount_verified: bool = False
    refunded_amount: Decimal = Decimal("0.00")
    accepted_amount: Decimal | None = None
    order_lost: bool = False
    fee: Decimal | None = None
    method: str | None = None
    risk: Risk | None = None
    session_id: str | None = None
    aliases: tuple[str, ...] = ()
    transaction_id: str | None = None
    checkout_url: str | None = None
    opened_at: datetime
    expires_at: datetime
    completed_at: datetime | None = None
    checked_at: datetime | None = None

    opened: bool = False
    opening_until: datetime | None = None
    completed_told: bool = False
    closing_told: bool = False
    expired_by_clock_at: datetime | None = None
    unverifiable_at: datetime | None = None
    unresolved_at: datetime | None = None
    unexpected_at: datetime | None = None
    adopted_at: datetime | None = None

    lease_until: datetime | None = None
    asked_at: datetime | None = None
    fact_asked_at: datetime | None = None
    urgent_at: datetime | None = None
    hinted_at: datetime | None = None
    hint_asks: tuple[datetime, ...] = ()
    referred_at: datetime | None = None
    referred_asks: tuple[datetime, ...] = ()
    success_at: datetime | None = None
    restarted: bool = False
    returned_by: Literal["reference", "own"] | None = None
    returned_through: bool = False
    unpaid_at: datetime | None = None
    missed_at: datetime | None = None
    missed_step: int | None = None
    schedule: ScheduleName | None = None
    step: int = 0
    not_before: datetime | None = None
    next_check_at: datetime | None = None

    execute_state: Literal["wanted", "kept"] | None = None
    execute_wanted_at: datetime | None = None
    execute_waits_until: datetime | None = None
    execute_asked_at: datetime | None = None
    execute_tries: int = 0
    execute_unanswered: bool = False
    execute_doubted: bool = False
    candidates: tuple[Candidate, ...] = ()
    candidate_dropped: bool = False

    @property
    def hold(self) -> Hold | None:
        """The hold that is shown: the first of all that apply."""
        return self.holds[0] if self.holds else None

    @property
    def sessions(self) -> tuple[str, ...]:
        """The session of the last opening, and the sessions that later openings replaced."""
        return self.aliases if self.session_id is None else (self.session_id, *self.aliases)

    @property
    def held_for_money(self) -> bool:
        return any(not hold.waiting for hold in self.holds)

    def __repr__(self) -> str:
        return f"Payment({self.id} v{self.version} {self.status} {self.hold})"


class Glance(Struct, frozen=True, kw_only=True):
    """The columns of `payments` that are needed to answer a returning buyer and to redirect them."""

    id: str
    account: str
    reference: str
    return_url: str | None = None
    failure_url: str | None = None
    cancel_url: str | None = None
    status: Status
    holds: tuple[Hold, ...]
    version: int
    session_id: str | None = None
    aliases: tuple[str, ...] = ()
    transaction_id: str | None = None
    candidates: tuple[Candidate, ...] = ()

    @property
    def hold(self) -> Hold | None:
        """The hold that is shown: the first of all that apply."""
        return self.holds[0] if self.holds else None

    @property
    def sessions(self) -> tuple[str, ...]:
        """The session of the last opening, and the sessions that later openings replaced."""
        return self.aliases if self.session_id is None else (self.session_id, *self.aliases)


def glance(payment: Payment) -> Glance:
    return msgspec.convert(payment, Glance, from_attributes=True)


class Resolution(Struct, frozen=True, kw_only=True):
    """A person's decision on a held payment.

    `settled`: the keys of the Facts that it covers, and the holds that applied. `transaction_id`: the one that the
    person named. `recorded_transaction`: that one, else the transaction that the payment had or was answered with.
    `approved_by`: the second person, where two decided, by the proposal `proposal_id`.
    """

    at: datetime
    status: Status
    actor: str
    reason: str
    evidence: str | None = None
    transaction_id: str | None = None
    recorded_transaction: str | None = None
    settled: frozenset[str] = frozenset()
    approved_by: str | None = None
    proposal_id: str | None = None

    def same_decision(self, other: Resolution) -> bool:
        mine = (self.status, self.actor, self.reason, self.evidence, self.transaction_id)
        return mine == (other.status, other.actor, other.reason, other.evidence, other.transaction_id)


class Case(Struct, frozen=True, kw_only=True):
    """All that the rules of money need to judge one payment. `resolutions` are in the order in which they were made.

    `version_floor`: its next version is above it, because a database server that was replaced may have given the
    versions up to it, and their events may be missing here.
    """

    payment: Payment
    facts: tuple[Fact, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    version_floor: int = 0


class TakenKeys(Struct, frozen=True, kw_only=True):
    """A payment's keys that belong to other payments, by the unique keys of the database.

    `order`: another attempt has paid the order, and not all of that money went back.
    """

    transactions: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    references: frozenset[str] = frozenset()
    order: bool = False

    def and_(self, others: TakenKeys) -> TakenKeys:
        return TakenKeys(
            transactions=self.transactions | others.transactions,
            sessions=self.sessions | others.sessions,
            references=self.references | others.references,
            order=self.order or others.order,
        )
