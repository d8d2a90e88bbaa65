"""The rules of money, each stated once: the status that a payment's Facts lead to, in any order.

`asked_at` and `answered_at` decide, never the order of recording. So every property here records the same replies in
several orders and batches, through the stage that really records.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consumers.account import Account
from consumers.commands.resolve import ResolutionRefused, ResolutionRequest, resolve_payment
from consumers.ports.openings import Opened
from consumers.ports.reply import Reply
from consumers.ports.writes import Keys
from schemas.answers import Answer, Question
from schemas.changes import Change
from schemas.events import Event
from schemas.payments import Case, Payment
from schemas.words import EntryKind, EventType, Hold, Risk, Said, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import AMOUNT, Drive, at_once
from tests.fakes.providers import CANDIDATES, EXECUTING, PLAIN, PROVING, SILENT

COMPLETED, FAILED, PENDING, REFUNDED = Status.COMPLETED, Status.FAILED, Status.PENDING, Status.REFUNDED
CANCELLED, EXPIRED = Status.CANCELLED, Status.EXPIRED
PART = Decimal("40.00")


class Bench:
    """Payments that gateways answer about. Times are seconds after the opening."""

    def __init__(self, account: Account = PLAIN) -> None:
        self.drive = Drive()
        self.account = account
        self.seen: list[Payment] = []

    def open(self, **fields: Any) -> str:
        return at_once(self.drive.open(self.account, **fields))

    def reply(
        self,
        payment_id: str,
        status: Status | None,
        asked: float,
        answered: float | None = None,
        *,
        by: str | None = None,
        **fields: Any,
    ) -> Reply:
        payment = self.drive.payment(payment_id)
        echoed = {
            "word": status.upper() if status else "ODD",
            "session_id": payment.session_id,
            "reference": payment.reference,
            "amount": payment.amount,
            "currency": "BDT",
            "transaction_id": by or ("T1" if status is not None and status.paid else None),
        }
        asked_at = NOON + timedelta(seconds=asked)
        return Reply(
            payment_id=payment_id,
            question=Question(transaction_id=by),
            asked_at=asked_at,
            answered_at=asked_at + timedelta(seconds=1) if answered is None else NOON + timedelta(seconds=answered),
            outcome=Answer(**{"status": status, **echoed, **fields}),
        )

    def record(self, *replies: Reply) -> Payment:
        """Record replies in one transaction, no earlier than they were answered."""
        drive = self.drive
        drive.clock.set(max([drive.clock.now, *(reply.answered_at for reply in replies)]))
        at_once(drive.record(replies))
        return drive.payment(replies[0].payment_id)

    def says(self, payment_id: str, status: Status | None, asked: float, **fields: Any) -> Payment:
        return self.record(self.reply(payment_id, status, asked, **fields))

    def told(self, payment_id: str) -> list[str]:
        return [kind.removeprefix("payment.") for kind in self.drive.told(payment_id)]

    def resolve(self, payment_id: str, status: Status, **fields: Any) -> Payment:
        self.drive.clock.advance(1)
        wish = ResolutionRequest(**({"status": status, "actor": "rahima", "reason": "asked the gateway"} | fields))
        return at_once(resolve_payment(self.drive.ledger, self.drive.rules, payment_id, wish))

    def case(self, payment_id: str) -> Case:
        case = self.drive.ledger.case(payment_id)
        assert case is not None
        return case


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- any order, any repetition, any batches ----------------------------------------------------------------------------


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """One reply of a gateway, in seconds after the opening. `by` is the transaction asked by."""

    status: Status | None
    asked: int
    answered: int
    by: str | None
    fields: tuple[tuple[str, Any], ...]


ODDITIES: list[dict[str, Any]] = [
    {"amount": None},
    {"amount": Decimal("99.99")},
    {"currency": None},
    {"currency": "USD"},
    {"session_id": None},
    {"session_id": "S-other"},
    {"reference": None},
    {"reference": "order-other"},
    {"transaction_id": None},
    {"transaction_id": "T2"},
    {"refunded_amount": Decimal("0.00")},
    {"refunded_amount": PART},
    {"refunded_amount": Decimal("60.00")},
    {"refunded_amount": AMOUNT},
    {"refunded_amount": Decimal("100.01")},
    {"word": "STRANGE"},
    {"amount": None, "unreadable": ("amount",)},
    {"refunded_amount": None, "unreadable": ("refunded_amount",)},
    {"amount": None, "refunded_amount": None, "unreadable": ("amount", "refunded_amount")},
    {"reference": "ORDER-1", "session_id": ""},
    {"transaction_id": "", "amount": Decimal("99.99"), "refunded_amount": Decimal("99.99")},
]


def spoken(*transactions: str | None) -> st.SearchStrategy[Spoken]:
    statuses = st.sampled_from([COMPLETED, COMPLETED, PENDING, FAILED, CANCELLED, EXPIRED, REFUNDED, None])
    times = st.tuples(st.integers(1, 12), st.integers(0, 6))
    oddities = st.lists(st.sampled_from(ODDITIES), max_size=2)

    def built(parts: tuple[Status | None, tuple[int, int], str | None, list[dict[str, Any]]]) -> Spoken:
        status, (asked, waited), by, odd = parts
        fields: dict[str, Any] = {"session_id": "S-001", "reference": "order-1"}
        for one in odd:
            fields |= one
        return Spoken(status=status, asked=asked, answered=asked + waited, by=by, fields=tuple(fields.items()))

    return st.tuples(statuses, times, st.sampled_from(transactions), oddities).map(built)


SPOKEN = {
    "plain": st.lists(spoken(None), min_size=1, max_size=6),
    "proving": st.lists(spoken(None), min_size=1, max_size=6),
    "executing": st.lists(spoken(None), min_size=1, max_size=6),
    "candidates": st.lists(spoken("T1", "T2"), min_size=1, max_size=6),
}
ACCOUNTS = {"plain": PLAIN, "proving": PROVING, "executing": EXECUTING, "candidates": CANDIDATES}


def recorded(account: Account, batches: Sequence[Sequence[Spoken]], *, opened: bool) -> tuple[Bench, str]:
    """A payment about which these replies were recorded, one transaction per batch."""
    bench = Bench(account)
    if opened:
        payment_id = bench.open()
    else:
        row = bench.drive.new(account, lifetime=timedelta(days=1))
        at_once(bench.drive.ledger.create(row, {}, timedelta(seconds=45)))
        payment_id = row.id
    bench.drive.clock.advance(60)
    for batch in batches:
        before = bench.drive.payment(payment_id)
        written = len(bench.drive.ledger.events_of(payment_id))
        after = bench.record(
            *(
                bench.reply(payment_id, one.status, one.asked, one.answered, by=one.by, **dict(one.fields))
                for one in batch
            )
        )
        check_one_change_is_one_version_is_one_event(bench, before, after, written)
    return bench, payment_id


def check_one_change_is_one_version_is_one_event(bench: Bench, before: Payment, after: Payment, written: int) -> None:
    """Status only rises. One change of status, hold or refunded amount is one version and one event."""
    assert after.status.rank >= before.status.rank
    assert after.refunded_amount >= before.refunded_amount
    events = bench.drive.ledger.events_of(before.id)[written:]
    seen = [(payment.status, payment.hold, payment.refunded_amount) for payment in (before, after)]
    silent = not before.opened and before.version == 0 and after.status.closed and after.hold is None
    changed = seen[0] != seen[1] and not silent
    assert after.version == before.version + changed
    assert [event.version for event in events] == ([after.version] if changed else [])
    if changed:
        data = msgspec.json.decode(events[0].body)["data"]
        assert (data["status"], data["hold"], data["version"]) == (after.status, after.hold, after.version)


def standing(bench: Bench, payment_id: str) -> tuple[Any, ...]:
    payment = bench.drive.payment(payment_id)
    return payment.status, payment.holds, payment.transaction_id, payment.refunded_amount


@pytest.mark.parametrize("name", ACCOUNTS)
@pytest.mark.parametrize("opened", [True, False], ids=["opened", "never opened"])
@given(data=st.data())
def test_the_same_facts_in_any_order_repetition_and_batches_end_the_same(
    name: str, opened: bool, data: st.DataObject
) -> None:
    """On the way there is at most one event per change."""
    facts = data.draw(SPOKEN[name])
    first, payment_id = recorded(ACCOUNTS[name], [[fact] for fact in facts], opened=opened)
    again = data.draw(st.permutations([*facts, *data.draw(st.lists(st.sampled_from(facts), max_size=3))]))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(again)))) | {0, len(again)})
    batches = [again[start:end] for start, end in pairwise(cuts)]
    second, same_id = recorded(ACCOUNTS[name], batches, opened=opened)
    assert standing(first, payment_id) == standing(second, same_id)


@given(facts=SPOKEN["plain"])
def test_completed_is_told_at_most_once_and_never_under_a_hold(facts: list[Spoken]) -> None:
    """Every hold is shown in the declared order."""
    bench, payment_id = recorded(PLAIN, [[fact] for fact in facts], opened=True)
    events = bench.drive.ledger.events_of(payment_id)
    completed = [event for event in events if event.type is EventType.COMPLETED]
    assert len(completed) <= 1
    for event in events:
        data = msgspec.json.decode(event.body)["data"]
        assert (event.type is EventType.HELD) == (data["hold"] is not None)
    holds = bench.drive.payment(payment_id).holds
    assert list(holds) == [hold for hold in Hold if hold in holds]


@given(facts=st.lists(spoken(None), min_size=1, max_size=5), later=st.lists(spoken(None), min_size=1, max_size=4))
def test_after_a_resolution_equal_answers_change_nothing(facts: list[Spoken], later: list[Spoken]) -> None:
    """It covers every hold and every later answer equal in status, amount, currency, ids and refunded amount."""
    bench, payment_id = recorded(PLAIN, [facts], opened=True)
    held = bench.drive.payment(payment_id)
    if held.hold is None:
        return
    resolved = bench.resolve(payment_id, held.status)
    assert resolved.hold is None
    for fact in facts:
        moved = replace(fact, asked=fact.asked + 200, answered=fact.answered + 200)
        after = bench.says(payment_id, moved.status, moved.asked, **dict(moved.fields))
        assert (after.version, after.hold, after.status) == (resolved.version, None, resolved.status)
    for fact in later:
        after = bench.says(payment_id, fact.status, fact.asked + 400, **dict(fact.fields))
        assert after.status.rank >= resolved.status.rank
    if after.hold is not None:
        assert bench.resolve(payment_id, after.status).hold is None


@given(facts=st.lists(spoken(None), min_size=1, max_size=4))
def test_a_hold_of_money_is_lifted_by_no_fact(facts: list[Spoken]) -> None:
    """Only a person lifts it, while Facts are recorded and the status still rises beneath.

    Unreadable money is the exception: a later answer that names the amount lifts that hold.
    """
    facts = [fact for fact in facts if "unreadable" not in dict(fact.fields)]
    bench, payment_id = recorded(PLAIN, [[fact] for fact in facts], opened=True)
    held = {hold for hold in bench.drive.payment(payment_id).holds if not hold.waiting}
    for asked, status in enumerate((COMPLETED, REFUNDED), start=300):
        after = bench.says(payment_id, status, asked)
        assert held <= set(after.holds)


# -- status ------------------------------------------------------------------------------------------------------------


def test_a_status_never_falls(bench: Bench) -> None:
    payment_id = bench.open()
    assert bench.says(payment_id, FAILED, 10).status is FAILED
    assert bench.says(payment_id, CANCELLED, 20).status is FAILED
    assert bench.says(payment_id, PENDING, 30).status is FAILED
    assert bench.told(payment_id) == ["failed"]


def test_statuses_rise_one_event_each(bench: Bench) -> None:
    payment_id = bench.open()
    for asked, status in enumerate((PENDING, EXPIRED, CANCELLED, FAILED, COMPLETED, REFUNDED)):
        bench.says(payment_id, status, 10 + asked)
    assert bench.told(payment_id) == ["expired", "cancelled", "failed", "completed", "refunded"]
    assert [event.version for event in bench.drive.ledger.events_of(payment_id)] == [1, 2, 3, 4, 5, 6]


def test_after_a_failover_a_version_is_above_all_that_the_server_before_may_have_given(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, EXPIRED, 10)
    before = bench.drive.payment(payment_id).version
    bench.drive.ledger.version_floor = 1000
    assert bench.says(payment_id, PENDING, 20).version == before, "what changes nothing has no version"
    for asked, status in ((30, FAILED), (40, COMPLETED)):
        bench.says(payment_id, status, asked)
    events = bench.drive.ledger.events_of(payment_id)[-2:]
    assert [event.id for event in events] == [f"{payment_id}.1001", f"{payment_id}.1002"]
    assert [msgspec.json.decode(event.body)["data"]["version"] for event in events] == [1001, 1002]


@pytest.mark.parametrize("paid_at", [None, NOON + timedelta(seconds=4)])
def test_it_is_completed_when_the_gateway_says_it_was_paid_else_when_that_was_first_answered(
    bench: Bench, paid_at: datetime | None
) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, paid_at=paid_at)
    after = bench.says(payment_id, COMPLETED, 30)
    assert after.completed_at == (paid_at or NOON + timedelta(seconds=11))


def test_fee_method_and_risk_are_those_of_the_money_and_stay_where_a_later_word_names_none(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, fee=Decimal("1.50"), method="bkash", risk=Risk.HIGH)
    bench.says(payment_id, COMPLETED, 15)
    assert bench.drive.payment(payment_id).risk is Risk.HIGH
    bench.says(payment_id, COMPLETED, 20, transaction_id="T2", fee=Decimal("9.00"), method="card", risk=Risk.LOW)
    assert bench.drive.payment(payment_id).hold is Hold.DUPLICATE_FOR_ORDER
    after = bench.resolve(payment_id, COMPLETED, transaction_id="T-panel")
    assert (after.transaction_id, after.fee, after.method) == ("T-panel", Decimal("1.50"), "bkash")
    assert after.risk is Risk.HIGH


def test_a_risk_is_told_with_the_event_and_changes_nothing_else(bench: Bench) -> None:
    payment_id = bench.open()
    after = bench.says(payment_id, COMPLETED, 10, risk=Risk.HIGH)
    assert (after.status, after.hold, after.risk) == (COMPLETED, None, Risk.HIGH)
    event = msgspec.json.decode(bench.drive.ledger.events_of(payment_id)[-1].body)
    assert (event["type"], event["data"]["risk"]) == ("payment.completed", "high")


def test_the_risk_of_money_that_does_not_fit_is_not_the_payments(bench: Bench) -> None:
    payment_id = bench.open()
    assert bench.says(payment_id, COMPLETED, 10, amount=PART, risk=Risk.HIGH).risk is None


def test_an_equal_answer_is_one_fact_with_first_and_last_times(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 20)
    bench.says(payment_id, COMPLETED, 40)
    after = bench.says(payment_id, COMPLETED, 10)
    assert (after.fact_asked_at, after.checked_at) == (NOON + timedelta(seconds=40), NOON + timedelta(seconds=41))
    (fact,) = bench.case(payment_id).facts
    assert [fact.first_asked_at, fact.last_asked_at] == [NOON + timedelta(seconds=10), NOON + timedelta(seconds=40)]


def test_money_after_a_closing_event_is_late(bench: Bench) -> None:
    payment_id = bench.open()
    assert not bench.says(payment_id, FAILED, 10).late
    paid = bench.says(payment_id, COMPLETED, 20)
    assert (paid.status, paid.late) == (COMPLETED, True)
    assert bench.told(payment_id) == ["failed", "completed"]


def test_money_before_any_closing_event_is_not_late(bench: Bench) -> None:
    """A failure that was recorded in the same transaction was never sent as an event."""
    payment_id = bench.open()
    paid = bench.record(bench.reply(payment_id, FAILED, 10), bench.reply(payment_id, COMPLETED, 20))
    assert (paid.status, paid.late) == (COMPLETED, False)
    assert bench.told(payment_id) == ["completed"]


def test_a_payment_first_seen_refunded_sends_only_refunded(bench: Bench) -> None:
    payment_id = bench.open()
    assert bench.says(payment_id, REFUNDED, 10).refunded_amount == AMOUNT
    bench.says(payment_id, REFUNDED, 20)
    assert bench.told(payment_id) == ["refunded"]


def test_the_timeline_says_what_each_change_was(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, None, 10)
    bench.says(payment_id, COMPLETED, 20)
    bench.says(payment_id, COMPLETED, 30, refunded_amount=PART)
    bench.says(payment_id, COMPLETED, 40, refunded_amount=AMOUNT, transaction_id="T2")
    entries = bench.drive.ledger.entries(payment_id)
    assert [one.data["change"] for one in entries if one.kind is EntryKind.DECISION] == [
        "held: unmapped_status",
        "pending rose to completed, unmapped_status was lifted",
        "refunded amount rose to 40.00",
        "completed rose to refunded, refunded amount rose to 100.00, held: duplicate_for_order",
    ]


def test_every_event_shows_the_payment_as_it_stood_then(bench: Bench) -> None:
    """Serialised once, in the transaction of the change."""
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    bench.says(payment_id, COMPLETED, 20, refunded_amount=PART)
    bodies = [msgspec.json.decode(event.body) for event in bench.drive.ledger.events_of(payment_id)]
    assert [body["id"] for body in bodies] == [f"{payment_id}.{version}" for version in (1, 2, 3)]
    assert [body["data"]["status"] for body in bodies] == ["pending", "completed", "completed"]
    assert [body["data"]["refunded_amount"] for body in bodies] == ["0.00", "0.00", "40.00"]


@pytest.mark.parametrize("trace", [None, f"00-{'a' * 32}-{'b' * 16}-01"], ids=["no trace", "a trace"])
def test_an_event_names_its_payment_its_account_its_time_and_its_trace(bench: Bench, trace: str | None) -> None:
    """A CloudEvent in JSON, and beside its bytes the fields that the relay uses."""
    payment_id = bench.open()
    bench.record(replace(bench.reply(payment_id, COMPLETED, 10), traceparent=trace))
    payment, event = bench.drive.payment(payment_id), bench.drive.ledger.events_of(payment_id)[-1]
    body = msgspec.json.decode(event.body)
    assert body.pop("data")["payment_id"] == payment_id
    assert body == {
        "specversion": "1.0",
        "id": f"{payment_id}.2",
        "type": "payment.completed",
        "source": f"/payproof/{payment.merchant}/plain",
        "subject": payment_id,
        "time": "2026-05-17T06:00:11Z",
        "datacontenttype": "application/json",
        "dataschema": "https://pay.example/schemas/payment-1.json",
        **({"traceparent": trace} if trace else {}),
    }
    assert event == Event(
        id=f"{payment_id}.2",
        payment_id=payment_id,
        version=2,
        type=EventType.COMPLETED,
        merchant=payment.merchant,
        account="plain",
        time=NOON + timedelta(seconds=11),
        body=event.body,
        traceparent=trace,
    )


# -- what must fit -----------------------------------------------------------------------------------------------------

MISFITS = [
    ({"reference": "order-other"}, Hold.IDENTITY_MISMATCH),
    ({"session_id": "S-other"}, Hold.IDENTITY_MISMATCH),
    ({"reference": None}, Hold.IDENTITY_MISMATCH),
    ({"currency": "USD"}, Hold.CURRENCY_MISMATCH),
    ({"currency": None}, Hold.CURRENCY_MISMATCH),
    ({"amount": Decimal("99.99")}, Hold.AMOUNT_MISMATCH),
    ({"amount": Decimal("100.01")}, Hold.AMOUNT_MISMATCH),
    ({"amount": None}, Hold.AMOUNT_MISMATCH),
]


@pytest.mark.parametrize("status", [COMPLETED, REFUNDED])
@pytest.mark.parametrize(("fields", "hold"), MISFITS)
def test_a_paid_answer_that_does_not_fit_holds_and_raises_nothing(
    bench: Bench, status: Status, fields: dict[str, Any], hold: Hold
) -> None:
    """PLAIN declares ids, amount and currency, so a missing one is a mismatch."""
    payment_id = bench.open()
    after = bench.says(payment_id, status, 10, **fields)
    assert (after.status, after.holds, after.transaction_id) == (PENDING, (hold,), None)
    assert bench.told(payment_id) == ["held"]


def test_what_is_not_declared_is_unused_when_absent() -> None:
    """No amount in the answer, so the payment is completed and its amount not verified."""
    bench = Bench(PROVING)
    payment_id = bench.open()
    after = bench.says(payment_id, COMPLETED, 10, amount=None, currency=None)
    assert (after.status, after.hold, after.amount_verified) == (COMPLETED, None, False)


def test_what_is_not_declared_is_compared_when_present() -> None:
    bench = Bench(PROVING)
    payment_id = bench.open()
    assert bench.says(payment_id, COMPLETED, 10, amount=Decimal("1.00")).holds == (Hold.AMOUNT_MISMATCH,)


def test_amounts_are_compared_by_value(bench: Bench) -> None:
    """`100.0000` is 100.00."""
    payment_id = bench.open()
    after = bench.says(payment_id, COMPLETED, 10, amount=Decimal("100.0000"))
    assert (after.status, after.hold, after.amount_verified) == (COMPLETED, None, True)


def test_holds_are_shown_in_the_declared_order(bench: Bench) -> None:
    """All that apply are kept."""
    payment_id = bench.open()
    bench.says(payment_id, None, 10)
    bench.says(payment_id, COMPLETED, 20, amount=Decimal("1.00"))
    after = bench.says(payment_id, COMPLETED, 30, reference="order-other", currency="USD")
    assert after.holds == (
        Hold.IDENTITY_MISMATCH,
        Hold.CURRENCY_MISMATCH,
        Hold.AMOUNT_MISMATCH,
        Hold.UNMAPPED_STATUS,
    )
    assert bench.told(payment_id) == ["held", "held", "held"]


def test_beneath_a_hold_of_money_the_status_rises_and_only_held_is_told(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, amount=Decimal("1.00"))
    after = bench.says(payment_id, COMPLETED, 20)
    assert (after.status, after.hold) == (COMPLETED, Hold.AMOUNT_MISMATCH)
    assert bench.told(payment_id) == ["held", "held"]
    assert not after.completed_told
    assert bench.resolve(payment_id, COMPLETED).hold is None
    assert bench.told(payment_id) == ["held", "held", "completed"]


# -- holds that wait ---------------------------------------------------------------------------------------------------


def test_an_unmapped_word_holds_until_a_fitting_answer_asked_later(bench: Bench) -> None:
    """Lifted without a person."""
    payment_id = bench.open()
    assert bench.says(payment_id, None, 10).hold is Hold.UNMAPPED_STATUS
    assert bench.says(payment_id, PENDING, 20).hold is Hold.UNMAPPED_STATUS, "pending lifts nothing"
    assert bench.says(payment_id, COMPLETED, 5).hold is Hold.UNMAPPED_STATUS, "asked before"
    assert bench.says(payment_id, COMPLETED, 10).hold is Hold.UNMAPPED_STATUS, "asked at that moment"
    after = bench.says(payment_id, COMPLETED, 30)
    assert (after.status, after.hold) == (COMPLETED, None)
    assert bench.told(payment_id) == ["held", "held", "completed"]


def test_an_answer_that_does_not_fit_lifts_no_waiting_hold(bench: Bench) -> None:
    """Only an answer that fits lifts it."""
    payment_id = bench.open()
    bench.says(payment_id, None, 10)
    after = bench.says(payment_id, COMPLETED, 20, amount=Decimal("1.00"))
    assert after.holds == (Hold.AMOUNT_MISMATCH, Hold.UNMAPPED_STATUS)


def test_a_closing_answer_lifts_a_waiting_hold_too(bench: Bench) -> None:
    """Any fitting Fact above pending."""
    payment_id = bench.open()
    bench.says(payment_id, None, 10)
    after = bench.says(payment_id, CANCELLED, 20)
    assert (after.status, after.hold) == (CANCELLED, None)
    assert bench.told(payment_id) == ["held", "cancelled"]


def test_an_unmapped_word_about_a_completed_payment_is_released_by_the_next_good_answer(bench: Bench) -> None:
    """Nothing else changed, so the event is `released`."""
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    assert bench.says(payment_id, None, 20).hold is Hold.UNMAPPED_STATUS
    assert bench.says(payment_id, COMPLETED, 30).hold is None
    assert bench.told(payment_id) == ["completed", "held", "released"]


# -- contradiction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [EXPIRED, CANCELLED, FAILED])
def test_an_answer_that_takes_the_money_back_is_a_contradiction_when_asked_after(bench: Bench, status: Status) -> None:
    """Paid, and a question asked after that was answered says otherwise."""
    payment_id = bench.open()
    bench.record(bench.reply(payment_id, COMPLETED, 10, 12))
    assert bench.record(bench.reply(payment_id, status, 11, 30)).hold is None, "asked before the money was answered"
    assert bench.record(bench.reply(payment_id, status, 12, 30)).hold is None, "asked at that moment, not after"
    after = bench.record(bench.reply(payment_id, status, 13, 30))
    assert (after.status, after.hold) == (COMPLETED, Hold.CONTRADICTION)
    assert bench.told(payment_id) == ["completed", "held"]


def test_pending_contradicts_nothing(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    assert bench.says(payment_id, PENDING, 20).hold is None


def test_a_contradiction_stays_when_the_gateway_changes_its_mind_again(bench: Bench) -> None:
    """Only a person lifts it."""
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    bench.says(payment_id, FAILED, 20)
    assert bench.says(payment_id, COMPLETED, 30).hold is Hold.CONTRADICTION


def test_a_failed_answer_about_one_transaction_does_not_contradict_another() -> None:
    """Asked by transaction, each transaction is its own question."""
    bench = Bench(CANDIDATES)
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, by="T1")
    assert bench.says(payment_id, FAILED, 20, by="T2").hold is None
    assert bench.says(payment_id, FAILED, 30, by="T1").hold is Hold.CONTRADICTION


# -- refunds -----------------------------------------------------------------------------------------------------------


def test_the_refunded_amount_is_the_greatest_seen(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    assert bench.says(payment_id, COMPLETED, 20, refunded_amount=PART).refunded_amount == PART
    after = bench.says(payment_id, COMPLETED, 30, refunded_amount=Decimal("60.00"))
    assert (after.status, after.hold, after.refunded_amount) == (COMPLETED, None, Decimal("60.00"))
    assert bench.told(payment_id) == ["completed", "partially_refunded", "partially_refunded"]


def test_a_refund_of_all_of_it_is_refunded(bench: Bench) -> None:
    """Equal to the amount, whatever status the gateway gives."""
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    after = bench.says(payment_id, COMPLETED, 20, refunded_amount=AMOUNT)
    assert (after.status, after.hold, after.refunded_amount) == (REFUNDED, None, AMOUNT)
    assert bench.told(payment_id) == ["completed", "refunded"]


def test_refunded_without_a_figure_is_all_of_it(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    assert bench.says(payment_id, REFUNDED, 20).refunded_amount == AMOUNT


def test_refunded_with_a_smaller_figure_is_a_partial_refund(bench: Bench) -> None:
    """The figure counts."""
    payment_id = bench.open()
    after = bench.says(payment_id, REFUNDED, 20, refunded_amount=PART)
    assert (after.status, after.refunded_amount) == (COMPLETED, PART)
    assert bench.told(payment_id) == ["completed"]


def test_a_refund_above_the_amount_is_held(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    after = bench.says(payment_id, COMPLETED, 20, refunded_amount=Decimal("100.01"))
    assert (after.status, after.hold, after.refunded_amount) == (COMPLETED, Hold.AMOUNT_MISMATCH, Decimal("0.00"))


def test_a_refund_is_told_in_paisas_and_never_as_more_than_it_is(bench: Bench) -> None:
    """A fraction of a paisa short of all of it is not all of it."""
    payment_id = bench.open()
    after = bench.says(payment_id, COMPLETED, 10, refunded_amount=Decimal("99.996"))
    assert (after.status, after.hold, after.refunded_amount) == (COMPLETED, None, Decimal("99.99"))


def test_a_smaller_refund_asked_later_is_a_contradiction(bench: Bench) -> None:
    """An answer that was asked for earlier is only late."""
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 20, refunded_amount=PART)
    assert bench.says(payment_id, COMPLETED, 10, refunded_amount=Decimal("10.00")).hold is None
    after = bench.says(payment_id, COMPLETED, 30, refunded_amount=Decimal("20.00"))
    assert (after.hold, after.refunded_amount) == (Hold.CONTRADICTION, PART)


def test_an_answer_silent_on_refunds_contradicts_a_full_refund_only(bench: Bench) -> None:
    """Refunded, and a later question says completed. About a partial refund such an answer says nothing."""
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, refunded_amount=PART)
    assert bench.says(payment_id, COMPLETED, 20).hold is None
    bench.says(payment_id, REFUNDED, 30)
    after = bench.says(payment_id, COMPLETED, 40)
    assert (after.status, after.hold) == (REFUNDED, Hold.CONTRADICTION)


# -- one transaction, one payment; one order, one payment --------------------------------------------------------------


def test_a_transaction_of_another_payment_is_held_and_the_first_recorded_keeps_it(bench: Bench) -> None:
    first, second = bench.open(), bench.open()
    bench.says(first, COMPLETED, 20)
    after = bench.says(second, COMPLETED, 10)
    assert (after.status, after.holds, after.transaction_id) == (PENDING, (Hold.TRANSACTION_REUSED,), None)
    assert bench.drive.payment(first).hold is None
    assert bench.told(first) == ["completed"]


def test_a_collision_holds_one_payment_and_the_batch_goes_on(bench: Bench) -> None:
    payments = [bench.open() for _ in range(4)]
    bench.record(*(bench.reply(one, COMPLETED, 10, transaction_id=f"T{n // 2}") for n, one in enumerate(payments)))
    holds = [bench.drive.payment(one).hold for one in payments]
    assert holds == [None, Hold.TRANSACTION_REUSED, None, Hold.TRANSACTION_REUSED]


@pytest.mark.parametrize("status", [PENDING, FAILED, CANCELLED, EXPIRED, None])
def test_only_money_takes_a_transaction(bench: Bench, status: Status | None) -> None:
    """A gateway may name a transaction before anything is paid."""
    first, second = bench.open(), bench.open()
    bench.says(first, status, 10, transaction_id="T1")
    after = bench.says(second, COMPLETED, 20, transaction_id="T1")
    assert (after.status, after.hold) == (COMPLETED, None)


@pytest.mark.parametrize(("account", "echoed"), [(PROVING, {}), (SILENT, {"session_id": None})])
def test_where_no_transaction_is_reported_the_session_stands_in(account: Account, echoed: dict[str, Any]) -> None:
    """The session that the answer names, else ours."""
    bench = Bench(account)
    payment_id = bench.open()
    after = bench.says(payment_id, COMPLETED, 10, transaction_id=None, **echoed)
    assert (after.status, after.transaction_id) == (COMPLETED, after.session_id)
    assert after.session_id == "S-001"


def test_a_transaction_named_later_is_no_second_payment() -> None:
    """The first answer named no transaction, the next names it; the money is the same."""
    bench = Bench(PROVING)
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, transaction_id=None)
    after = bench.says(payment_id, COMPLETED, 20, transaction_id="T1")
    assert (after.status, after.hold, after.transaction_id) == (COMPLETED, None, "T1")
    assert bench.says(payment_id, COMPLETED, 30, transaction_id=None).transaction_id == "T1"
    assert bench.told(payment_id) == ["completed"]


def test_a_second_transaction_for_one_payment_is_held_as_completed(bench: Bench) -> None:
    """Paid twice; the transaction answered first is the payment's, whichever was recorded first."""
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 20, transaction_id="T2")
    after = bench.says(payment_id, COMPLETED, 10, transaction_id="T1")
    assert (after.status, after.hold, after.transaction_id) == (COMPLETED, Hold.DUPLICATE_FOR_ORDER, "T1")
    assert bench.says(payment_id, COMPLETED, 40, transaction_id="T1").transaction_id == "T1", "answered first, and last"
    assert bench.told(payment_id) == ["completed", "held"]


def test_the_second_paid_attempt_of_an_order_is_held_as_completed(bench: Bench) -> None:
    first, second = bench.open(order_ref="basket-9"), bench.open(order_ref="basket-9")
    other = bench.open(order_ref="basket-10")
    bench.says(first, COMPLETED, 10)
    bench.says(other, COMPLETED, 10, transaction_id="T3")
    after = bench.says(second, COMPLETED, 20, transaction_id="T2")
    assert (after.status, after.hold, after.transaction_id) == (COMPLETED, Hold.DUPLICATE_FOR_ORDER, "T2")
    assert bench.told(second) == ["held"]
    assert bench.drive.payment(first).hold is bench.drive.payment(other).hold is None


def test_an_attempt_that_failed_leaves_the_order_to_the_next(bench: Bench) -> None:
    """Only a paid attempt takes the order."""
    first, second = bench.open(order_ref="basket-9"), bench.open(order_ref="basket-9")
    bench.says(first, FAILED, 10)
    assert bench.says(second, COMPLETED, 20).hold is None


def test_a_reused_transaction_does_not_take_the_order(bench: Bench) -> None:
    """It raises no status, so the order is not paid by it."""
    elsewhere = bench.open()
    attempt, honest = bench.open(order_ref="basket-9"), bench.open(order_ref="basket-9")
    bench.says(elsewhere, COMPLETED, 10)
    assert bench.says(attempt, COMPLETED, 20).hold is Hold.TRANSACTION_REUSED
    after = bench.says(honest, COMPLETED, 30, transaction_id="T2")
    assert (after.status, after.hold) == (COMPLETED, None)


def test_a_session_of_another_payment_is_no_identity(bench: Bench) -> None:
    """Nor does an answer that names it take the other payment's transaction."""
    owner = bench.open()
    row = bench.drive.new()
    at_once(bench.drive.ledger.create(row, {}, timedelta(seconds=45)))
    session = bench.drive.payment(owner).session_id
    after = bench.says(row.id, COMPLETED, 10, session_id=session)
    assert (after.status, after.holds) == (PENDING, (Hold.IDENTITY_MISMATCH,))
    paid = bench.says(owner, COMPLETED, 20)
    assert (paid.status, paid.hold) == (COMPLETED, None)


def test_a_session_that_an_opening_replaced_is_still_ours(bench: Bench) -> None:
    payment_id = bench.open()
    row = bench.drive.payment(payment_id)

    async def replaced() -> None:
        async with bench.drive.ledger.batch([payment_id]) as batch:
            await batch.reserve([Keys.of(row, sessions=["S-new"])])
            await batch.store([Change(payment=replace(row, session_id="S-new", aliases=(row.session_id,)))])
            await batch.commit()

    at_once(replaced())
    assert bench.says(payment_id, COMPLETED, 10, session_id=row.session_id).status is COMPLETED


# -- resolutions -------------------------------------------------------------------------------------------------------


def held(bench: Bench) -> str:
    """A payment held because a taka is missing."""
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, amount=Decimal("99.00"))
    return payment_id


def refusal(bench: Bench, payment_id: str, status: Status, **fields: Any) -> ResolutionRefused:
    before = bench.case(payment_id)
    with pytest.raises(ResolutionRefused) as caught:
        bench.resolve(payment_id, status, **fields)
    assert bench.case(payment_id) == before, "a refusal changes nothing"
    return caught.value


def refused(bench: Bench, payment_id: str, status: Status, **fields: Any) -> str:
    return refusal(bench, payment_id, status, **fields).code


def test_a_person_completes_a_held_payment(bench: Bench) -> None:
    """The money's transaction is kept with it."""
    payment_id = held(bench)
    after = bench.resolve(payment_id, COMPLETED, evidence="statement of 17 May")
    assert (after.status, after.hold, after.transaction_id) == (COMPLETED, None, "T1")
    assert bench.told(payment_id) == ["held", "completed"]
    assert bench.case(payment_id).resolutions[0].evidence == "statement of 17 May"


@pytest.mark.parametrize("evidence", [{}, {"evidence": "statement of 17 May"}], ids=str)
def test_the_timeline_shows_who_decided_what_and_why(bench: Bench, evidence: dict[str, Any]) -> None:
    payment_id = held(bench)
    bench.resolve(payment_id, COMPLETED, **evidence)
    (entry,) = [one for one in bench.drive.ledger.entries(payment_id) if one.kind is EntryKind.RESOLUTION]
    said = {"status": "completed", "actor": "rahima", "reason": "asked the gateway", "settles": ["amount_mismatch"]}
    assert (entry.at, entry.data) == (bench.drive.clock.now, said | evidence)


def test_a_refusal_says_why_and_what_is_to_blame_and_who_decided_before(bench: Bench) -> None:
    """As the API's problem and the console show it."""

    def told(payment_id: str, status: Status, **fields: Any) -> tuple[str, str | None]:
        error = refusal(bench, payment_id, status, **fields)
        return str(error), error.field

    free, mine = bench.open(), held(bench)
    assert told(free, COMPLETED) == ("only a held payment can be resolved", None)
    assert told(mine, COMPLETED, version=1) == ("the payment is at version 2", "version")
    bench.says(free, COMPLETED, 20, transaction_id="T9")
    used = ("another payment has this transaction", "transaction_id")
    assert told(mine, COMPLETED, transaction_id="T9") == used
    bench.resolve(mine, COMPLETED)
    decided = f"rahima resolved it as completed at {bench.drive.clock.now:%Y-%m-%d %H:%M:%S} UTC"
    assert told(mine, REFUNDED) == (f"only a held payment can be resolved; {decided}", None)
    bench.says(mine, FAILED, 60)
    lower = f"the payment is completed already; it never falls; {decided}"
    assert told(mine, FAILED) == (lower, "status")
    assert told(mine, COMPLETED, version=3) == (f"the payment is at version 4; {decided}", "version")


def test_what_a_person_settled_neither_moves_nor_holds_again(bench: Bench) -> None:
    payment_id = held(bench)
    bench.resolve(payment_id, FAILED)
    after = bench.says(payment_id, COMPLETED, 20, amount=Decimal("99.00"))
    assert (after.status, after.hold) == (FAILED, None)
    assert bench.told(payment_id) == ["held", "failed"]


@pytest.mark.parametrize("status", [COMPLETED, REFUNDED])
def test_of_money_that_a_person_called_failed_nothing_is_recorded_though_it_fits_later(status: Status) -> None:
    """Asked while the checkout was opened again, it named a session unknown then, and known at the next answer."""
    bench = Bench(SILENT)
    payment_id = bench.open()
    assert bench.says(payment_id, status, -1, reference=None).holds == (Hold.IDENTITY_MISMATCH,)
    bench.resolve(payment_id, FAILED)
    after = bench.says(payment_id, status, 20, reference=None)
    assert (after.status, after.hold, after.version) == (FAILED, None, 3)
    assert (after.completed_at, after.transaction_id, after.refunded_amount) == (None, None, Decimal("0.00"))


def test_a_different_answer_after_a_resolution_holds_again(bench: Bench) -> None:
    payment_id = held(bench)
    bench.resolve(payment_id, PENDING)
    assert bench.told(payment_id) == ["held", "released"]
    assert bench.says(payment_id, COMPLETED, 20, amount=Decimal("98.00")).hold is Hold.AMOUNT_MISMATCH


def test_a_different_answer_after_a_resolution_moves(bench: Bench) -> None:
    """Money that fits, of another transaction than the one a person called failed."""
    payment_id = held(bench)
    bench.resolve(payment_id, FAILED)
    after = bench.says(payment_id, COMPLETED, 20, transaction_id="T2")
    assert (after.status, after.hold, after.transaction_id, after.late) == (COMPLETED, None, "T2", True)


def test_a_second_transaction_after_a_resolution_is_held(bench: Bench) -> None:
    payment_id = held(bench)
    bench.resolve(payment_id, COMPLETED)
    assert bench.says(payment_id, COMPLETED, 20, transaction_id="T2").hold is Hold.DUPLICATE_FOR_ORDER


def test_a_second_attempt_resolved_as_paid_is_held_as_a_duplicate_until_a_person_has_seen_that(bench: Bench) -> None:
    """The person judged the amount, and had not seen that the order is paid already."""
    first, second = bench.open(order_ref="basket-9"), bench.open(order_ref="basket-9")
    bench.says(first, COMPLETED, 10)
    bench.says(second, COMPLETED, 20, transaction_id="T2", amount=Decimal("1.00"))
    after = bench.resolve(second, COMPLETED)
    assert (after.status, after.hold) == (COMPLETED, Hold.DUPLICATE_FOR_ORDER)
    assert bench.resolve(second, COMPLETED, reason="the buyer wants both").hold is None
    assert bench.told(second) == ["held", "held", "completed"]


def test_a_contradiction_that_was_settled_comes_back_with_another_word(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    bench.says(payment_id, FAILED, 20)
    bench.resolve(payment_id, COMPLETED)
    assert bench.says(payment_id, FAILED, 30).hold is None
    assert bench.says(payment_id, CANCELLED, 40).hold is Hold.CONTRADICTION
    assert bench.told(payment_id) == ["completed", "held", "released", "held"]


def decided(bench: Bench, status: Status, **fields: Any) -> str:
    """A payment that only a person called paid, 12 seconds after its opening."""
    payment_id = bench.open()
    bench.says(payment_id, None, 10)
    assert bench.resolve(payment_id, status, **fields).status is status
    return payment_id


@pytest.mark.parametrize("word", [COMPLETED, REFUNDED])
@pytest.mark.parametrize("status", [EXPIRED, CANCELLED, FAILED])
def test_an_answer_asked_after_a_person_said_paid_that_closes_it_is_a_contradiction(
    bench: Bench, status: Status, word: Status
) -> None:
    """A payment that a person called paid is paid."""
    payment_id = decided(bench, word)
    assert bench.drive.payment(payment_id).completed_at == NOON + timedelta(seconds=12)
    assert bench.says(payment_id, status, 12).hold is None, "asked at that moment, not after"
    after = bench.says(payment_id, status, 13)
    assert (after.status, after.holds) == (word, (Hold.CONTRADICTION,))


@pytest.mark.parametrize(
    ("status", "refunded", "hold"),
    [
        (PENDING, None, None),
        (COMPLETED, None, Hold.CONTRADICTION),
        (COMPLETED, PART, Hold.CONTRADICTION),
        (COMPLETED, AMOUNT, None),
        (REFUNDED, None, None),
    ],
)
def test_an_answer_asked_after_a_person_said_refunded_that_shows_less_back_is_a_contradiction(
    bench: Bench, status: Status, refunded: Decimal | None, hold: Hold | None
) -> None:
    """Refunded, and a later question says completed or a smaller refund; `pending` contradicts nothing."""
    payment_id = decided(bench, REFUNDED)
    after = bench.says(payment_id, status, 20, refunded_amount=refunded)
    assert (after.status, after.hold) == (REFUNDED, hold)


@pytest.mark.parametrize(
    ("recorded", "about", "hold"),
    [("T1", "T2", None), ("T1", "T1", Hold.CONTRADICTION), (None, "T1", Hold.CONTRADICTION)],
)
def test_only_an_answer_about_the_transaction_that_a_person_recorded_contradicts_them(
    recorded: str | None, about: str, hold: Hold | None
) -> None:
    """Asked by transaction, each transaction is its own question. Where none was recorded, every answer counts."""
    bench = Bench(CANDIDATES)
    payment_id = decided(bench, COMPLETED, transaction_id=recorded)
    assert bench.says(payment_id, FAILED, 20, by=about).hold is hold


def test_money_announced_that_is_not_there_is_resolved_as_refunded(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    bench.says(payment_id, FAILED, 20)
    after = bench.resolve(payment_id, REFUNDED)
    assert (after.status, after.hold, after.refunded_amount) == (REFUNDED, None, AMOUNT)
    assert bench.told(payment_id) == ["completed", "held", "refunded"]
    assert bench.says(payment_id, COMPLETED, 30).hold is None, "equal to the resolved answers"


def test_the_same_resolution_again_is_taken_and_another_is_not(bench: Bench) -> None:
    payment_id = held(bench)
    first = bench.resolve(payment_id, COMPLETED)
    again = bench.resolve(payment_id, COMPLETED)
    assert again.version == first.version
    assert len(bench.case(payment_id).resolutions) == 1
    assert refused(bench, payment_id, REFUNDED) == "not_held"


@pytest.mark.parametrize("other", ["actor", "reason", "evidence", "transaction_id"])
def test_a_resolution_that_differs_in_anything_is_another(bench: Bench, other: str) -> None:
    said = {"actor": "rahima", "reason": "seen", "evidence": "statement of 17 May", "transaction_id": "T7"}
    payment_id = held(bench)
    first = bench.resolve(payment_id, COMPLETED, **said)
    assert bench.resolve(payment_id, COMPLETED, **said) == first
    assert refused(bench, payment_id, COMPLETED, **said | {other: "another"}) == "not_held"


def test_only_a_held_payment_can_be_resolved(bench: Bench) -> None:
    assert refused(bench, bench.open(), COMPLETED) == "not_held"


def test_a_resolution_to_a_lower_status_is_refused(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10)
    bench.says(payment_id, FAILED, 20)
    for status in (PENDING, EXPIRED, CANCELLED, FAILED):
        assert refused(bench, payment_id, status) == "lower_status"


def test_a_resolution_of_an_older_version_is_refused(bench: Bench) -> None:
    payment_id = held(bench)
    assert refused(bench, payment_id, COMPLETED, version=1) == "version_conflict"
    assert bench.resolve(payment_id, COMPLETED, version=2).hold is None


def test_a_transaction_another_payment_has_is_refused(bench: Bench) -> None:
    owner = bench.open()
    bench.says(owner, COMPLETED, 5, transaction_id="T9")
    payment_id = held(bench)
    assert refused(bench, payment_id, COMPLETED, transaction_id="T9") == "transaction_used"
    assert bench.resolve(payment_id, COMPLETED, transaction_id="T8").transaction_id == "T8"
    third = bench.open()
    assert bench.says(third, COMPLETED, 30, transaction_id="T8").hold is Hold.TRANSACTION_REUSED


def test_a_payment_is_not_completed_by_a_reused_transaction_unless_another_is_named(bench: Bench) -> None:
    """The payment recorded first keeps it, and one transaction pays one payment."""
    owner, payment_id = bench.open(), bench.open()
    bench.says(owner, COMPLETED, 5)
    held = bench.says(payment_id, COMPLETED, 10)
    assert refusal(bench, payment_id, COMPLETED).code == "transaction_used"
    assert bench.drive.payment(payment_id) == held
    after = bench.resolve(payment_id, COMPLETED, transaction_id="T-panel")
    assert (after.status, after.transaction_id) == (COMPLETED, "T-panel")
    assert bench.drive.payment(owner).transaction_id == "T1"


def test_after_a_reused_transaction_was_called_failed_new_money_counts(bench: Bench) -> None:
    """The reused transaction stays its owner's, and the batch does not fail."""
    owner, payment_id = bench.open(), bench.open()
    bench.says(owner, COMPLETED, 5)
    bench.says(payment_id, COMPLETED, 10)
    bench.resolve(payment_id, FAILED)
    after = bench.says(payment_id, COMPLETED, 20, transaction_id="T2")
    assert (after.status, after.hold, after.transaction_id) == (COMPLETED, None, "T2")


def test_what_one_resolution_settled_the_next_does_not_bring_back(bench: Bench) -> None:
    """The order's duplicate was resolved first, then a contradiction came and was resolved."""
    first, second = bench.open(order_ref="basket-9"), bench.open(order_ref="basket-9")
    bench.says(first, COMPLETED, 10)
    bench.says(second, COMPLETED, 20, transaction_id="T2")
    bench.resolve(second, COMPLETED)
    assert bench.says(second, FAILED, 200).holds == (Hold.CONTRADICTION,)
    assert bench.resolve(second, COMPLETED).holds == ()


def test_a_person_who_completes_a_second_attempt_of_a_paid_order_is_told_so_once() -> None:
    """A collision holds the payment, even one that a person causes. Their second decision covers that too."""
    bench = Bench(SILENT)
    first, second = bench.open(order_ref="basket-9"), bench.open(order_ref="basket-9")
    for payment_id in (first, second):
        at_once(bench.drive.hit(payment_id, Said.SUCCESS))
    assert bench.resolve(first, COMPLETED).hold is None
    assert bench.resolve(second, COMPLETED).hold is Hold.DUPLICATE_FOR_ORDER
    assert bench.resolve(second, COMPLETED).hold is None


def test_an_unverifiable_payment_is_resolved_once_and_the_success_page_brings_it_back_to_nobody() -> None:
    """Opening the success page again brings no new task to a person."""
    bench = Bench(SILENT)
    payment_id = bench.open()
    at_once(bench.drive.hit(payment_id, Said.SUCCESS))
    assert bench.drive.payment(payment_id).hold is Hold.UNVERIFIABLE
    after = bench.resolve(payment_id, COMPLETED, transaction_id="STATEMENT-1")
    assert (after.status, after.hold, after.transaction_id) == (COMPLETED, None, "STATEMENT-1")
    at_once(bench.drive.hit(payment_id, Said.SUCCESS, source=Source.IPN))
    assert bench.told(payment_id) == ["held", "completed"]


def test_a_success_page_opened_after_a_person_decided_of_something_else_puts_nothing_before_them() -> None:
    bench = Bench(SILENT)
    payment_id = bench.open()
    assert bench.says(payment_id, COMPLETED, 10, amount=Decimal("1.00")).hold is Hold.AMOUNT_MISMATCH
    assert bench.resolve(payment_id, FAILED).hold is None
    at_once(bench.drive.hit(payment_id, Said.SUCCESS))
    assert bench.drive.payment(payment_id).hold is None


# -- rows that were never opened (section 5) ---------------------------------------------------------------------------


def unopened(bench: Bench) -> str:
    row = bench.drive.new(bench.account)
    at_once(bench.drive.ledger.create(row, {}, timedelta(seconds=45)))
    return row.id


def test_a_row_never_opened_closes_without_an_event(bench: Bench) -> None:
    payment_id = unopened(bench)
    after = bench.says(payment_id, EXPIRED, 10)
    assert (after.status, after.version) == (EXPIRED, 0)
    assert bench.told(payment_id) == []


def test_a_row_never_opened_that_is_paid_is_told_and_not_late(bench: Bench) -> None:
    payment_id = unopened(bench)
    bench.says(payment_id, EXPIRED, 10)
    after = bench.says(payment_id, COMPLETED, 20, session_id="S-9")
    assert (after.status, after.version, after.late, after.session_id) == (COMPLETED, 1, False, "S-9")
    assert bench.told(payment_id) == ["completed"]


@pytest.mark.parametrize("first", ["S-9", None])
def test_a_session_and_none_about_a_row_never_opened_are_two_payments_of_money_in_either_order(
    first: str | None,
) -> None:
    """A session that an answer named says nothing about an answer without a session."""
    bench = Bench(SILENT)
    payment_id = unopened(bench)
    for session_id in (first, "S-9" if first is None else None):
        after = bench.says(payment_id, COMPLETED, 10, session_id=session_id, transaction_id=None)
    assert (after.status, after.hold) == (COMPLETED, Hold.DUPLICATE_FOR_ORDER)


def test_a_row_never_opened_whose_hold_was_told_closes_with_an_event(bench: Bench) -> None:
    """A subscriber that got the `held` event also gets an event when the hold ends."""
    payment_id = unopened(bench)
    bench.says(payment_id, None, 10)
    after = bench.says(payment_id, CANCELLED, 20)
    assert (after.hold, after.version) == (None, 2)
    assert bench.told(payment_id) == ["held", "cancelled"]


def test_the_session_of_an_opening_is_what_answers_must_echo(bench: Bench) -> None:
    payment_id = bench.open(outcome=Opened(session_id="S-mine", checkout_url="https://gateway.example/pay"))
    assert bench.says(payment_id, COMPLETED, 10, session_id="S-mine").hold is None
