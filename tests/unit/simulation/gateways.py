"""The gateways of the simulation: real bytes of what is true, and every disturbance between a gateway and us.

A reply says what was true while the gateway looked, not when the reply is recorded. The simulation knows whether the
gateway's own answer was sent (`spoke`); our readers decide what they make of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

from consumers.account import Account
from consumers.pipeline import AssignedQuestion
from consumers.ports.effects import Effect, HttpReply, HttpRequest, NoReply, Token
from consumers.ports.openings import CallbackUrls, Opening, OpeningOutcome
from consumers.timing import TIMING
from schemas.answers import Executed, Inconclusive, QuestionOutcome, Trouble
from schemas.payments import Payment
from schemas.words import QuestionKind, Status
from tests.unit.simulation.accounts import SKEWS
from tests.unit.simulation.dressing import JSON, PROXIES, proxied
from tests.unit.simulation.newer_wires import NEWER_WIRES
from tests.unit.simulation.truth import State, Truth, lag
from tests.unit.simulation.wires import WIRES, Asks, OnePayBDWire

DEADLINE_SECONDS = 10.0
SECOND = timedelta(seconds=1)

TroubleKind = Literal["silent", "failing", "limiting", "revoked", "slow", "proxy", "amnesia"]


class Outage(Struct, frozen=True, kw_only=True):
    """The time in which an account's questions are not answered properly, and how they are answered.

    `form` is which of `dressing.PROXIES` answers, for an outage of that kind.
    """

    start: datetime
    end: datetime
    kind: TroubleKind
    form: int = 0


class Told(Struct, kw_only=True):
    """The result of one question.

    `spoke`: the gateway's own answer was sent, and `state` is what it showed. `paid`: every paid state in it.
    `about` is the payment that it spoke of; an id that only a claim named may belong to another payment. `unknown`: the
    gateway said that it knows no such payment. `stale_token`: it demanded a new token first, which the worker can get.
    """

    seconds: float
    outcome: QuestionOutcome
    calls: int = 1
    spoke: bool = False
    state: State | None = None
    about: str | None = None
    unknown: bool = False
    paid: list[State] = []
    stale_token: bool = False
    looked_at: datetime


class SimulatedGateway:
    """One account's gateway. `ask` is called when the question arrives; the reply comes after `seconds`."""

    def __init__(self, account: Account, seed: int, *, steady: bool, quick: bool = False) -> None:
        self.account = account
        self.truths: dict[str, Truth] = {}
        self.outages: list[Outage] = []
        self.scripted: list[TroubleKind | None] = []
        """The outcomes of the next questions, one after the other, before normal answers resume."""
        self.wire = (WIRES | NEWER_WIRES)[account.provider.name]
        self.on_capture: Callable[[Truth, State], None] | None = None
        """Called when an Execute of ours took the money."""
        self._by: dict[tuple[str, str], Truth] = {}
        self._random = random.Random(f"{seed}/{account.id}")
        self._steady, self._quick = steady, quick
        self._token: str | None = None
        self._valid = "token-0"

    def register(self, truth: Truth) -> None:
        """From now on the gateway knows this checkout: by its reference always, by its session once it has one."""
        self.truths[truth.payment_id] = truth
        self._by["reference", truth.reference] = truth
        if truth.session_id is not None:
            self._by["session", truth.session_id] = truth

    def register_transaction(self, transaction: str, truth: Truth) -> None:
        self._by["transaction", transaction] = truth

    def answers_at(self, moment: datetime) -> bool:
        return not any(one.start <= moment < one.end and one.kind != "slow" for one in self.outages)

    # -- opening -------------------------------------------------------------------------------------------------------

    def open(self, payment: Payment, truth: Truth, public_url: str) -> OpeningOutcome:
        ends_at = payment.expires_at + SKEWS.get(self.account.id, timedelta(0))
        urls = CallbackUrls(
            **{name: f"{public_url}/{name}" for name in ("back", "success", "failure", "cancel", "ipn")}
        )
        opening = Opening(
            payment_id=payment.id,
            reference=payment.reference,
            amount=payment.amount,
            currency=payment.currency,
            description="A thing",
            urls=urls,
        )
        running = self.account.provider.open(opening)
        outcome: OpeningOutcome = self._run(running, lambda _: self.wire.created(truth, ends_at))[0]
        return outcome

    # -- asking --------------------------------------------------------------------------------------------------------

    def ask(self, assigned: AssignedQuestion, now: datetime, held_up: timedelta = timedelta(0)) -> Told:
        """The outcome of a question asked now; its worker was `held_up` since its lease began."""
        executes = assigned.question.kind is QuestionKind.EXECUTE
        if executes and held_up > TIMING.execute_begins_within:
            trouble = Inconclusive(trouble=Trouble.NO_REPLY, detail="too late to be sent")
            outcome = Executed(reply="not_sent", then=trouble)
            return Told(seconds=0.0, outcome=outcome, calls=0, looked_at=now)
        left = (TIMING.deadline(assigned.question.kind) - held_up).total_seconds()
        if left <= 0:
            nothing = Inconclusive(trouble=Trouble.NO_REPLY, detail="no time is left")
            return Told(seconds=0.0, outcome=nothing, calls=0, looked_at=now)
        outage = next((one for one in self.outages if one.start <= now < one.end), None)
        kind: TroubleKind | None = outage.kind if outage is not None else None
        if self.scripted:
            kind = self.scripted.pop(0)
        elif kind is None and not self._steady and self._random.random() < 0.02:
            kind = self._random.choice(["silent", "failing", "proxy", "slow"])
        form = outage.form if outage is not None else self._random.randrange(len(PROXIES))
        return self._told(assigned, now, kind, left, form)

    def _told(
        self, assigned: AssignedQuestion, now: datetime, kind: TroubleKind | None, left: float, form: int
    ) -> Told:
        seconds = self._seconds(kind)
        told = Told(
            seconds=min(seconds, left), outcome=_NOTHING, looked_at=now + seconds * SECOND * self._random.random()
        )

        def serve(request: HttpRequest) -> HttpReply:
            asks = self.wire.asks(request)
            truth = self._by.get((asks.by, asks.id))
            if truth is not None and truth.hangs is not None and truth.hangs[0] <= now < truth.hangs[1]:
                if asks.executes and self._random.random() < 0.3:
                    self._capture(asks, now + SECOND)
                told.seconds = min(DEADLINE_SECONDS, left)
                raise NoReply("it hangs")
            if kind in ("silent", "failing", "limiting", "revoked", "proxy"):
                lost = kind == "silent" or (kind in ("failing", "proxy") and self._random.random() < 0.3)
                if asks.executes and lost:
                    self._capture(asks, now + SECOND)  # the money is taken, the reply is lost
                return proxied(form) if kind == "proxy" else self._refuse(kind)
            stale = self._stale(request, now)
            if stale is not None:
                told.stale_token = True
                return stale
            if kind == "amnesia":
                told.spoke = told.unknown = True
                return self.wire.unknown(asks)
            answer = self._answer(asks, told)
            if seconds > left:
                raise NoReply("no reply in time")
            return answer

        told.outcome, told.calls = self._run(self.account.provider.ask(assigned.question, assigned.expected), serve)
        if kind not in (None, "slow", "amnesia") or seconds > left:
            told.spoke = False
        return told

    def _seconds(self, kind: TroubleKind | None) -> float:
        match kind:
            case "silent":
                return DEADLINE_SECONDS
            case "limiting" | "revoked" | "failing" | "proxy":
                return 0.3
            case "slow":
                # A delay beyond the gateway's deadline stands for a recorder that was held up: the lease is over by
                # then.
                return self._random.uniform(5, 24)
            case _:
                return self._random.uniform(0.05, 0.6) if self._quick else 0.2 + 4.8 * self._random.random() ** 3

    def _run(self, running: Any, serve: Any) -> tuple[Any, int]:
        """Run a gateway's generator on replies of `serve`. Returns its result and the number of requests."""
        calls = 0
        try:
            effect: Effect = next(running)
            while True:
                if not isinstance(effect, HttpRequest):
                    if self._token is None or effect.stale == self._token:
                        self._token = self._granted()
                    effect = running.send(self._token)
                    continue
                calls += 1
                try:
                    served = serve(effect)
                except NoReply as error:
                    effect = running.throw(error)
                else:
                    effect = running.send(served)
        except StopIteration as stop:
            return stop.value, calls

    def _granted(self) -> str:
        """The text of a token that the gateway grants now."""
        provider: Any = self.account.provider
        granted, _ = self._run(provider.grant(), lambda _: self.wire.granted(self._valid))
        assert isinstance(granted, Token)
        return granted.text

    def _stale(self, request: HttpRequest, now: datetime) -> HttpReply | None:
        """The refusal of yesterday's token."""
        sent, scheme = dict(request.headers).get("authorization", ""), self.wire.SCHEME
        if scheme is None:
            return None
        self._valid = f"token-{now:%j}"
        return None if sent == f"{scheme}{self._valid}" else self.wire.stale(now.day)

    def _refuse(self, kind: TroubleKind) -> HttpReply:
        match kind:
            case "silent":
                raise NoReply("silent")
            case "limiting":
                wait = self._random.choice([None, "3", "20", "90"])
                headers = {"content-type": JSON} | ({"retry-after": wait} if wait else {})
                return HttpReply(status=429, headers=headers, body=b"{}")
            case "revoked":
                return self.wire.key_refused()
            case _:
                return HttpReply(status=503, headers={}, body=b"")

    def _answer(self, asks: Asks, told: Told) -> HttpReply:
        told.spoke = True
        if asks.executes:
            return self._execute(asks, told)
        truth = self._by.get((asks.by, asks.id))
        moment = told.looked_at
        transaction = asks.id if asks.by == "transaction" else None
        known = truth is not None and truth.session_id is not None
        if truth is not None and known and truth.known_at is not None and moment < truth.known_at:
            known = asks.by != "transaction" and self._random.random() < 0.3
        told.state = truth.shown(moment, self._random, transaction) if truth is not None and known else None
        told.about = truth.payment_id if truth is not None else None
        known = known and truth is not None and self.wire.knows(truth, told.state)
        if truth is None or not known or (transaction is not None and told.state is None):
            told.state = None
            told.unknown = True
            return self.wire.unknown(asks)
        told.paid = self.wire.shown_beside(truth, told.state)
        return self.wire.told(truth, told.state, asks, moment)

    def _execute(self, asks: Asks, told: Told) -> HttpReply:
        wire, truth = self.wire, self._by.get((asks.by, asks.id))
        assert isinstance(wire, OnePayBDWire)
        if truth is None:
            return wire.unknown(asks)
        if truth.captured or any(one.paid for one in truth.states):
            return wire.refused("2062")
        taken = self._capture(asks, told.looked_at)
        if taken is None:
            return wire.refused("2056")
        told.state, told.about, told.paid = taken, truth.payment_id, [taken]
        return wire.told(truth, taken, asks, told.looked_at)

    def _capture(self, asks: Asks, at: datetime) -> State | None:
        """Take the money, if the buyer approved; Query may show it a little later than Execute's own reply does."""
        truth = self._by[asks.by, asks.id]
        if truth.approved_at is None or at < truth.approved_at or truth.captured:
            return None
        if any(one.at <= at and one.status is not Status.PENDING for one in truth.states):
            return None
        truth.captured = [*truth.captured, at]
        truth.states = [one for one in truth.states if one.at <= at]
        seen_at = at + lag(self._random, timedelta(seconds=50))
        state = State(at=at, seen_at=seen_at, status=Status.COMPLETED, transaction=f"TRX{truth.payment_id[-8:]}")
        truth.becomes(state)
        if self.on_capture is not None:
            self.on_capture(truth, state)
        return state


_NOTHING = Inconclusive(trouble=Trouble.NO_REPLY, detail="nothing")
