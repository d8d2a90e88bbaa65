"""Order does not matter, for claims and answers too: in any order, payments end in the same way.

Some things do not vary. Every claim stays before the end of the checkout and its grace, the truth stays true from the
same moment on, and everything is below the caps. Only the order of arrival, and which question meets which trouble,
differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from consumers.account import Account
from consumers.rules import Rules
from schemas.callbacks import Callback
from schemas.words import Hold, Said, Source, Status
from tests.fakes.clock import NOON
from tests.unit.simulation.accounts import NEWER, account
from tests.unit.simulation.gateways import SimulatedGateway, TroubleKind
from tests.unit.simulation.journal import Heard
from tests.unit.simulation.senders import invented, notified, notifies, returns, webhook
from tests.unit.simulation.stories import AMOUNT
from tests.unit.simulation.truth import State, Truth
from tests.unit.simulation.workers import System
from tests.unit.simulation.world import CHECKS

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
ACCOUNTS = {name: account(name) for name in ("shadhinpay", "ipay", "payparse", "onepaybd", "moneybag", "blind", *NEWER)}
PAID_AT = NOON + 10 * SECOND
FIRST, LAST = 15, 870  # seconds after the opening, within the shortest life of a checkout
NAMES = (*ACCOUNTS, "moneybag", "sslcommerz", "uddoktapay")
TROUBLES: tuple[TroubleKind | None, ...] = (None, "proxy", "silent", "failing", "slow")
SHUFFLES = 3
PAID = ("paid", "paid twice", "refunded")
SENDERS = ("return", "success", "webhook", "ipn", "made up", "another's", "by reference", "cancelled")
TWICE = (Status.COMPLETED, Hold.DUPLICATE_FOR_ORDER, "T-0-again")


class Plan(Struct, frozen=True, kw_only=True):
    """One story. `attempts` are accounts, all of one order; `senders` come once in each of `slots`, in some order."""

    attempts: tuple[str, ...]
    ending: str
    lag: int
    senders: tuple[tuple[int, str], ...]
    slots: tuple[int, ...]
    troubles: tuple[TroubleKind | None, ...]


@st.composite
def plans(draw: Callable[[Any], Any]) -> Plan:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=draw(st.sampled_from([1, 1, 2]))))
    count = draw(st.integers(2, 6))
    numbers = st.tuples(st.integers(0, len(names) - 1), st.sampled_from(SENDERS))
    return Plan(
        attempts=tuple(names),
        ending=draw(st.sampled_from(["paid", "paid", "paid twice", "refunded", "failed", "nobody paid"])),
        lag=draw(st.sampled_from([0, 1, 8, 30, 120, 500])),
        senders=tuple(draw(st.lists(numbers, min_size=count, max_size=count))),
        slots=tuple(sorted(draw(st.lists(st.integers(FIRST, LAST), min_size=count, max_size=count)))),
        troubles=tuple(draw(st.lists(st.sampled_from(TROUBLES), max_size=6))),
    )


class Ended(Struct, frozen=True, kw_only=True, order=True):
    status: Status
    hold: str
    transaction: str
    refunded: Decimal


@given(plans(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_however_claims_and_answers_come_payments_end_in_the_same_way(plan: Plan, draw: Random) -> None:
    senders, troubles = list(plan.senders), list(plan.troubles)
    ended = _play(plan, senders, troubles)
    if _is_paid_twice(plan):
        assert [(one.status, one.hold, one.transaction) for one in ended] == [TWICE]
    first = _counted(ended)
    for _ in range(SHUFFLES):
        draw.shuffle(senders)
        draw.shuffle(troubles)
        assert _counted(_play(plan, senders, troubles)) == first, f"{senders} and {troubles} in this order"


def _counted(ended: list[Ended]) -> object:
    """Of several attempts of an order, which attempt wins may differ, never how many.

    Only some gateways show a refund. So the statuses and the holds are counted each by themselves.
    """
    if len(ended) == 1:
        return ended
    return sorted(one.status for one in ended), sum(bool(one.hold) for one in ended)


def _play(plan: Plan, senders: Sequence[tuple[int, str]], troubles: Sequence[TroubleKind | None]) -> list[Ended]:
    known = {name: ACCOUNTS[name] for name in plan.attempts}
    rules = Rules(
        accounts={one.id: one for one in known.values()}, checks=CHECKS, public_url="https://pay.example", jitter=0.1
    )
    system = System(list(known.values()), rules, 1, workers=1, deaths=0, deadly=0, held_up=0, raced=0)
    for one in known.values():
        gateway = system.gateways[one.id] = SimulatedGateway(one, 1, steady=True)
        gateway.scripted = list(troubles)
    truths = [_opened(system, known[name], number, plan) for number, name in enumerate(plan.attempts)]
    for slot, (number, sender) in zip(plan.slots, senders, strict=True):
        at = NOON + slot * SECOND
        _sends(system, known[plan.attempts[number]], truths[number], at, sender)
    system.agenda.run(NOON + 90 * DAY)
    return [_ended(system, truth) for truth in truths]


def _opened(system: System, account: Account, number: int, plan: Plan) -> Truth:
    truth = Truth(
        payment_id=f"pay_{number:026d}",
        account=account.id,
        reference=f"order-{number:012d}",
        amount=AMOUNT,
        opened_at=NOON,
        session_id=f"S-{number:014d}",
    )
    gateway = system.gateways[account.id]
    gateway.register(truth)
    paid, transaction = PAID_AT + plan.lag * SECOND, f"T-{number}"
    gateway.register_transaction(transaction, truth)
    if plan.ending in PAID and account.provider.capabilities.executes:
        truth.approved_at = PAID_AT
    elif plan.ending in PAID:
        if _is_paid_twice(plan):
            truth.becomes(State(at=paid, seen_at=paid, status=Status.COMPLETED, transaction=f"{transaction}-again"))
        truth.becomes(State(at=paid, seen_at=paid, status=Status.COMPLETED, transaction=transaction))
        if plan.ending == "refunded" and account.provider.capabilities.shows_refunds:
            back = NOON + 3 * DAY
            truth.becomes(State(at=back, seen_at=back, status=Status.REFUNDED, transaction=transaction))
    elif plan.ending == "failed":
        truth.becomes(State(at=paid, seen_at=paid, status=Status.FAILED, transaction=transaction))
    system.open(truth, lifetime=account.provider.lifetime(None), order="basket")
    return truth


def _is_paid_twice(plan: Plan) -> bool:
    """Whether one attempt is paid by two transactions at a gateway whose answer speaks of both."""
    return plan.ending == "paid twice" and plan.attempts == ("sslcommerz",)


def _sends(system: System, account: Account, truth: Truth, at: datetime, sender: str) -> None:
    callback = _callback(account, truth, at, sender)
    about = Heard(payment_id=truth.payment_id, at=at, source=Source.RETURN, said=None)
    if callback is None:
        return

    def hits() -> None:
        system.call_back(callback, about)

    system.agenda.at(at, hits)


def _callback(account: Account, truth: Truth, at: datetime, sender: str) -> Callback | None:
    name, draw = account.provider.name, Random(0)
    transaction = f"T-{int(truth.payment_id[4:])}"
    own, reference = truth.payment_id, {"order_id": truth.reference}
    match sender:
        case "return" if name != "moneybag":
            return invented(account, at, {}, payment_id=own, said=None)
        case "return" | "success":
            return returns(account, truth, at, Said.SUCCESS, transaction, draw, own=True)
        case "webhook" if account.provider.capabilities.signs:
            return webhook(account, truth, at, Status.COMPLETED, transaction, draw)
        case "ipn" if notifies(account, Status.COMPLETED, own=True):
            return notified(account, truth, at, Status.COMPLETED, transaction, draw)
        case "made up":
            made_up = {"transaction_id": f"T-made-up-{at}", "invoice_id": f"S-made-up-{at}", **reference}
            return invented(account, at, made_up, payment_id=own, said=None)
        case "another's":
            others = {"transaction_id": "T-99", "orderId": "S-99", "invoice_id": "S-99", **reference}
            return invented(account, at, others, payment_id=own, said=None)
        case "by reference":
            return invented(account, at, {"transaction_id": "T-invented", **reference}, payment_id=None, said=None)
        case "cancelled":
            return invented(account, at, {}, payment_id=own, said=Said.CANCEL)
        case _:
            return None


def _ended(system: System, truth: Truth) -> Ended:
    payment = system.ledger.payment(truth.payment_id)
    assert payment.next_check_at is None
    return Ended(
        status=payment.status,
        hold=payment.hold or "",
        transaction=payment.transaction_id or "",
        refunded=payment.refunded_amount,
    )
