"""The gateways of the simulation: what is true of each payment there, and when nobody can hear it.

The one thing to get wrong: a reply says what was true while the gateway looked, not when the reply is recorded.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from consumers.account import Account
from consumers.pipeline import Inquiry
from schemas.answers import Answer, Executed, Expected, Inconclusive, Outcome, Question, Stranger, Trouble
from schemas.words import QuestionKind, Status

DEADLINE_SECONDS = 10.0
UNKNOWN, ODD = "unknown", "odd"

TroubleKind = Literal["silent", "failing", "limiting", "revoked", "slow"]


class State(Struct, frozen=True, kw_only=True):
    """What the gateway says from `at` on. `status` is one of ours, `odd` (a word of nobody's table) or `unknown`."""

    at: datetime
    status: Status | Literal["odd", "unknown"]
    transaction: str | None = None
    refunded: Decimal | None = None
    amount: Decimal | None = None


class Outage(Struct, frozen=True, kw_only=True):
    """From when to when an account's questions are not answered as they should be, and how."""

    start: datetime
    end: datetime
    kind: TroubleKind


class Truth(Struct, kw_only=True):
    """What is true of one payment at its gateway. `approved_at` is when the buyer let an Execute take the money."""

    states: list[State]
    approved_at: datetime | None = None

    def state(self, at: datetime, transaction: str | None = None) -> State | None:
        """The latest word at that moment; where one is asked by transaction, about that one."""
        known = [one for one in self.states if one.at <= at]
        if transaction is not None:
            known = [one for one in known if one.transaction == transaction]
        return known[-1] if known else None


class SimulatedGateway:
    """One account's gateway. `ask` is called when the question arrives; the reply comes after `seconds`."""

    def __init__(self, account: Account, seed: int, *, steady: bool) -> None:
        self.account = account
        self.truths: dict[str, Truth] = {}
        self.outages: list[Outage] = []
        self._random = random.Random(f"{seed}/{account.id}")
        self._steady = steady

    def answers_at(self, moment: datetime) -> bool:
        return not any(one.start <= moment < one.end and one.kind != "slow" for one in self.outages)

    def ask(self, inquiry: Inquiry, now: datetime) -> tuple[float, Outcome]:
        """How many seconds the reply takes, and what it is."""
        outage = next((one for one in self.outages if one.start <= now < one.end), None)
        if outage is not None and outage.kind != "slow":
            return self._refuse(inquiry, outage.kind)
        if not self._steady and self._random.random() < 0.01:
            kind: TroubleKind = self._random.choice(["silent", "failing"])
            return self._refuse(inquiry, kind)
        # A slow reply beyond the gateway's deadline stands for a recorder that was held up: the lease is over by then.
        seconds = self._random.uniform(5, 45) if outage is not None else self._random.uniform(0.05, 0.6)
        return seconds, self._answer(inquiry, now + timedelta(seconds=seconds * self._random.random()))

    def _refuse(self, inquiry: Inquiry, kind: TroubleKind) -> tuple[float, Outcome]:
        match kind:
            case "silent":
                seconds, trouble = DEADLINE_SECONDS, Inconclusive(trouble=Trouble.NO_REPLY, detail="silent")
            case "limiting":
                asked = self._random.choice([None, 3.0, 20.0, 90.0])
                seconds = 0.1
                trouble = Inconclusive(trouble=Trouble.RATE_LIMITED, detail="429", retry_after=asked)
            case "revoked":
                seconds, trouble = 0.1, Inconclusive(trouble=Trouble.KEY_REFUSED, detail="401")
            case _:
                seconds, trouble = 0.3, Inconclusive(trouble=Trouble.SERVER_ERROR, detail="503")
        if inquiry.question.kind is QuestionKind.EXECUTE:
            if kind == "silent":
                self._capture(inquiry, inquiry.asked_at + timedelta(seconds=1))  # the money is taken, the reply is lost
            return seconds, Executed(reply="none", then=trouble)
        return seconds, trouble

    def _answer(self, inquiry: Inquiry, looked_at: datetime) -> Outcome:
        truth = self.truths[inquiry.expected.payment_id]
        if inquiry.question.kind is QuestionKind.EXECUTE:
            before = truth.state(looked_at)
            done = before is not None and before.status is Status.COMPLETED
            taken = not done and self._capture(inquiry, looked_at)
            then = self._word(inquiry.question, inquiry.expected, truth.state(looked_at))
            if not isinstance(then, Answer | Inconclusive):
                raise TypeError(then)
            return Executed(reply="settled" if done else "completed" if taken else "refused", then=then)
        transaction = inquiry.question.transaction_id
        if transaction is not None and truth.state(looked_at, transaction) is None:
            elsewhere = any(
                one.transaction == transaction and one.at <= looked_at
                for other in self.truths.values()
                for one in other.states
            )
            return Stranger(why="other_payment" if elsewhere else "not_found")
        return self._word(inquiry.question, inquiry.expected, truth.state(looked_at, transaction))

    def _capture(self, inquiry: Inquiry, at: datetime) -> bool:
        truth = self.truths[inquiry.expected.payment_id]
        state = truth.state(at)
        if truth.approved_at is None or at < truth.approved_at or state is None or state.status is not Status.PENDING:
            return False
        transaction = f"TX-{inquiry.expected.payment_id[-6:]}"
        truth.states = [one for one in truth.states if one.at <= at]
        truth.states.append(State(at=at, status=Status.COMPLETED, transaction=transaction))
        return True

    def _word(self, asked: Question, expected: Expected, state: State | None) -> Outcome:
        """The answer in the shape that this account's capabilities declare."""
        if state is None or state.status == UNKNOWN:
            return Inconclusive(trouble=Trouble.NOT_FOUND, detail="404")
        capabilities = self.account.provider.capabilities
        status = None if state.status == ODD else Status(state.status)
        paid = status is not None and status.paid
        if status is Status.REFUNDED and not capabilities.shows_refunds:
            status = Status.COMPLETED
        money = "amount" in capabilities.always
        echoed = "session_id" in capabilities.always
        return Answer(
            status=status,
            word=str(state.status).upper(),
            session_id=expected.session_id if echoed else None,
            reference=expected.reference,
            transaction_id=asked.transaction_id or (state.transaction if paid else None),
            amount=(state.amount or expected.amount) if money else None,
            currency=expected.currency,
            refunded_amount=state.refunded if paid and capabilities.shows_refunds else None,
        )
