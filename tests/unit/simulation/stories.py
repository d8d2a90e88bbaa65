"""What buyers, shops and gateways do in the simulation, all of it from one seed; strangers are in `strangers.py`.

A gateway of these stories never takes back an answer that it showed everywhere. So in any order of replies, no payment
may end in a contradiction.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import structs

from consumers.account import Account
from schemas.callbacks import Callback
from schemas.words import Said, Source, Status
from tests.fakes.clock import NOON
from tests.unit.simulation.accounts import ACCOUNTS, MONEYBAG, SHADHINPAY, SKEWS, STEADY
from tests.unit.simulation.dressing import PROXIES, REPLIES
from tests.unit.simulation.gateways import Outage, SimulatedGateway, TroubleKind
from tests.unit.simulation.journal import Heard
from tests.unit.simulation.senders import (
    SESSION_NAMES,
    candidate_in,
    notified,
    notifies,
    returns,
    signs_fresh,
    webhook,
    word_of_return,
)
from tests.unit.simulation.strangers import Strangers
from tests.unit.simulation.truth import ODD, State, Truth, lag
from tests.unit.simulation.workers import System

DAY = timedelta(days=1)
OPENING_SPAN = timedelta(days=60)
SALE_AT = NOON + timedelta(days=20)
LAST_STORY = NOON + timedelta(days=130)
LONGEST_LAG = timedelta(minutes=9, seconds=30)  # with a question's own time, shorter than `confirm_end`
AMOUNT, SHORT = Decimal("1500.50"), Decimal("99.00")
SAYS = {Status.COMPLETED: Said.SUCCESS, Status.FAILED: Said.FAILURE, Status.CANCELLED: Said.CANCEL}
GARBLED = ("1,500.50", "1500.50 BDT", "1500.5000001", "BDT1500.50")

OUTCOMES = {
    "paid": 46,
    "failed": 7,
    "cancelled": 8,
    "expired": 7,
    "abandoned": 6,
    "odd": 4,
    "paid late": 6,
    "paid twice": 3,
    "paid short": 2,
    "garbled": 4,
    "tracked": 5,
    "order": 8,
    "reviewed": 4,
    "retried": 2,
    "borrowed": 2,
}
ORDERS = ("first hangs", "first hangs", "both paid", "paid again after a refund", "at two gateways", "only one paid")
REVIEWING = ("shurjopay", "uddoktapay", "sslcommerz", "eps")
"""Gateways where money may be pending for days: a bank or a person looks at it."""
RETRYING = ("sslcommerz", "aamarpay")
"""Gateways where the buyer may try again in the same checkout after an attempt that failed."""


class Stories:
    """Adds the stories of `payments` payments to the agenda."""

    def __init__(self, system: System, seed: int, payments: int, accounts: Sequence[Account] = ACCOUNTS) -> None:
        self.system = system
        self.kinds: dict[str, str] = {}
        self.orders: dict[str, list[str]] = {}
        self.strangers = Strangers(system, seed)
        self._accounts = accounts
        self._random = random.Random(f"{seed}/stories")
        for account in accounts:
            gateway = SimulatedGateway(account, seed, steady=account is STEADY, quick=account is STEADY)
            system.gateways[account.id] = gateway
            if account is not STEADY:
                gateway.outages = self._outages()
            if account.provider.capabilities.executes and account.provider.capabilities.signs:
                gateway.on_capture = lambda truth, state, account=account: self._signed(  # type: ignore[misc]
                    account, truth, state.at, state
                )
        for number in range(payments):
            in_sale = self._random.random() < 0.3
            span = timedelta(minutes=20) if in_sale else OPENING_SPAN
            at = (SALE_AT if in_sale else NOON) + span * self._random.random()
            system.agenda.at(at, lambda number=number: self._begin(number))  # type: ignore[misc]

    def _outages(self) -> list[Outage]:
        kinds: list[TroubleKind] = ["amnesia", "amnesia", "silent", "failing", "limiting", "slow", "proxy"]
        lengths = [LONGEST_LAG * self._random.random() for _ in kinds[:2]]
        lengths += [timedelta(minutes=self._random.uniform(2, 40)) for _ in kinds[2:]]
        kinds += ["silent", "failing", "limiting", "proxy", "proxy"]
        lengths += [timedelta(hours=self._random.uniform(1, 6)) for _ in kinds[7:]]
        planned: list[tuple[TroubleKind, timedelta]] = [*zip(kinds, lengths, strict=True), ("revoked", DAY)]
        found = []
        for kind, length in planned:
            near_sale = self._random.random() < 0.4
            start = SALE_AT + timedelta(hours=self._random.uniform(-1, 1)) if near_sale else self._moment(80)
            form = self._random.randrange(len(PROXIES))
            found.append(Outage(start=start, end=start + length, kind=kind, form=form))
        return found

    def _moment(self, days: float) -> datetime:
        return NOON + days * DAY * self._random.random()

    # -- a payment's story ---------------------------------------------------------------------------------------------

    def _begin(self, number: int) -> None:
        draw = self._random
        kind = draw.choices(list(OUTCOMES), list(OUTCOMES.values()))[0]
        account = draw.choice(self._accounts)
        if kind == "order":
            self._order(number, account)
        elif kind == "tracked":
            self._tracked(number, account)
        elif kind == "borrowed":
            self._borrowed(number)
        else:
            lost = draw.random() < 0.02
            truth, ends_at = self._opened(number, account, "lost" if lost else kind, lost=lost)
            if not lost:
                self._tell(account, truth, kind, ends_at)
            self.strangers.bother(account, truth, draw)

    def _opened(
        self, number: int | str, account: Account, kind: str, *, order: str | None = None, lost: bool = False
    ) -> tuple[Truth, datetime]:
        draw, system = self._random, self.system
        truth = self._truth(number, account, lost=lost)
        lifetime = account.provider.lifetime(None)
        system.gateways[account.id].register(truth)
        self.kinds[truth.payment_id] = kind
        if draw.random() < 0.1 and not lost:
            truth.known_at = system.clock.now + lag(draw, LONGEST_LAG)
        system.open(truth, lifetime=lifetime, order=order, lost=lost)
        if order is not None:
            self.orders.setdefault(order, []).append(truth.payment_id)
        truth.ends_at = ends_at(account, system.clock.now)
        return truth, truth.ends_at

    def _truth(self, number: int | str, account: Account, *, lost: bool = False) -> Truth:
        name = f"{number:026d}" if isinstance(number, int) else number.rjust(26, "0")
        return Truth(
            payment_id=f"pay_{name}",
            account=account.id,
            reference=f"order-{name[-12:]}",
            amount=AMOUNT,
            opened_at=self.system.clock.now,
            session_id=None if lost else f"S-{name[-14:]}",
            dressing=self._random.choice(REPLIES),
        )

    def _tell(self, account: Account, truth: Truth, kind: str, ends_at: datetime, *, own: bool = True) -> None:
        draw = self._random
        soon = self.system.clock.now + timedelta(seconds=draw.uniform(20, 13 * 60))
        late = ends_at + timedelta(hours=draw.expovariate(1 / 8))
        paid = f"T-{truth.payment_id[4:]}"
        name, executes = account.provider.name, account.provider.capabilities.executes
        if (kind, name) not in (*(("reviewed", one) for one in REVIEWING), *(("retried", one) for one in RETRYING)):
            kind = "paid" if kind in ("reviewed", "retried") else kind
        if kind == "paid twice" and name == "uddoktapay":
            kind = "paid"  # an invoice is one payment
        if executes and (kind.startswith("paid") or kind == "garbled"):
            truth.approved_at = soon
            self._come_back(account, truth, soon, Said.SUCCESS, None, on_path=own)
            return
        match kind:
            case "failed" | "cancelled" | "expired":
                at = ends_at if kind == "expired" else soon
                said = {"cancelled": Said.CANCEL, "failed": Said.FAILURE}.get(kind)
                self._becomes(
                    account, truth, State(at=at, seen_at=at, status=Status(kind), transaction=paid), said, own=own
                )
            case "odd":
                self._becomes(account, truth, State(at=soon, seen_at=soon, status=ODD, transaction=paid), None, own=own)
                explained = soon + timedelta(days=draw.uniform(0.01, 6))
                self._pays(account, truth, explained, paid, None, own=own)
            case "paid short":
                self._pays(account, truth, soon, paid, Said.SUCCESS, own=own, amount=SHORT)
            case "garbled":
                clean = None if draw.random() < 0.3 else soon + timedelta(seconds=draw.uniform(10, 86400))
                self._pays(
                    account, truth, soon, paid, Said.SUCCESS, own=own, garbled=draw.choice(GARBLED), clean_at=clean
                )
            case "reviewed":
                shown = (
                    Said.SUCCESS if name == "uddoktapay" else None
                )  # its buyer gives the transaction, and comes back
                begun = State(at=soon, seen_at=soon, status=Status.PENDING, transaction=paid)
                self._becomes(account, truth, begun, shown, own=own)
                decided = soon + timedelta(days=draw.choice([0.1, 3, 12]) * draw.random())
                if draw.random() < 0.8 or name == "uddoktapay":
                    self._pays(account, truth, decided, paid, None, own=own)
                else:
                    refused = State(at=decided, seen_at=decided, status=Status.FAILED, transaction=paid)
                    self._becomes(account, truth, refused, None, own=own)
            case "retried":
                failed = State(at=soon, seen_at=soon, status=Status.FAILED, transaction=f"{paid}-F")
                self._becomes(account, truth, failed, Said.FAILURE, own=own)
                again = soon + timedelta(seconds=draw.uniform(20, 1800))
                begun = State(at=again, seen_at=again, status=Status.PENDING, transaction=paid)
                self._becomes(account, truth, begun, None, own=own)
                self._pays(account, truth, again + timedelta(seconds=draw.uniform(5, 300)), paid, Said.SUCCESS, own=own)
            case "paid" | "paid late" | "paid twice":
                at = late if kind == "paid late" else soon
                self._pays(account, truth, at, paid, Said.SUCCESS, own=own)
                if kind == "paid twice":
                    self._pays(
                        account,
                        truth,
                        at + timedelta(seconds=draw.uniform(30, 3600)),
                        paid + "B",
                        Said.SUCCESS,
                        own=own,
                    )
                elif own:
                    self._refunds(account, truth, at + LONGEST_LAG, paid)

    def _pays(
        self,
        account: Account,
        truth: Truth,
        at: datetime,
        transaction: str,
        said: Said | None,
        *,
        own: bool,
        amount: Decimal | None = None,
        garbled: str | None = None,
        clean_at: datetime | None = None,
    ) -> None:
        """The money arrives; at Moneybag it often begins as a pending transaction that turns."""
        draw = self._random
        if account.provider.name == "moneybag" and draw.random() < 0.4:
            begun = at - timedelta(seconds=draw.uniform(1, 15))
            pending = State(
                at=begun,
                seen_at=begun + lag(draw, timedelta(seconds=10)),
                status=Status.PENDING,
                transaction=transaction,
            )
            self._becomes(account, truth, pending, None, own=own)
        state = State(
            at=at,
            seen_at=at + lag(draw, LONGEST_LAG),
            status=Status.COMPLETED,
            transaction=transaction,
            amount=amount,
            garbled=garbled,
            clean_at=clean_at,
        )
        self._becomes(account, truth, state, said, own=own)

    def _refunds(self, account: Account, truth: Truth, paid_at: datetime, transaction: str) -> None:
        draw, parts = self._random, list[Decimal]()
        partial = account.provider.name == "shadhinpay"
        match draw.random():
            case chance if chance < 0.1 and partial:
                parts = [Decimal("40.00")]
            case chance if chance < 0.15 and partial:
                parts = [Decimal("40.00"), Decimal("90.50"), AMOUNT]
            case chance if chance < 0.2:
                parts = [AMOUNT]
        for part in parts:
            paid_at += draw.uniform(0.2, 12) * DAY
            self._returned(account, truth, paid_at, transaction, part)

    def _returned(self, account: Account, truth: Truth, at: datetime, transaction: str, part: Decimal) -> None:
        whole = part == AMOUNT
        status = Status.REFUNDED if whole else Status.COMPLETED
        figure = None if whole and self._random.random() < 0.5 else part
        state = State(at=at, seen_at=at, status=status, transaction=transaction, refunded=figure)
        if account.provider.capabilities.shows_refunds:
            self._becomes(account, truth, state, None, own=True)

    def _becomes(self, account: Account, truth: Truth, state: State, said: Said | None, *, own: bool) -> None:
        truth.becomes(state)
        if state.transaction is not None:
            self.system.gateways[account.id].register_transaction(state.transaction, truth)
        self._come_back(account, truth, state.at, said, state, on_path=own)

    # -- orders of several attempts, and payments that the shop opened by itself ---------------------------------------

    def _order(self, number: int, account: Account) -> None:
        draw, order = self._random, f"basket-{number}"
        kind = draw.choice(ORDERS)
        if kind == "first hangs" and draw.random() < 0.7:
            executing = [one for one in self._accounts if one.provider.capabilities.executes]
            account = draw.choice(executing or [account])
        if kind == "paid again after a refund":
            known = (SHADHINPAY.id, STEADY.id, MONEYBAG.id, "shurjopay")
            refunding = [one for one in self._accounts if one.id in known]
            account = draw.choice(refunding or [account])
        other = draw.choice(self._accounts) if kind == "at two gateways" else account
        first, ends_at = self._opened(f"{number}x1", account, f"{kind} 1", order=order)
        takes = account.provider.capabilities.executes
        told = "abandoned" if kind in ("first hangs", "only one paid") and not takes else "paid"
        if kind == "first hangs" and account is not STEADY:
            now = self.system.clock.now
            first.hangs = (now, now + timedelta(seconds=draw.uniform(60, 1200)))
        if kind == "paid again after a refund":
            at = self.system.clock.now + timedelta(minutes=2)
            self._pays(account, first, at, f"T-{first.payment_id[4:]}", Said.SUCCESS, own=True)
            self._returned(
                account, first, at + LONGEST_LAG + DAY * draw.uniform(0.1, 3), f"T-{first.payment_id[4:]}", AMOUNT
            )
            wait = timedelta(days=50)
        else:
            self._tell(account, first, told, ends_at)
            if kind == "first hangs" and draw.random() < 0.7:
                first.approved_at = None  # that claim was wrong, which only an answer can show
            wait = timedelta(seconds=draw.uniform(5, 200))

        def again() -> None:
            second, ends = self._opened(f"{number}x2", other, f"{kind} 2", order=order)
            self._tell(other, second, "paid", ends)

        self.system.agenda.after(wait.total_seconds(), again)

    def _tracked(self, number: int, account: Account) -> None:
        """The shop opened it, the buyer paid and returned, and only then the shop registers it."""
        draw, system = self._random, self.system
        truth = self._truth(number, account)
        system.gateways[account.id].register(truth)
        self.kinds[truth.payment_id] = "tracked"
        lifetime = account.provider.lifetime(None)
        self._tell(
            account, truth, draw.choice(["paid", "paid", "failed", "abandoned"]), system.clock.now + lifetime, own=False
        )
        wait = draw.choice([5, 60, 900, 1500]) * draw.random()

        def registers() -> None:
            truth.ends_at = system.clock.now + lifetime
            system.track(truth, lifetime=lifetime)

        system.agenda.after(wait, registers)

    def _borrowed(self, number: int) -> None:
        """At UddoktaPay one paid invoice is shown for two orders: its own, and one that nobody paid."""
        account = next((one for one in self._accounts if one.provider.name == "uddoktapay"), None)
        if account is None:
            return
        paid, ends = self._opened(f"{number}x1", account, "paid")
        self._tell(account, paid, "paid", ends)
        other, _ = self._opened(f"{number}x2", account, "abandoned")
        at = self.system.clock.now + timedelta(seconds=self._random.choice([60, 900, 86400]) * self._random.random())
        self.strangers.borrows(account, other, paid, at)

    # -- who tells us --------------------------------------------------------------------------------------------------

    def _come_back(
        self, account: Account, truth: Truth, at: datetime, said: Said | None, state: State | None, *, on_path: bool
    ) -> None:
        """A returning browser and the gateway's notifications: each may be lost, late or doubled."""
        draw, name = self._random, account.provider.name
        transaction = state.transaction if state is not None else None
        status = Status.PENDING if state is None or state.status == ODD else Status(state.status)
        named = candidate_in(account, truth, said, transaction)
        begun = state is not None and status is Status.PENDING and name == "moneybag"
        own = on_path or name in SESSION_NAMES  # else it names only our reference
        about = Heard(payment_id=truth.payment_id, at=at, source=Source.RETURN, said=said, transaction=named, own=own)
        back_to_us = said is not None and (name != "uddoktapay" or said is not Said.FAILURE)  # which has no address
        if (back_to_us or (begun and draw.random() < 0.3)) and draw.random() < 0.75:
            back = returns(account, truth, at, said, transaction, draw, own=on_path)
            returned = structs.replace(about, said=word_of_return(account, said, own=on_path))
            for _ in range(draw.choice([1, 1, 1, 2, 3])):
                self._at(at + self._delay(), back, returned)
        if state is not None:
            self._signed(account, truth, at, state)
        if transaction is not None and notifies(account, status, own=on_path) and draw.random() < 0.5:
            note = notified(account, truth, at, status, transaction, draw)
            word = None if name == "shurjopay" else SAYS.get(status)
            own = name != "aamarpay"  # it comes to the account's address, and names our reference
            noted = structs.replace(about, source=Source.IPN, said=word, signed=False, own=own)
            self._at(at + self._delay(), note, noted)

    def _signed(self, account: Account, truth: Truth, at: datetime, state: State) -> None:
        """The signed notifications of a state that is no longer open; bKash's are of taken money only."""
        draw, name = self._random, account.provider.name
        status = Status.PENDING if state.status == ODD else Status(state.status)
        if not account.provider.capabilities.signs or status is Status.PENDING or draw.random() >= 0.75:
            return
        if name == "bkash" and status is not Status.COMPLETED:
            return
        fresh, named = signs_fresh(account), state.transaction if name == "moneybag" else None
        about = Heard(
            payment_id=truth.payment_id,
            at=at,
            source=Source.WEBHOOK,
            said=SAYS.get(status),
            transaction=named,
            signed=fresh,
            own=fresh or named is None,
        )
        for _ in range(draw.choice([1, 1, 1, 2])):
            sent = at + self._delay()
            hook = webhook(account, truth, sent, status, state.transaction, draw)
            self._at(sent, hook, about)
            if draw.random() < 0.05:
                self.strangers.replay(truth, hook, sent)

    def _delay(self) -> timedelta:
        span = self._random.choice([0.5, 1.0, 1.0, 60.0, 3600.0, 86400.0])
        return timedelta(seconds=span * self._random.expovariate(1.0))

    def _at(self, at: datetime, callback: Callback, about: Heard) -> None:
        def hits() -> None:
            self.system.call_back(callback, about)

        self.system.agenda.at(at, hits)


def ends_at(account: Account, opened_at: datetime) -> datetime:
    """The later of the gateway's end and ours, where its create reply names an end."""
    names = account.provider.name in ("shadhinpay", "payparse")
    ahead = max(timedelta(0), SKEWS.get(account.id, timedelta(0))) if names else timedelta(0)
    return opened_at + account.provider.lifetime(None) + ahead
