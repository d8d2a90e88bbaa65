"""What buyers, shops, gateways and strangers do in the simulation, all of it from one seed.

The one thing to get wrong: a gateway of these stories never takes money back that it showed, so whatever the order of
replies, no payment may end in a contradiction.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from consumers.account import Account
from schemas.payments import Payment
from schemas.words import Said, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import AMOUNT, at_once
from tests.fakes.providers import CANDIDATES, EXECUTING, PLAIN, PROVING, SILENT
from tests.unit.simulation.gateways import Outage, SimulatedGateway, State, TroubleKind, Truth
from tests.unit.simulation.workers import System

DAY = timedelta(days=1)
STEADY = replace(PLAIN, id="steady")
"""The account that never has any trouble, so that whatever delays it is another's."""

ACCOUNTS = (
    STEADY,
    PLAIN,
    PROVING,
    SILENT,
    EXECUTING,
    CANDIDATES,
    replace(PLAIN, id="plain-slow", calls_per_second=0.5),
    replace(PROVING, id="proving-slow", calls_per_second=0.2),
    replace(CANDIDATES, id="candidates-slow", calls_per_second=1.0),
)
OPENING_SPAN = timedelta(days=60)
SALE_AT = NOON + timedelta(days=20)
LAST_STORY = NOON + timedelta(days=130)
SHORT = Decimal("99.00")

OUTCOMES = {
    "paid": 50,
    "failed": 8,
    "cancelled": 10,
    "expired": 10,
    "abandoned": 5,
    "unknown": 3,
    "odd": 4,
    "paid late": 5,
    "paid twice": 3,
    "paid short": 2,
}


class Stories:
    """Puts down on the agenda what will happen, `payments` times over."""

    def __init__(self, system: System, seed: int, payments: int) -> None:
        self.system = system
        self.kinds: dict[str, str] = {}
        self._random = random.Random(f"{seed}/stories")
        self._seed = seed
        for account in ACCOUNTS:
            gateway = SimulatedGateway(account, seed, steady=account is STEADY)
            system.gateways[account.id] = gateway
            if account is not STEADY:
                gateway.outages = self._outages()
        for number in range(payments):
            in_sale = self._random.random() < 0.3
            span = timedelta(minutes=20) if in_sale else OPENING_SPAN
            at = (SALE_AT if in_sale else NOON) + span * self._random.random()
            system.agenda.at(at, lambda number=number: self._open(number))  # type: ignore[misc]

    def _outages(self) -> list[Outage]:
        kinds: list[TroubleKind] = ["silent", "failing", "limiting", "slow", "silent", "failing", "limiting"]
        lengths = [timedelta(minutes=self._random.uniform(2, 40)) for _ in kinds[:4]]
        lengths += [timedelta(hours=self._random.uniform(1, 6)) for _ in kinds[4:]]
        planned: list[tuple[TroubleKind, timedelta]] = [*zip(kinds, lengths, strict=True), ("revoked", DAY)]
        found = []
        for kind, length in planned:
            near_sale = self._random.random() < 0.4
            start = SALE_AT + timedelta(hours=self._random.uniform(-1, 1)) if near_sale else self._moment(80)
            found.append(Outage(start=start, end=start + length, kind=kind))
        return found

    def _moment(self, days: float) -> datetime:
        return NOON + days * DAY * self._random.random()

    # -- a payment's story ---------------------------------------------------------------------------------------------

    def _open(self, number: int) -> None:
        draw, system = self._random, self.system
        account = draw.choice(ACCOUNTS)
        order = f"basket-{number // 2}" if draw.random() < 0.1 else None
        kind, lost = draw.choices(list(OUTCOMES), list(OUTCOMES.values()))[0], draw.random() < 0.02
        payment_id = f"pay_{number:026d}"
        self.kinds[payment_id] = kind = "unknown" if lost else kind
        states = [State(at=system.clock.now, status=Status.PENDING)]
        system.gateways[account.id].truths[payment_id] = Truth(states=states)
        payment = at_once(system.open(account, payment_id, order=order, lost=lost))
        self._tell_story(account, payment, kind)
        self._strangers(account, payment)

    def _tell_story(self, account: Account, payment: Payment, kind: str) -> None:
        draw, truth = self._random, self.system.gateways[account.id].truths[payment.id]
        opened = payment.opened_at
        soon = opened + timedelta(seconds=draw.uniform(20, 25 * 60))
        late = payment.expires_at + timedelta(hours=draw.expovariate(1 / 8))
        if account is EXECUTING and kind.startswith("paid"):
            truth.approved_at = soon
            self._callbacks(payment, soon, Said.SUCCESS, None)
            return
        match kind:
            case "failed" | "cancelled" | "expired":
                at = payment.expires_at if kind == "expired" else soon
                self._becomes(
                    payment, State(at=at, status=Status(kind)), Said.CANCEL if kind == "cancelled" else Said.FAILURE
                )
            case "unknown":
                truth.states = [State(at=opened, status="unknown")]
            case "odd":
                self._becomes(payment, State(at=soon, status="odd"), None)
                explained = soon + timedelta(days=draw.uniform(0.01, 6))
                self._becomes(
                    payment, State(at=explained, status=Status.COMPLETED, transaction=f"T-{payment.reference}"), None
                )
            case "paid short":
                state = State(at=soon, status=Status.COMPLETED, transaction=f"T-{payment.reference}", amount=SHORT)
                self._becomes(payment, state, Said.SUCCESS)
            case "paid" | "paid late" | "paid twice":
                at = late if kind == "paid late" else soon
                self._becomes(
                    payment, State(at=at, status=Status.COMPLETED, transaction=f"T-{payment.reference}"), Said.SUCCESS
                )
                if kind == "paid twice":
                    again = at + timedelta(seconds=draw.uniform(30, 3600))
                    state = State(at=again, status=Status.COMPLETED, transaction=f"T-{payment.reference}-again")
                    self._becomes(payment, state, Said.SUCCESS)
                else:
                    self._refunds(payment, at)

    def _refunds(self, payment: Payment, paid_at: datetime) -> None:
        draw, parts = self._random, list[Decimal]()
        match draw.random():
            case chance if chance < 0.1:
                parts = [Decimal("40.00")]
            case chance if chance < 0.15:
                parts = [Decimal("40.00"), AMOUNT]
            case chance if chance < 0.2:
                parts = [AMOUNT]
        for part in parts:
            paid_at += draw.uniform(0.2, 25) * DAY
            status = Status.REFUNDED if part == AMOUNT else Status.COMPLETED
            figure = None if part == AMOUNT and draw.random() < 0.5 else part
            state = State(at=paid_at, status=status, transaction=f"T-{payment.reference}", refunded=figure)
            self._becomes(payment, state, None)

    def _becomes(self, payment: Payment, state: State, said: Said | None) -> None:
        truth = self.system.gateways[payment.account].truths[payment.id]
        truth.states.append(state)
        self._callbacks(payment, state.at, said, state.transaction)

    # -- who tells us --------------------------------------------------------------------------------------------------

    def _callbacks(self, payment: Payment, at: datetime, said: Said | None, transaction: str | None) -> None:
        """A returning browser and the gateway's notification: each may be lost, late or doubled."""
        signs = self.system.rules.accounts[payment.account].provider.capabilities.signs
        heard = [(Source.RETURN, False)] if said is not None else []
        heard += [(Source.WEBHOOK, True)] if signs else []
        for source, signed in heard:
            if self._random.random() < 0.3:
                continue
            event = f"{payment.id}-{at:%s%f}" if signed else None
            for _ in range(self._random.choice([1, 1, 1, 2, 3])):
                delay = self._random.choice([1.0, 1.0, 60.0, 3600.0, 86400.0]) * self._random.expovariate(1.0)
                self._hit(payment, at + timedelta(seconds=delay), source, signed, said, transaction, event)

    def _strangers(self, account: Account, payment: Payment) -> None:
        """Anyone can send what is not signed; a stolen secret signs lies."""
        draw = self._random
        if draw.random() < 0.08:
            at = payment.opened_at + timedelta(seconds=draw.uniform(0, 3 * 86400))
            signed = account.provider.capabilities.signs and draw.random() < 0.3
            other = f"T-order-pay_{draw.randrange(200):026d}"
            said = draw.choice([Said.SUCCESS, Said.FAILURE, Said.CANCEL])
            source = Source.WEBHOOK if signed else Source.RETURN
            self._hit(payment, at, source, signed, said, other, f"forged-{payment.id}" if signed else None)
        if draw.random() < 0.01:
            at = payment.opened_at + timedelta(seconds=draw.uniform(0, 86400))
            for number in range(300):
                seconds = number / 10 if number < 200 else (number - 200) * 72
                invented = f"T-{number}" if account.id == CANDIDATES.id else None
                word = Said.FAILURE if number % 2 else None
                self._hit(payment, at + timedelta(seconds=seconds), Source.RETURN, False, word, invented, None)

    def _hit(
        self,
        payment: Payment,
        at: datetime,
        source: Source,
        signed: bool,
        said: Said | None,
        transaction: str | None,
        event: str | None,
    ) -> None:
        system = self.system
        by_transaction = "transaction_id" in system.rules.accounts[payment.account].provider.capabilities.asked_by
        named = transaction if by_transaction else None

        def hits() -> None:
            claim = system.claim(payment.id, source, signed=signed, said=said, transaction_id=named, event_id=event)
            system.publish([claim])

        system.agenda.at(at, hits)
