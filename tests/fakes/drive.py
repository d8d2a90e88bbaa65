"""Driving payments through the stages with the fake ledger: claims in, questions out, replies back, time moved by hand.

The gateway is a function from a question to its outcome, and the real stages record what it returns. None means that
the worker died before the reply was recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar

from consumers.account import Account
from consumers.commands.open_payment import open_payment
from consumers.pipeline import AssignedQuestion, take_claims
from consumers.ports.call_limits import AccountLimits
from consumers.ports.openings import Opened, OpeningOutcome
from consumers.ports.reply import Reply
from consumers.record_replies import record_dead_replies, record_replies
from consumers.rules import Rules
from schemas.answers import Answer, Executed, ExecuteReply, Inconclusive, QuestionOutcome, Trouble
from schemas.callbacks import Claim
from schemas.changes import Change
from schemas.checks import Checks
from schemas.payments import Payment
from schemas.words import Authenticity, EventType, Said, Source, Status
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeLedger, FakeTurns
from tests.fakes.providers import ACCOUNTS, LIFETIME, PLAIN
from worker.postgres.queue.due import SWEPT_SECONDS

Gateway = Callable[[AssignedQuestion], QuestionOutcome | None]
Result = TypeVar("Result")

AMOUNT = Decimal("100.00")
TRANSIT_SECONDS = 0.001
REPLY_SECONDS = 0.25
ROUNDS = 5_000

SWEPT = timedelta(seconds=SWEPT_SECONDS)
AGAIN = timedelta(seconds=0.25)
STARTED_AGAIN = timedelta(seconds=1)
"""How long after a worker's death another worker has its claims."""

DEATHS = 5
HELD_FOR = timedelta(seconds=30)
"""A process that asks for longer than this counts as stopped, and others ask all the same."""


def at_once(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that never has to wait, without an event loop."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    work.close()
    raise AssertionError("it had to wait")


def says(status: Status | None, **fields: Any) -> Gateway:
    """A gateway that always gives this answer, and echoes what was expected in all fields that are not named."""

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        return answered(assigned, status, **fields)

    return gateway


def answered(assigned: AssignedQuestion, status: Status | None, **fields: Any) -> Answer:
    asked = assigned.expected
    paid = status is not None and status.paid
    money = {"transaction_id": assigned.question.transaction_id or f"T-{asked.payment_id[-3:]}"} if paid else {}
    session_id = assigned.question.session_id or asked.session_id
    echoed = {"session_id": session_id, "reference": asked.reference, "currency": asked.currency}
    if assigned.question.transaction_id:
        echoed["transaction_id"] = assigned.question.transaction_id
    word = status.upper() if status else "ODD"
    return Answer(**{"status": status, "word": word, "amount": asked.amount, **echoed, **money, **fields})


def troubled(trouble: Trouble = Trouble.SERVER_ERROR, retry_after: float | None = None) -> Gateway:
    """A gateway that never gives an answer."""
    return lambda _: Inconclusive(trouble=trouble, detail=trouble, retry_after=retry_after)


def executed(assigned: AssignedQuestion, reply: ExecuteReply, status: Status | None) -> Executed:
    """The outcome of an Execute; status None stands for a Query that brought no answer either."""
    if status is None:
        return Executed(reply=reply, then=Inconclusive(trouble=Trouble.NO_REPLY, detail="silent"))
    return Executed(reply=reply, then=answered(assigned, status))


def dead(_: AssignedQuestion) -> None:
    """A worker that dies while it asks."""


class Drive:
    """One ledger, one clock, the accounts of `tests.fakes.providers`, and a gateway that can be exchanged."""

    def __init__(self, gateway: Gateway | None = None, *, checks: Checks | None = None) -> None:
        self.clock = FakeClock()
        self.ledger = FakeLedger(self.clock)
        self.rules = Rules(
            accounts={account.id: account for account in ACCOUNTS},
            checks=checks or Checks(),
            public_url="https://pay.example",
        )
        self.gateway: Gateway = gateway or says(Status.PENDING)
        self.asked: list[AssignedQuestion] = []
        self.turns = FakeTurns()
        self._in_flight: dict[tuple[str, datetime], AssignedQuestion] = {}
        self._unheard: list[tuple[datetime, Claim]] = []
        self._deaths = Counter[str]()
        self._known: dict[str, AccountLimits] = {}
        self._numbers = count(1)

    # -- what happens --------------------------------------------------------------------------------------------------

    def new(self, account: Account = PLAIN, *, lifetime: timedelta = LIFETIME, **fields: Any) -> Payment:
        """A payment that is not stored yet."""
        number = next(self._numbers)
        given: dict[str, Any] = {
            "id": f"pay_{number:026d}",
            "merchant": account.merchant,
            "account": account.id,
            "provider": account.provider.name,
            "reference": f"order-{number}",
            "amount": AMOUNT,
            "currency": "BDT",
            "opened_at": self.clock.now,
            "expires_at": self.clock.now + lifetime,
        }
        return Payment(**(given | fields))

    async def open(
        self,
        account: Account = PLAIN,
        *,
        outcome: OpeningOutcome | None = None,
        request: dict[str, Any] | None = None,
        **fields: Any,
    ) -> str:
        """Open a checkout. Returns the payment's id."""
        payment = self.new(account, **fields)
        number = payment.id[-3:]

        async def call(_: Payment) -> OpeningOutcome:
            return outcome or Opened(session_id=f"S-{number}", checkout_url="https://gateway.example/pay")

        body = request or {"reference": payment.reference}
        return (await open_payment(self.ledger, self.rules, payment, body, call)).id

    def claim(
        self,
        about: str,
        said: Said | None = None,
        *,
        source: Source = Source.RETURN,
        signed: bool = False,
        **fields: Any,
    ) -> Claim:
        """A claim about a payment; any field of it can be given another value."""
        payment = self.ledger.payment(about)
        given: dict[str, Any] = {
            "id": f"claim-{next(self._numbers)}",
            "account": payment.account,
            "provider": payment.provider,
            "source": source,
            "authenticity": Authenticity.SIGNED if signed else Authenticity.UNSIGNED,
            "received_at": self.clock.now,
            "payment_id": about,
            "said": said,
        }
        return Claim(**(given | fields))

    async def hit(self, payment_id: str, said: Said | None = None, **fields: Any) -> list[AssignedQuestion]:
        """A claim that the payment should be looked at arrives: from a browser, unless the source says otherwise."""
        return await self.publish(self.claim(payment_id, said, **fields))

    async def publish(self, *claims: Claim) -> list[AssignedQuestion]:
        """Take claims, ask the questions that they make due and record the replies. Returns the questions."""
        questions = await self.take(*claims)
        await self.answer(questions)
        return questions

    async def take(self, *claims: Claim) -> list[AssignedQuestion]:
        """Take claims and leave the questions in flight. A claim is taken a moment after it was received.

        No caller waits for a question in flight: a claim that has to wait is written beside it, or looked at again
        later.
        """
        self.clock.advance(TRANSIT_SECONDS)
        stopped = [one for one in self._in_flight.values() if one.asked_at + HELD_FOR <= self.clock.now]
        self.turns.give_back([one.expected.payment_id for one in stopped])
        taken = await take_claims(
            self.ledger, self.rules, claims, self.turns, patient=False, limits_by_account=self._known
        )
        self._unheard.extend((self.clock.now + AGAIN, claim) for claim in taken.waiting)
        self.asked.extend(taken.questions)
        self._in_flight |= {(one.expected.payment_id, one.asked_at): one for one in taken.questions}
        return taken.questions

    async def answer(self, questions: Sequence[AssignedQuestion]) -> None:
        """Have the gateway answer the questions in flight, and record the replies."""
        outcomes = [(assigned, self.gateway(assigned)) for assigned in questions]
        if questions:
            self.clock.advance(REPLY_SECONDS)
        replies = [self.reply(assigned, outcome) for assigned, outcome in outcomes if outcome is not None]
        await self.record(replies)
        for assigned in (assigned for assigned, outcome in outcomes if outcome is None):
            self.dies(assigned)

    def dies(self, assigned: AssignedQuestion) -> None:
        """The worker that asks this dies: its turn is free, and its unacknowledged claims are delivered again.

        A claim that was in hand at too many deaths is left alone.
        """
        del self._in_flight[assigned.expected.payment_id, assigned.asked_at]
        self.turns.give_back([assigned.expected.payment_id])
        for claim in assigned.claims:
            self._deaths[claim.id] += 1
            if self._deaths[claim.id] < DEATHS:
                self._unheard.append((self.clock.now + STARTED_AGAIN, claim))

    def reply(self, assigned: AssignedQuestion, outcome: QuestionOutcome) -> Reply:
        return Reply(
            payment_id=assigned.expected.payment_id,
            question=assigned.question,
            asked_at=assigned.asked_at,
            answered_at=self.clock.now,
            outcome=outcome,
        )

    async def record(self, replies: Sequence[Reply]) -> list[Change]:
        """Record gateways' replies. A reply whose question is forgotten is recorded alone."""
        known = [(self._in_flight.get((one.payment_id, one.asked_at)), one) for one in replies]
        answered = [(assigned, reply) for assigned, reply in known if assigned is not None]
        changes = (
            await record_replies(self.ledger, self.rules, answered, self.clock.now, self._known) if answered else []
        )
        for _, reply in answered:
            self._in_flight.pop((reply.payment_id, reply.asked_at), None)
        self.turns.give_back([reply.payment_id for _, reply in answered])
        kept = [reply for assigned, reply in known if assigned is None]
        return changes + await record_dead_replies(self.ledger, self.rules, kept) if kept else changes

    async def wait(self, span: timedelta | float) -> None:
        """Let time pass; the sweep publishes a claim whenever a payment's `next_check_at` comes."""
        await self.until(self.clock.now + (span if isinstance(span, timedelta) else timedelta(seconds=span)))

    async def until(self, end: datetime) -> None:
        for _ in range(ROUNDS):
            looks = [at for at in (self.ledger.next_look(), *(at for at, _ in self._unheard)) if at is not None]
            if min(looks, default=end + SWEPT) > end:
                self.clock.set(max(end, self.clock.now))
                return
            self.clock.set(max(min(looks), self.clock.now))
            now = self.clock.now
            again = [claim for at, claim in self._unheard if at <= now]
            self._unheard = [(at, claim) for at, claim in self._unheard if at > now]
            due = self.ledger.due(now)
            self.ledger.swept([payment.id for payment in due], now + SWEPT)
            asked = await self.publish(*again, *(self.claim(payment.id, source=Source.SWEEP) for payment in due))
            left = [self.payment(payment.id) for payment in due]
            still = [one for one in left if one.next_check_at is not None and one.next_check_at <= now]
            assert asked or again or not still, f"the sweep looks at {still} again and again"
        raise AssertionError("the sweep never comes to rest")

    # -- what is seen --------------------------------------------------------------------------------------------------

    def payment(self, payment_id: str) -> Payment:
        return self.ledger.payment(payment_id)

    def told(self, payment_id: str) -> list[EventType]:
        """The types of a payment's events after `payment.opened`, in order."""
        return [event.type for event in self.ledger.events_of(payment_id) if event.type is not EventType.OPENED]

    def asked_times(self, payment_id: str) -> list[datetime]:
        return [assigned.asked_at for assigned in self.asked if assigned.expected.payment_id == payment_id]

    def seconds(self, payment_id: str) -> list[float]:
        """When a payment was asked about, in seconds after its opening, to a tenth."""
        opened = self.payment(payment_id).opened_at
        return [round((at - opened).total_seconds(), 1) for at in self.asked_times(payment_id)]
