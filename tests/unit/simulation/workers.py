"""The processes of the simulation: a queue of claims, workers that take and ask and record, and the sweep.

The one thing to get wrong: only moments are simulated here. What a claim makes due, who may ask and what a reply comes
to are decided by the real stages; the slots and shares are those of `worker/consume.py`, the sweep's portion that of
`worker/postgres/due.py`.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from consumers.account import Account
from consumers.allowance import silent
from consumers.answering import Reply
from consumers.gateway import Opened, OpeningOutcome
from consumers.opening import OpeningFailed, open_payment
from consumers.pipeline import Inquiry, record, take
from consumers.rules import Rules
from schemas.answers import Inconclusive, Trouble
from schemas.callbacks import Claim
from schemas.payments import Payment
from schemas.words import Authenticity, Source
from tests.fakes.clock import FakeClock
from tests.fakes.drive import AMOUNT, at_once
from tests.fakes.ledger import FakeLedger
from tests.fakes.providers import LIFETIME
from tests.unit.simulation.agenda import Agenda
from tests.unit.simulation.gateways import SimulatedGateway
from tests.unit.simulation.journal import Journal
from worker.postgres.due import BURST_SECONDS, MOST_WAITING, PROBING, SHARE, SWEPT_SECONDS
from worker.recording import BATCH
from worker.slots import SLOTS

TAKING_SECONDS, RECORDING_SECONDS = 0.004, 0.005
BUS_LEASE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 1.0
DEATHS = 0.004  # of the questions are asked by a worker that dies before it records them


class System:
    """One installation: a ledger, some workers, one sweep."""

    def __init__(
        self, accounts: Sequence[Account], rules: Rules, seed: int, *, workers: int, deaths: float = DEATHS
    ) -> None:
        self.clock = FakeClock()
        self.agenda = Agenda(self.clock)
        self.ledger = FakeLedger(self.clock)
        self.rules = rules
        self.journal = Journal()
        self.random = random.Random(seed)
        self.deaths = deaths
        self.gateways: dict[str, SimulatedGateway] = {}
        self.queue: deque[tuple[datetime, Claim]] = deque()
        self.workers = [Worker(self) for _ in range(workers)]
        self.sweep = Sweep(self, accounts)
        self._claims = 0

    async def open(
        self,
        account: Account,
        payment_id: str,
        *,
        lifetime: timedelta = LIFETIME,
        order: str | None = None,
        lost: bool = False,
    ) -> Payment:
        """Open a checkout through the real stage; `lost`: the gateway's reply never comes."""
        now = self.clock.now
        payment = Payment(
            id=payment_id,
            merchant=account.merchant,
            account=account.id,
            provider=account.provider.name,
            reference=f"order-{payment_id}",
            order_ref=order,
            amount=AMOUNT,
            currency="BDT",
            opened_at=now,
            expires_at=now + lifetime,
        )

        async def call(_: Payment) -> OpeningOutcome:
            if lost:
                return Inconclusive(trouble=Trouble.NO_REPLY, detail="silent")
            return Opened(session_id=f"S-{payment_id}", checkout_url="https://gateway.example/pay")

        with suppress(OpeningFailed):
            await open_payment(self.ledger, self.rules, payment, {"reference": payment.reference}, call)
        self.looked_at([payment_id])
        return self.ledger.payment(payment_id)

    def publish(self, claims: Iterable[Claim]) -> None:
        self.queue.extend((self.clock.now, claim) for claim in claims)
        self.wake()

    def wake(self) -> None:
        for worker in self.workers:
            worker.wake()

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
        """Payments were written: the sweep hears when they are due, the journal how they stand."""
        for payment_id in payment_ids:
            payment = self.ledger.payment(payment_id)
            self.journal.saw(payment, self.clock.now)
            if payment.next_check_at is not None:
                self.sweep.hear(payment.account, payment_id, payment.next_check_at)


class Worker:
    """One process. It takes as many claims as it has slots, asks, and records what has come together."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._used = Counter[str]()
        self._life = 0
        self._awake = False
        self._replies: list[Reply] = []
        self._recording = False
        self._shares = dict.fromkeys(system.rules.accounts, SLOTS * 3 // 4)

    def wake(self) -> None:
        if not self._awake and self._system.queue and self._used.total() < SLOTS:
            self._awake = True
            self._system.agenda.after(TAKING_SECONDS, self._take)

    def _take(self) -> None:
        self._awake = False
        system = self._system
        free = SLOTS - self._used.total()
        taken = [system.queue.popleft() for _ in range(min(free, len(system.queue)))]
        if not taken:
            return
        now = system.clock.now
        system.journal.carried(taken, now)
        claims = [claim for _, claim in taken]
        room = {account: share - self._used[account] for account, share in self._shares.items()}
        homes = {claim.payment_id for claim in claims if claim.payment_id is not None}
        before = {payment_id: system.ledger.payment(payment_id) for payment_id in homes}
        inquiries = at_once(take(system.ledger, system.rules, claims, room))
        after = {payment_id: system.ledger.payment(payment_id) for payment_id in homes}
        for payment_id in homes - {one.expected.payment_id for one in inquiries}:
            if after[payment_id].not_before not in (None, before[payment_id].not_before):
                system.journal.turned_away(after[payment_id], system.ledger.allowance(after[payment_id].account), now)
        system.looked_at(homes)
        for inquiry in inquiries:
            self._ask(inquiry)
        self.wake()

    def _ask(self, inquiry: Inquiry) -> None:
        system = self._system
        account = inquiry.account.id
        self._used[account] += 1
        seconds, outcome = system.gateways[account].ask(inquiry, system.clock.now)
        asked = system.journal.asks(inquiry, system.ledger.allowance(account))
        calls = 2 if system.random.random() < 0.05 else 1
        life = self._life

        def answered() -> None:
            if life != self._life:
                return
            self._used[account] -= 1
            self._replies.append(
                Reply(
                    payment_id=inquiry.expected.payment_id,
                    question=inquiry.question,
                    asked_at=inquiry.asked_at,
                    answered_at=system.clock.now,
                    outcome=outcome,
                    calls=calls,
                )
            )
            asked.answered_at = system.clock.now
            if not self._recording:
                self._recording = True
                system.agenda.after(RECORDING_SECONDS, self._record)
            self.wake()

        if system.random.random() < system.deaths:
            system.agenda.after(seconds * system.random.random(), lambda: self._die(life))
        system.agenda.after(seconds, answered)

    def _record(self) -> None:
        self._recording = False
        system, replies = self._system, self._replies[:BATCH]
        self._replies = self._replies[BATCH:]
        at_once(record(system.ledger, system.rules, replies))
        system.journal.recorded(replies, system.clock.now)
        system.looked_at({reply.payment_id for reply in replies})
        if self._replies:
            self._recording = True
            system.agenda.after(RECORDING_SECONDS, self._record)

    def _die(self, life: int) -> None:
        """All that it had in flight is lost, but for what it is just recording; another one takes its place."""
        if life == self._life:
            self._life += 1
            self._used.clear()
            self._system.journal.deaths.append(self._system.clock.now)
            self.wake()


class Sweep:
    """Who is due becomes a claim, within three quarters of the account's budget; see `worker/postgres/due.py`."""

    def __init__(self, system: System, accounts: Sequence[Account]) -> None:
        self._system = system
        self._rates: Mapping[str, float | None] = {account.id: account.calls_per_second for account in accounts}
        self._due: dict[str, list[tuple[datetime, str]]] = {account.id: [] for account in accounts}
        self._heard_at = dict[str, datetime]()
        self._calls = {account.id: _burst(account.calls_per_second) for account in accounts}
        self._refilled_at = dict.fromkeys(self._rates, system.clock.now)
        self._wakes_at: datetime | None = None
        self._pause = 0.01

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
            return  # one that was earlier has run
        self._wakes_at = None
        now = self._system.clock.now
        for account in self._due:
            if len(self._system.queue) < MOST_WAITING:
                self._take(account, now)
        due_at = min((heap[0][0] for heap in map(self._known, self._due.values()) if heap), default=None)
        if due_at is None:
            return
        overdue = due_at <= now
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS) if overdue else 0.01
        self._wake_at(max(due_at, now + timedelta(seconds=self._pause)))

    def _take(self, account: str, now: datetime) -> None:
        heap, most = self._due[account], BATCH
        if not self._known(heap) or heap[0][0] > now:
            return
        allowance = self._system.ledger.allowance(account)
        if silent(allowance):
            shut = allowance.shut_until is not None and allowance.shut_until > now
            most = 0 if shut else PROBING
        rate = self._rates[account]
        if rate is not None:
            seconds = (now - self._refilled_at[account]).total_seconds()
            self._calls[account] = min(_burst(rate), self._calls[account] + seconds * rate * SHARE)
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
        """The heap without what was put off or settled since, at its top."""
        while heap and self._system.ledger.payment(heap[0][1]).next_check_at != heap[0][0]:
            heapq.heappop(heap)
        return heap


def _burst(rate: float | None) -> float:
    return 0.0 if rate is None else max(1.0, rate * SHARE * BURST_SECONDS)
