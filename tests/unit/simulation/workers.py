"""The processes of the simulation: a queue of claims, workers that take and ask and record, and the sweep.

Only moments are simulated here. The real stages decide what a claim makes due, which worker may ask and what a reply
leads to. The limits and shares are those of `worker/verify/consume.py`, the sweep's portion that of
`worker/postgres/queue/due.py`.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from msgspec.structs import replace

from consumers.account import Account
from consumers.checks.limits import breaker_open
from consumers.commands.open_payment import OpeningFailed, open_payment, track_payment
from consumers.pipeline import AssignedQuestion, take_claims
from consumers.ports.call_limits import AccountLimits
from consumers.ports.openings import OpeningOutcome
from consumers.ports.reply import Reply
from consumers.record_replies import record_replies
from consumers.rules import Rules
from schemas.answers import Inconclusive, Trouble
from schemas.callbacks import Callback, Claim
from schemas.payments import Payment
from schemas.words import Authenticity, QuestionKind, Source
from tests.fakes.clock import FakeClock
from tests.fakes.drive import at_once
from tests.fakes.ledger import FakeLedger
from tests.unit.simulation.agenda import Agenda
from tests.unit.simulation.gateways import SimulatedGateway
from tests.unit.simulation.journal import Asked, Heard, Journal
from tests.unit.simulation.mortal import Killed, Mortality, MortalLedger, MortalTurns
from tests.unit.simulation.senders import heard
from tests.unit.simulation.truth import Truth
from worker.postgres.queue.due import MOST_WAITING, PROBING, SWEPT_SECONDS, sweep_bucket
from worker.verify.concurrency import MAX_CONCURRENT
from worker.verify.record import BATCH
from worker.verify.sweep import LOOK_AGAIN

TAKING_SECONDS, RECORDING_SECONDS = 0.004, 0.005
WAITING_SECONDS, AGAIN_SECONDS = 1.0, 0.25
"""How long a claim waits for another worker's question, and how often it is looked at meanwhile."""

STARTED_AGAIN_SECONDS = 1.0
"""How long after a worker's death another worker has its unacknowledged claims."""

DEATHS = 0.004  # this share of questions: the worker dies before it records
DEADLY = 0.0006  # share of the awaits on the ledger at which the worker dies
RACED, RACE_SECONDS = 0.1, 0.02  # this share of awaits on the ledger: others run first
HELD_UP = 0.02  # this share of questions is asked late; Executes eight times it


class System:
    """One installation: a ledger, some workers, one sweep. `deaths` and `deadly` are how often a worker dies."""

    def __init__(
        self,
        accounts: Sequence[Account],
        rules: Rules,
        seed: int,
        *,
        workers: int,
        deaths: float = DEATHS,
        deadly: float = DEADLY,
        held_up: float = HELD_UP,
        raced: float = RACED,
    ) -> None:
        self.clock = FakeClock()
        self.agenda = Agenda(self.clock)
        self.ledger = FakeLedger(self.clock)
        self.rules = rules
        self.journal = Journal()
        self.random = random.Random(seed)
        draw = random.Random(f"{seed}/mortal")
        self.mortality = Mortality(draw, deadly, raced, lambda: self.agenda.step(RACE_SECONDS))
        self.turns = dict[str, datetime]()
        self.deaths, self.held_up = deaths, held_up
        self.gateways: dict[str, SimulatedGateway] = {}
        self.queues = defaultdict[str, deque[tuple[datetime, Claim]]](deque)
        """By gateway: each has a limit of its own, so that its outage leaves the others flowing."""
        self.workers = [Worker(self) for _ in range(workers)]
        self.sweep = Sweep(self, accounts)
        self._claims = self._kept = 0

    # -- what shops do -------------------------------------------------------------------------------------------------

    def open(self, truth: Truth, *, lifetime: timedelta, order: str | None = None, lost: bool = False) -> Payment:
        """Open a checkout through the real stage and the gateway's real reply; `lost`: the reply never comes."""
        gateway = self.gateways[truth.account]
        payment = self._row(truth, lifetime, order)

        async def call(_: Payment) -> OpeningOutcome:
            if lost:
                return Inconclusive(trouble=Trouble.NO_REPLY, detail="silent")
            return gateway.open(payment, truth, self.rules.public_url)

        with suppress(OpeningFailed):
            at_once(open_payment(self.ledger, self.rules, payment, {"reference": payment.reference}, call))
        self._registered(payment)
        return self.ledger.payment(payment.id)

    def track(self, truth: Truth, *, lifetime: timedelta, order: str | None = None) -> Payment:
        """Track a payment that the shop opened by itself at the gateway."""
        payment = self._row(truth, lifetime, order)
        wanted = replace(payment, session_id=truth.session_id)
        at_once(track_payment(self.ledger, self.rules, wanted, {"reference": payment.reference}))
        self._registered(payment)
        return self.ledger.payment(payment.id)

    def _registered(self, payment: Payment) -> None:
        """The early claims that were kept for it enter the queue with its row."""
        kept = self.ledger.heard[self._kept :]
        self._kept += len(kept)
        self.looked_at([payment.id])
        self.publish(kept)

    def _row(self, truth: Truth, lifetime: timedelta, order: str | None) -> Payment:
        account, now = self.rules.accounts[truth.account], self.clock.now
        return Payment(
            id=truth.payment_id,
            merchant=account.merchant,
            account=account.id,
            provider=account.provider.name,
            reference=truth.reference,
            order_ref=order,
            amount=truth.amount,
            currency="BDT",
            opened_at=now,
            expires_at=now + lifetime,
        )

    # -- what comes in -------------------------------------------------------------------------------------------------

    def call_back(self, callback: Callback, about: Heard) -> bool:
        """A request to a public endpoint, now.

        Returns whether it was acknowledged, which is when its claim is durable.
        """
        account = self.rules.accounts[callback.account]
        callback = replace(callback, received_at=self.clock.now)
        claim = heard(account, callback)
        home = callback.payment_id
        unknown = callback.source is Source.IPN and home is not None and self.ledger.case(home) is None
        acknowledged = claim is not None and not unknown
        about = replace(about, at=self.clock.now, acknowledged=acknowledged)
        self.journal.heard[about.payment_id].append(about)
        if claim is not None and acknowledged:
            self._claims += 1
            self.publish([replace(claim, id=f"claim-{self._claims}")])
        return acknowledged

    def publish(self, claims: Iterable[Claim]) -> None:
        claims = list(claims)
        for claim in claims:
            self.queues[claim.provider].append((self.clock.now, claim))
        for provider in sorted({claim.provider for claim in claims}):
            for worker in self.workers:
                worker.wake(provider)

    def claim(self, payment_id: str, source: Source, *, signed: bool = False, **fields: str | None) -> Claim:
        self._claims += 1
        payment = self.ledger.payment(payment_id)
        return Claim(
            id=f"claim-{self._claims}",
            account=payment.account,
            provider=payment.provider,
            source=source,
            authenticity=Authenticity.SIGNED if signed else Authenticity.UNSIGNED,
            received_at=self.clock.now,
            payment_id=payment_id,
            **fields,  # type: ignore[arg-type]
        )

    def looked_at(self, payment_ids: Iterable[str]) -> None:
        """Payments were written: the sweep learns when they are due, the journal what they are."""
        for payment_id in payment_ids:
            payment = self.ledger.payment(payment_id)
            self.journal.saw(payment, self.clock.now)
            if payment.next_check_at is not None:
                self.sweep.hear(payment.account, payment_id, payment.next_check_at)


class Worker:
    """One process. It takes as many claims as its limit allows, asks, and records replies together.

    `_hand` are the claims that it has not acknowledged yet: those being asked about, and those that wait for another
    worker's question.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._used = Counter[str]()
        self._life = 0
        self._awake = set[str]()
        self._shares = dict.fromkeys(system.rules.accounts, MAX_CONCURRENT * 3 // 4)
        self._begins()

    def _begins(self) -> None:
        """Start with nothing in memory."""
        self._turns = MortalTurns(self._system.clock, self._system.turns, self._live)
        self._known = dict[str, AccountLimits]()
        self._hand = dict[str, Claim]()
        self._asking: list[Asked] = []
        self._replies: list[tuple[AssignedQuestion, Reply]] = []
        self._recording = False
        self._used.clear()

    def _live(self) -> None:
        """An await: the process may die at it, also while others run in between."""
        life = self._life
        self._system.mortality.live()
        if life != self._life:
            raise Killed

    def _mortal_ledger(self) -> MortalLedger:
        return MortalLedger(self._system.ledger, self._live, self._system.mortality.alone)

    def wake(self, provider: str) -> None:
        if provider not in self._awake and self._system.queues[provider] and self._free(provider) > 0:
            self._awake.add(provider)
            self._system.agenda.after(TAKING_SECONDS, lambda: self._take(provider))

    def _free(self, provider: str) -> int:
        accounts = self._system.rules.accounts
        return MAX_CONCURRENT - sum(
            used for name, used in self._used.items() if accounts[name].provider.name == provider
        )

    def _take(self, provider: str) -> None:
        self._awake.discard(provider)
        system, queue = self._system, self._system.queues[provider]
        taken = [queue.popleft() for _ in range(min(self._free(provider), len(queue)))]
        if not taken:
            return
        system.journal.carried(taken, system.clock.now)
        self._look([claim for _, claim in taken], system.clock.now)
        self.wake(provider)

    def _look(self, claims: Sequence[Claim], since: datetime) -> None:
        """Look at claims that this worker has had in hand since then."""
        system, now = self._system, self._system.clock.now
        self._hand |= {claim.id: claim for claim in claims}
        room = {account: share - self._used[account] for account, share in self._shares.items()}
        patient = now - since < timedelta(seconds=WAITING_SECONDS)
        homes = set(at_once(system.ledger.find(claims)).values())
        before = {payment_id: system.ledger.payment(payment_id) for payment_id in homes}
        ledger, life = self._mortal_ledger(), self._life
        taking = take_claims(
            ledger, system.rules, claims, self._turns, room, patient=patient, limits_by_account=self._known
        )
        try:
            taken = at_once(taking)
        except Killed:
            self._died_taking(homes)
            self._die(life)
            return
        asked = {one.expected.payment_id for one in taken.questions}
        for payment_id in homes - asked:
            after = system.ledger.payment(payment_id)
            if after.not_before not in (None, before[payment_id].not_before):
                system.journal.postponed(after, system.ledger.limits_of(after.account), now)
        system.looked_at(homes)
        kept = {claim.id for assigned in taken.questions for claim in assigned.claims}
        waiting = {claim.id: claim for claim in taken.waiting}
        for claim in claims:
            if claim.id not in kept | waiting.keys():
                del self._hand[claim.id]
        for assigned in taken.questions:
            self._begin(assigned)
        if waiting:
            self._later(AGAIN_SECONDS, lambda: self._look([*waiting.values()], since if patient else now))

    def _died_taking(self, homes: Iterable[str]) -> None:
        """Note that the worker died while it took claims about these payments.

        Unwritten claims come again. After an Execute that was written, Query comes.
        """
        system = self._system
        now = system.clock.now
        for payment_id in homes:
            system.journal.lost[payment_id].append((now, now + timedelta(seconds=STARTED_AGAIN_SECONDS)))
        system.looked_at(homes)

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do this after so many seconds, if the process lives."""
        life = self._life
        self._system.agenda.after(seconds, lambda: what() if life == self._life else None)

    def _begin(self, assigned: AssignedQuestion) -> None:
        """Ask now, or after the worker was held up."""
        system = self._system
        self._used[assigned.account.id] += 1
        asked = system.journal.asks(assigned, system.ledger.limits_of(assigned.account.id))
        self._asking.append(asked)
        held_up = 0.0
        executes = assigned.question.kind is QuestionKind.EXECUTE
        if system.random.random() < system.held_up * (8 if executes else 1):
            held_up = system.random.choice([1.0, 4.0, 8.0, 45.0]) * system.random.random()
        self._later(held_up, lambda: self._ask(assigned, asked))

    def _ask(self, assigned: AssignedQuestion, asked: Asked) -> None:
        system = self._system
        account = assigned.account.id
        now = system.clock.now
        told = system.gateways[account].ask(assigned, now, now - assigned.asked_at)
        asked.told, asked.sent_at = told, now

        def answered() -> None:
            self._used[account] -= 1
            reply = Reply(
                payment_id=assigned.expected.payment_id,
                question=assigned.question,
                asked_at=assigned.asked_at,
                answered_at=system.clock.now,
                outcome=told.outcome,
                calls=told.calls,
            )
            self._replies.append((assigned, reply))
            if not self._recording:
                self._recording = True
                self._later(RECORDING_SECONDS, self._record)
            self.wake(assigned.account.provider.name)

        if system.random.random() < system.deaths:
            life = self._life
            system.agenda.after(told.seconds * system.random.random(), lambda: self._die(life))
        self._later(told.seconds, answered)

    def _record(self) -> None:
        self._recording = False
        system, pairs = self._system, self._replies[:BATCH]
        self._replies = self._replies[BATCH:]
        ledger, life = self._mortal_ledger(), self._life
        homes = {reply.payment_id for _, reply in pairs}
        try:
            at_once(record_replies(ledger, system.rules, pairs, system.clock.now, self._known))
        except Killed:
            left = Counter(ledger.written)  # several replies about one payment are written in order
            done = list[Reply]()
            for _, reply in pairs:
                left[reply.payment_id] -= 1
                if left[reply.payment_id] >= 0:
                    done.append(reply)
            system.journal.recorded(done, system.clock.now)
            system.looked_at(homes)
            self._die(life)
            return
        system.journal.recorded([reply for _, reply in pairs], system.clock.now)
        system.looked_at(homes)
        self._turns.give_back(homes)
        for assigned, _ in pairs:
            for claim in assigned.claims:
                self._hand.pop(claim.id, None)
        self._asking = [one for one in self._asking if one.recorded_at is None]
        if self._replies:
            self._recording = True
            self._later(RECORDING_SECONDS, self._record)

    def _die(self, life: int) -> None:
        """All that it had in memory is lost; another worker takes its place, and gets its unacknowledged claims."""
        if life != self._life:
            return
        self._life += 1
        system = self._system
        for one in self._asking:
            one.died_at = system.clock.now if one.recorded_at is None else None
        unheard = [*self._hand.values()]
        self._turns.die()
        self._begins()
        system.journal.deaths.append(system.clock.now)
        if unheard:
            system.agenda.after(STARTED_AGAIN_SECONDS, lambda: system.publish(unheard))
        for provider in sorted(system.queues):
            self.wake(provider)


class Sweep:
    """A due payment becomes a claim, within three quarters of the account's budget; see `postgres/queue/due.py`."""

    def __init__(self, system: System, accounts: Sequence[Account]) -> None:
        self._system = system
        self._providers = {account.id: account.provider.name for account in accounts}
        self._rates: Mapping[str, float | None] = {account.id: account.calls_per_second for account in accounts}
        self._due: dict[str, list[tuple[datetime, str]]] = {account.id: [] for account in accounts}
        self._heard_at = dict[str, datetime]()
        self._calls = {account: sweep_bucket(rate).burst for account, rate in self._rates.items() if rate is not None}
        self._refilled_at = dict.fromkeys(self._rates, system.clock.now)
        self._wakes_at: datetime | None = None
        self._looked_in_vain = 0

    def hear(self, account: str, payment_id: str, due_at: datetime) -> None:
        heapq.heappush(self._due[account], (due_at, payment_id))
        self._heard_at[payment_id] = self._system.clock.now
        self._wake_at(due_at)

    def _wake_at(self, moment: datetime) -> None:
        moment = max(moment, self._system.clock.now)
        if self._wakes_at is None or moment < self._wakes_at:
            self._wakes_at = moment
            self._system.agenda.at(moment, lambda: self._run(moment))

    def _run(self, moment: datetime) -> None:
        if moment != self._wakes_at:
            return  # an earlier timer has run
        self._wakes_at = None
        now = self._system.clock.now
        for account in self._due:
            if len(self._system.queues[self._providers[account]]) < MOST_WAITING:
                self._take(account, now)
        due_at = min((heap[0][0] for heap in map(self._known, self._due.values()) if heap), default=None)
        if due_at is None:
            return
        overdue = due_at <= now
        self._looked_in_vain = self._looked_in_vain + 1 if overdue else 0
        self._wake_at(max(due_at, now + LOOK_AGAIN.pause(self._looked_in_vain)))

    def _take(self, account: str, now: datetime) -> None:
        heap, most = self._due[account], BATCH
        if not self._known(heap) or heap[0][0] > now:
            return
        account_limits = self._system.ledger.limits_of(account)
        if breaker_open(account_limits):
            shut = account_limits.shut_until is not None and account_limits.shut_until > now
            most = 0 if shut else PROBING
        rate = self._rates[account]
        if rate is not None:
            seconds = (now - self._refilled_at[account]).total_seconds()
            self._calls[account] = sweep_bucket(rate).refill(self._calls[account], seconds)
            self._refilled_at[account] = now
            most = min(most, int(self._calls[account]))
        taken = list[str]()
        while self._known(heap) and heap[0][0] <= now and len(taken) < most:
            due_at, payment_id = heapq.heappop(heap)
            self._system.journal.swept(account, now - max(due_at, self._heard_at[payment_id]))
            taken.append(payment_id)
            again_at = now + timedelta(seconds=SWEPT_SECONDS + 5 * self._system.random.random())
            self._system.ledger.swept([payment_id], again_at)
            heapq.heappush(heap, (again_at, payment_id))
        if rate is not None:
            self._calls[account] -= len(taken)
        self._system.publish(self._system.claim(payment_id, Source.SWEEP) for payment_id in taken)

    def _known(self, heap: list[tuple[datetime, str]]) -> list[tuple[datetime, str]]:
        """The heap without payments at its top that were postponed or ended since."""
        while heap and self._system.ledger.payment(heap[0][1]).next_check_at != heap[0][0]:
            heapq.heappop(heap)
        return heap
