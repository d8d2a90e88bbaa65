"""What an onlooker of the simulation writes down: questions, answers, refusals, callbacks, and delays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from consumers.checks.limits import ACCOUNT_BREAKER
from consumers.pipeline import AssignedQuestion
from consumers.ports.call_limits import AccountLimits
from consumers.ports.reply import Reply
from schemas.answers import Executed, Question, QuestionOutcome
from schemas.callbacks import Claim
from schemas.payments import Payment
from schemas.words import Said, Source, Status
from tests.unit.simulation.gateways import Told
from tests.unit.simulation.truth import State

ZERO, SECOND = timedelta(0), timedelta(seconds=1)


class Asked(Struct, kw_only=True):
    """One question that was decided on at `at`.

    `told` is None where the worker died before the question was sent. `died_at` is when the worker died before the
    reply was recorded. `probes`: it was asked while its gateway was thought to be away.
    """

    account: str
    payment_id: str
    question: Question
    at: datetime
    probes: bool
    sent_at: datetime | None = None
    told: Told | None = None
    recorded_at: datetime | None = None
    died_at: datetime | None = None
    outcome: QuestionOutcome | None = None

    @property
    def spoke(self) -> bool:
        """Whether the gateway's own answer reached our records."""
        return self.told is not None and self.told.spoke and self.recorded_at is not None

    @property
    def sent(self) -> bool:
        """Whether any request reached the gateway."""
        return self.told is not None and self.told.calls > 0

    @property
    def slow(self) -> bool:
        """Whether it took longer than healthy gateways take, to be sent or to be answered."""
        held_up = self.sent_at is not None and self.sent_at - self.at > SECOND
        return held_up or (self.told is not None and self.told.seconds > 5)

    @property
    def state(self) -> State | None:
        """The state that the gateway showed."""
        return self.told.state if self.told is not None and self.told.about == self.payment_id else None

    @property
    def paid(self) -> list[State]:
        """Every paid state that the gateway showed, where one reply shows several attempts."""
        return self.told.paid if self.told is not None and self.told.about == self.payment_id else []

    @property
    def hindered(self) -> bool:
        """Whether a cause outside our rules withheld the gateway's answer about the payment, or delayed it."""
        if self.told is not None and self.told.stale_token and not self.told.spoke:
            return False
        return not self.spoke or self.unknown or self.slow

    @property
    def unknown(self) -> bool:
        return self.told is not None and self.told.unknown


class Heard(Struct, frozen=True, kw_only=True):
    """A callback and whether it was acknowledged. `own`: by the payment's own path, or by an id the gateway issued."""

    payment_id: str
    at: datetime
    source: Source
    said: Said | None
    transaction: str | None = None
    signed: bool = False
    own: bool = True
    hostile: bool = False
    acknowledged: bool = False


class TurnedAway(Struct, frozen=True, kw_only=True):
    """A payment that was due and was refused a question. `shut`: because its gateway was thought to be away."""

    account: str
    payment_id: str
    at: datetime
    again_at: datetime
    shut: bool


class Course(Struct, kw_only=True):
    """When a payment ended or was held, and since when it is no longer looked at."""

    ended_at: datetime | None = None
    rests_since: datetime | None = None


class Journal:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.by_payment = defaultdict[str, list[Asked]](list)
        self.charges = defaultdict[str, list[tuple[datetime, int, bool]]](list)
        """By account: the charges of its budget, and whether each was charged in advance or afterwards."""
        self.refusals: list[TurnedAway] = []
        self.turned = defaultdict[str, list[TurnedAway]](list)
        self.courses = defaultdict[str, Course](Course)
        self.longest_sweep = defaultdict[str, timedelta](timedelta)
        self.longest_carried = ZERO
        self.deaths: list[datetime] = []
        self.lost = defaultdict[str, list[tuple[datetime, datetime]]](list)
        """By payment: when a process died while it took claims, and until when the payment is not asked about then."""
        self.claims = 0
        self.heard = defaultdict[str, list[Heard]](list)
        self.most_candidates = defaultdict[str, int](int)
        self._open = dict[tuple[str, datetime], Asked]()

    def carried(self, taken: Iterable[tuple[datetime, Claim]], now: datetime) -> None:
        for published_at, _ in taken:
            self.claims += 1
            self.longest_carried = max(self.longest_carried, now - published_at)

    def swept(self, account: str, late: timedelta) -> None:
        self.longest_sweep[account] = max(self.longest_sweep[account], late)

    def asks(self, assigned: AssignedQuestion, account_limits: AccountLimits | None) -> Asked:
        asked = Asked(
            account=assigned.account.id,
            payment_id=assigned.expected.payment_id,
            question=assigned.question,
            at=assigned.asked_at,
            probes=account_limits is not None and account_limits.troubles >= ACCOUNT_BREAKER.threshold,
        )
        self.asked.append(asked)
        self.by_payment[asked.payment_id].append(asked)
        self.charges[asked.account].append((asked.at, 1, True))
        self._open[asked.payment_id, asked.at] = asked
        return asked

    def postponed(self, payment: Payment, account_limits: AccountLimits | None, now: datetime) -> None:
        assert payment.not_before is not None
        shut = account_limits is not None and account_limits.shut_until is not None and account_limits.shut_until > now
        refusal = TurnedAway(
            account=payment.account, payment_id=payment.id, at=now, again_at=payment.not_before, shut=shut
        )
        self.refusals.append(refusal)
        self.turned[payment.id].append(refusal)

    def recorded(self, replies: Sequence[Reply], now: datetime) -> None:
        for reply in replies:
            asked = self._open.pop((reply.payment_id, reply.asked_at))
            asked.recorded_at = now
            asked.outcome = reply.outcome.then if isinstance(reply.outcome, Executed) else reply.outcome
            if reply.calls > 1:
                self.charges[asked.account].append((now, reply.calls - 1, False))

    def saw(self, payment: Payment, now: datetime) -> None:
        course = self.courses[payment.id]
        if course.ended_at is None and (payment.status is not Status.PENDING or payment.holds):
            course.ended_at = now
        course.rests_since = None if payment.next_check_at is not None else (course.rests_since or now)
        count = len(payment.candidates)
        self.most_candidates[payment.id] = max(self.most_candidates[payment.id], count)
