"""Rows of statements as Facts: where the gateway cannot be asked, they count as of their own time, in any order, once.

A statement is exported again and again. So every row here also comes twice, late and among newer rows, and must change
nothing then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count, pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consumers.account import Account
from consumers.commands.adopt import NotAdopted, adopt
from consumers.commands.resolve import ResolutionRequest, resolve_payment
from consumers.explain.explain import explain_payment
from consumers.explain.snapshot import PaymentSnapshot
from consumers.ports.reply import Reply
from consumers.reconciliation.statement_facts import Recorded, StatementEntry, StatementSource, record_lines
from consumers.reconciliation.unexpected import PaymentOfLine, UnmatchedLine, record_unexpected
from schemas.answers import Answer, Fact, Question
from schemas.payments import Case, Payment
from schemas.statements import Line
from schemas.words import EntryKind, Hold, Status
from schemas.words import Said as Claimed
from tests.fakes.clock import NOON
from tests.fakes.drive import AMOUNT, Drive, at_once
from tests.fakes.providers import ACCOUNTS, CANDIDATES, PLAIN, SILENT

COMPLETED, FAILED, PENDING, REFUNDED = Status.COMPLETED, Status.FAILED, Status.PENDING, Status.REFUNDED
CANCELLED, EXPIRED = Status.CANCELLED, Status.EXPIRED
PART = Decimal("40.00")


def seconds(after: float) -> datetime:
    return NOON + timedelta(seconds=after)


def a_row(status: Status = COMPLETED, at: float | None = 10, **fields: Any) -> Line:
    given: dict[str, Any] = {
        "row": 17,
        "kind": "payment",
        "status": status,
        "word": status.upper(),
        "amount": AMOUNT,
        "transaction_id": "T1",
        "at": None if at is None else seconds(at),
    }
    return Line(**(given | fields))


def a_refund(amount: Decimal = PART, at: float | None = 20, **fields: Any) -> Line:
    return a_row(REFUNDED, at, **({"row": 18, "kind": "refund", "amount": amount} | fields))


class Desk:
    """Statements over the fake ledger. Times are seconds after the opening."""

    def __init__(self, account: Account = SILENT) -> None:
        self.drive = Drive()
        self.account = account
        self._ids = count(1)

    def about(self, newest: float = 30, **fields: Any) -> StatementSource:
        given: dict[str, Any] = {"account": self.account.id, "name": "march.csv", "newest": seconds(newest)}
        return StatementSource(**(given | fields))

    def open(self, **fields: Any) -> str:
        return at_once(self.drive.open(self.account, **fields))

    def after(self, moment: float) -> None:
        self.drive.clock.set(max(self.drive.clock.now, seconds(moment)))

    def record(self, *said: StatementEntry, about: StatementSource | None = None) -> list[Recorded]:
        self.after(60)
        return at_once(record_lines(self.drive.ledger, self.drive.rules, about or self.about(), said))

    def says(self, payment_id: str, line: Line, refunded: Decimal | None = None, **about: Any) -> Payment:
        self.record(StatementEntry(payment_id=payment_id, line=line, refunded=refunded), about=self.about(**about))
        return self.drive.payment(payment_id)

    def finds(self, *strays: UnmatchedLine, **about: Any) -> list[PaymentOfLine]:
        self.after(60)
        drive = self.drive
        given = (drive.ledger, drive.rules, self.account, self.about(**about), strays)
        return at_once(record_unexpected(*given, lambda: f"pay_f{next(self._ids):025d}"))

    def found(self, line: Line, **stray: Any) -> str:
        (found,) = self.finds(UnmatchedLine(line=line, **stray))
        return found.payment_id

    def wanted(self, reference: str, **fields: Any) -> Payment:
        return self.drive.new(self.account, reference=reference, **fields)

    def adopt(self, found_id: str, **fields: Any) -> Payment | NotAdopted:
        self.drive.clock.advance(1)
        reference = fields.pop("reference", self.drive.payment(found_id).reference)
        wanted = self.wanted(reference, **fields)
        return at_once(adopt(self.drive.ledger, self.drive.rules, found_id, wanted, {"body": "b"}))

    def answered(self, payment_id: str, status: Status, asked: float, **fields: Any) -> Payment:
        at = seconds(asked)
        self.after(asked)
        payment = self.drive.payment(payment_id)
        echoed = {"session_id": "S-1", "reference": payment.reference, "amount": AMOUNT, "currency": "BDT"}
        echoed |= {"transaction_id": "T1"} if status.paid else {}
        outcome = Answer(**{"status": status, "word": "W", **echoed, **fields})
        question = Question(transaction_id="T1" if self.account is CANDIDATES else None)
        reply = Reply(payment_id=payment_id, question=question, asked_at=at, answered_at=at, outcome=outcome)
        at_once(self.drive.record([reply]))
        return self.drive.payment(payment_id)

    def case(self, payment_id: str) -> Case:
        case = self.drive.ledger.case(payment_id)
        assert case is not None
        return case

    def told(self, payment_id: str) -> list[str]:
        return [kind.removeprefix("payment.") for kind in self.drive.told(payment_id)]

    def versions(self, payment_id: str) -> list[int]:
        return [event.version for event in self.drive.ledger.events_of(payment_id)]

    def resolve(self, payment_id: str, status: Status) -> Payment:
        self.drive.clock.advance(1)
        wish = ResolutionRequest(status=status, actor="rahima", reason="seen in the panel")
        return at_once(resolve_payment(self.drive.ledger, self.drive.rules, payment_id, wish))

    def dossier(self, payment_id: str) -> PaymentSnapshot:
        return PaymentSnapshot(
            case=self.case(payment_id),
            entries=self.drive.ledger.entries(payment_id),
            now=self.drive.clock.now,
            checks=self.drive.rules.checks,
            account=self.account,
        )

    def story(self, payment_id: str) -> list[str]:
        return [one.words for one in explain_payment(self.dossier(payment_id)).story]


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- a row about a payment that we know --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        (a_row(COMPLETED), COMPLETED, ["completed"]),
        (a_row(FAILED), FAILED, ["failed"]),
        (a_row(CANCELLED), CANCELLED, ["cancelled"]),
        (a_row(EXPIRED), EXPIRED, ["expired"]),
        (a_row(REFUNDED), REFUNDED, ["refunded"]),
        (a_row(PENDING), PENDING, []),
    ],
    ids=lambda one: one.status if isinstance(one, Line) else "",
)
def test_a_row_that_fits_moves_the_payment_as_an_answer_would(
    desk: Desk, line: Line, status: Status, told: list[str]
) -> None:
    payment_id = desk.open()
    payment = desk.says(payment_id, line)
    assert (payment.status, payment.holds, desk.told(payment_id)) == (status, (), told)
    assert desk.versions(payment_id) == list(range(1, len(told) + 2))


def test_a_row_of_money_fills_in_what_the_gateway_would_have_told(desk: Desk) -> None:
    payment_id = desk.open()
    payment = desk.says(payment_id, a_row(fee=Decimal("1.50")))
    assert (payment.transaction_id, payment.fee, payment.amount_verified) == ("T1", Decimal("1.50"), True)
    assert (payment.completed_at, payment.checked_at) == (seconds(10), seconds(10))


def test_a_row_without_a_time_is_of_the_newest_of_its_statement_and_none_is_of_the_future(desk: Desk) -> None:
    first, second = desk.open(), desk.open()
    desk.says(first, a_row(at=None), newest=25)
    desk.says(second, a_row(at=9_999, transaction_id="T2"))
    assert [fact.first_asked_at for fact in desk.case(first).facts] == [seconds(25)]
    assert [fact.last_answered_at for fact in desk.case(second).facts] == [seconds(60)]
    assert desk.case(second).payment.completed_at == seconds(60)


@pytest.mark.parametrize(
    ("fields", "hold"),
    [
        ({"amount": Decimal("99.99")}, Hold.AMOUNT_MISMATCH),
        ({"reference": "order-other"}, Hold.IDENTITY_MISMATCH),
        ({"session_id": "S-other"}, Hold.IDENTITY_MISMATCH),
        ({"transaction_id": "T-taken"}, Hold.TRANSACTION_REUSED),
    ],
)
def test_a_row_that_does_not_fit_holds_and_is_not_believed(desk: Desk, fields: dict[str, Any], hold: Hold) -> None:
    other = desk.open()
    desk.says(other, a_row(transaction_id="T-taken"))
    payment_id = desk.open()
    payment = desk.says(payment_id, a_row(**fields))
    assert (payment.status, payment.holds) == (PENDING, (hold,))
    assert desk.told(payment_id) == ["held"]


def test_a_second_attempt_of_a_paid_order_is_held(desk: Desk) -> None:
    first, second = desk.open(order_ref="o"), desk.open(order_ref="o")
    desk.says(first, a_row())
    payment = desk.says(second, a_row(transaction_id="T2"))
    assert (payment.status, payment.hold) == (COMPLETED, Hold.DUPLICATE_FOR_ORDER)


@pytest.mark.parametrize("claimed", [0, 20], ids=["claimed before the row", "claimed after the row"])
def test_a_claim_that_nobody_could_verify_is_verified_by_a_row_of_money(desk: Desk, claimed: int) -> None:
    payment_id = desk.open()
    desk.drive.clock.advance(claimed)
    at_once(desk.drive.hit(payment_id, Claimed.SUCCESS))
    assert desk.drive.payment(payment_id).hold is Hold.UNVERIFIABLE
    payment = desk.says(payment_id, a_row(at=10))
    assert (payment.status, payment.hold, desk.told(payment_id)) == (COMPLETED, None, ["held", "completed"])


def test_a_row_of_a_failure_before_the_claim_leaves_it_to_a_person(desk: Desk) -> None:
    payment_id = desk.open()
    desk.drive.clock.advance(20)
    at_once(desk.drive.hit(payment_id, Claimed.SUCCESS))
    assert desk.says(payment_id, a_row(FAILED, at=10)).hold is Hold.UNVERIFIABLE
    assert desk.says(payment_id, a_row(CANCELLED, at=40)).hold is None


def test_money_in_a_statement_after_the_clock_closed_is_late(desk: Desk) -> None:
    payment_id = desk.open()
    at_once(desk.drive.wait(timedelta(hours=2)))
    assert desk.drive.payment(payment_id).status is EXPIRED
    payment = desk.says(payment_id, a_row(at=100))
    assert (payment.status, payment.late, desk.told(payment_id)) == (COMPLETED, True, ["expired", "completed"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (a_row(fee=Decimal("1.50")), {"amount": AMOUNT, "fee": Decimal("1.50"), "paid_at": seconds(10)}),
        (a_row(FAILED, fee=PART), {"status": FAILED, "word": "FAILED", "amount": AMOUNT, "fee": PART}),
        (a_refund(fee=Decimal("0.50")), {"word": "REFUNDED", "refunded_amount": PART}),
        (a_row(reference="order 7/8"), {"amount": AMOUNT, "paid_at": seconds(10)}),
    ],
    ids=["money", "failure", "refund", "reference that no payment can have"],
)
def test_a_row_is_an_answer_and_that_of_a_refund_says_nothing_of_the_money_before(
    desk: Desk, line: Line, said: dict[str, Any]
) -> None:
    payment_id = desk.open()
    desk.says(payment_id, line)
    given = {"status": COMPLETED, "word": "COMPLETED", "currency": "BDT", "transaction_id": "T1"}
    assert [fact.answer for fact in desk.case(payment_id).facts] == [Answer(**(given | said))]


@pytest.mark.parametrize("account", [one for one in ACCOUNTS if one is not SILENT], ids=lambda one: one.id)
def test_where_the_gateway_can_be_asked_its_statement_is_no_fact(account: Account) -> None:
    desk = Desk(account)
    payment_id = desk.open()
    (recorded,) = desk.record(StatementEntry(payment_id=payment_id, line=a_row()))
    assert (recorded.outcome, desk.case(payment_id).facts) == ("ask", ())


def test_of_money_that_a_statement_brought_its_rows_count_until_the_shop_announces_it() -> None:
    desk = Desk(PLAIN)
    payment_id = desk.found(a_row(reference="theirs"))
    assert desk.says(payment_id, a_refund(), refunded=PART).refunded_amount == PART
    assert isinstance(desk.adopt(payment_id), Payment)
    (recorded,) = desk.record(StatementEntry(payment_id=payment_id, line=a_refund(at=25), refunded=AMOUNT))
    assert (recorded.outcome, desk.drive.payment(payment_id).refunded_amount) == ("ask", PART)


@pytest.mark.parametrize("account", [PLAIN, CANDIDATES], ids=lambda one: one.id)
def test_what_the_gateway_answers_the_same_stands_above_the_row(account: Account) -> None:
    """Asked by our own ids, or by the transaction that the row names."""
    desk = Desk(account)
    payment_id = desk.found(a_row(reference="theirs", session_id="S-1"))
    desk.answered(payment_id, COMPLETED, 90)
    (fact,) = desk.case(payment_id).facts
    assert (fact.row, fact.first_answered_at, fact.last_answered_at) == (None, seconds(10), seconds(90))


def test_each_payment_comes_back_with_its_outcome_and_as_it_stands_now() -> None:
    """In the order first named; an id that belongs to another payment does not prevent a row from being recorded."""
    desk = Desk(PLAIN)
    theirs, asked = at_once(desk.drive.open(SILENT)), desk.open()
    lines = [a_row(row=row, transaction_id=f"T{row}", reference=f"order-{row}") for row in (7, 8, 9)]
    first, second, known = [one.payment_id for one in desk.finds(*(UnmatchedLine(line=line) for line in lines))]
    said = [
        StatementEntry(payment_id=second, line=a_refund(transaction_id="T8"), refunded=PART),
        StatementEntry(payment_id=first, line=a_refund(transaction_id="T7"), refunded=AMOUNT),
        StatementEntry(payment_id="pay_nobody", line=a_row()),
        StatementEntry(payment_id=asked, line=a_row()),
        StatementEntry(payment_id=theirs, line=a_row()),
        StatementEntry(payment_id=known, line=lines[2]),
    ]
    recorded = desk.record(*said)
    assert [(one.payment_id, one.outcome) for one in recorded] == [
        (second, "recorded"),
        (first, "recorded"),
        ("pay_nobody", "unknown"),
        (asked, "ask"),
        (theirs, "unknown"),
        (known, "known"),
    ]
    now = {one: desk.drive.payment(one) for one in (second, first, asked, known)}
    assert [one.payment for one in recorded] == [now[second], now[first], None, now[asked], None, now[known]]
    assert (now[first].status, now[second].refunded_amount) == (REFUNDED, PART)


def test_a_statement_of_another_account_says_nothing(desk: Desk) -> None:
    payment_id = desk.open()
    said = StatementEntry(payment_id=payment_id, line=a_row())
    (recorded,) = desk.record(said, about=desk.about(account="plain"))
    assert (recorded.outcome, recorded.payment, desk.case(payment_id).facts) == ("unknown", None, ())
    assert [one.outcome for one in desk.record(replace(said, payment_id="pay_nobody"))] == ["unknown"]


# -- again, and old news -----------------------------------------------------------------------------------------------


def test_the_same_statement_again_changes_nothing(desk: Desk) -> None:
    payment_id = desk.open()
    said = [
        StatementEntry(payment_id=payment_id, line=a_row()),
        StatementEntry(payment_id=payment_id, line=a_refund(), refunded=PART),
    ]
    assert [one.outcome for one in desk.record(*said)] == ["recorded"]
    before, entries = desk.case(payment_id), desk.drive.ledger.entries(payment_id)
    for about in (desk.about(), desk.about(name="april.csv", newest=50)):
        desk.drive.clock.advance(3600)
        assert [one.outcome for one in desk.record(*said, about=about)] == ["known"]
        assert (desk.case(payment_id), desk.drive.ledger.entries(payment_id)) == (before, entries)


def test_a_row_without_a_time_is_no_newer_for_being_exported_again(desk: Desk) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row(FAILED, at=None, transaction_id=None), newest=5)
    assert desk.says(payment_id, a_row(at=10)).status is COMPLETED
    again = desk.says(payment_id, a_row(FAILED, at=None, transaction_id=None), newest=55)
    assert (again.status, again.hold) == (COMPLETED, None)


@pytest.mark.parametrize("status", [FAILED, CANCELLED, EXPIRED, PENDING])
def test_an_old_row_never_contradicts_a_newer_one(desk: Desk, status: Status) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row(at=20))
    assert desk.says(payment_id, a_row(status, at=10)).hold is None


def test_a_newer_row_that_takes_the_money_back_is_a_contradiction(desk: Desk) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row(at=10))
    assert desk.says(payment_id, a_row(FAILED, at=20)).hold is Hold.CONTRADICTION


def test_a_row_that_shows_no_refund_takes_none_back_that_a_person_told_of(desk: Desk) -> None:
    """A statement covers some days only."""
    payment_id = desk.open()
    at_once(desk.drive.hit(payment_id, Claimed.SUCCESS))
    desk.resolve(payment_id, REFUNDED)
    after = desk.says(payment_id, a_row(at=20))
    assert (after.status, after.hold) == (REFUNDED, None)


# -- refunds -----------------------------------------------------------------------------------------------------------


def test_a_row_of_a_refund_alone_takes_no_transaction(desk: Desk) -> None:
    first, second = desk.open(), desk.open()
    desk.says(first, a_refund(transaction_id="T1"))
    after = desk.says(second, a_row(transaction_id="T1"))
    assert (after.status, after.hold) == (COMPLETED, None)


def test_refunds_are_told_by_how_much_went_back(desk: Desk) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row())
    assert desk.says(payment_id, a_refund(), refunded=PART).refunded_amount == PART
    assert desk.says(payment_id, a_refund(at=25), refunded=AMOUNT).status is REFUNDED
    assert desk.told(payment_id) == ["completed", "partially_refunded", "refunded"]


def test_a_statement_with_fewer_refunds_takes_none_back(desk: Desk) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row())
    desk.says(payment_id, a_refund(), refunded=AMOUNT)
    payment = desk.says(payment_id, a_refund(at=29), refunded=PART)
    assert (payment.refunded_amount, payment.holds) == (AMOUNT, ())


def test_money_and_its_refund_in_one_statement_are_one_event(desk: Desk) -> None:
    payment_id = desk.open()
    said = [
        StatementEntry(payment_id=payment_id, line=a_refund(), refunded=AMOUNT),
        StatementEntry(payment_id=payment_id, line=a_row()),
    ]
    desk.record(*said)
    assert desk.told(payment_id) == ["refunded"]


def test_more_refunded_than_was_paid_is_held(desk: Desk) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row())
    payment = desk.says(payment_id, a_refund(), refunded=AMOUNT + 1)
    assert (payment.hold, payment.refunded_amount) == (Hold.AMOUNT_MISMATCH, 0)


def test_a_refund_alone_proves_no_money_until_the_row_of_the_money_is_seen(desk: Desk) -> None:
    payment_id = desk.open()
    waiting = desk.says(payment_id, a_refund(), refunded=PART)
    assert (waiting.status, waiting.holds, desk.told(payment_id)) == (PENDING, (), [])
    paid = desk.says(payment_id, a_row())
    assert (paid.status, paid.refunded_amount, desk.told(payment_id)) == (COMPLETED, PART, ["completed"])


def test_a_refund_with_an_id_of_its_own_is_no_second_payment(desk: Desk) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row())
    payment = desk.says(payment_id, a_refund(transaction_id="R1", reference=None), refunded=PART)
    assert (payment.transaction_id, payment.refunded_amount, payment.holds) == ("T1", PART, ())


# -- any order ---------------------------------------------------------------------------------------------------------

TIMES = st.one_of(st.none(), st.integers(1, 12))


@st.composite
def lines(draw: st.DrawFn, *, amounts: Sequence[Decimal] = (AMOUNT, Decimal("99.99"))) -> tuple[Line, Decimal | None]:
    ids = {
        "transaction_id": draw(st.sampled_from(["T1", "T1", "T2", None])),
        "session_id": draw(st.sampled_from([None, "S-001", "S-other"])),
        "reference": draw(st.sampled_from([None, "order-1", "order-other"])),
    }
    if draw(st.integers(0, 3)) == 0:
        return a_refund(at=draw(TIMES), **ids), draw(st.sampled_from([PART, Decimal("60.00"), AMOUNT, AMOUNT + 1]))
    status = draw(st.sampled_from([COMPLETED, COMPLETED, FAILED, CANCELLED, EXPIRED, REFUNDED, PENDING]))
    return a_row(status, draw(TIMES), amount=draw(st.sampled_from([AMOUNT, *amounts])), **ids), None


Spoken = tuple[tuple[Line, Decimal | None], float]


def spoken(**named: Any) -> st.SearchStrategy[list[Spoken]]:
    """Lines, each with the newest time of its statement."""
    return st.lists(st.tuples(lines(**named), st.sampled_from([14.0, 20.0])), min_size=1, max_size=6)


def standing(desk: Desk, payment_id: str) -> tuple[Any, ...]:
    payment = desk.drive.payment(payment_id)
    return payment.status, payment.holds, payment.transaction_id, payment.refunded_amount


def hear(desk: Desk, payment_id: str, spoken: Sequence[Spoken]) -> None:
    """One transaction for each statement."""
    for newest in {newest: None for _, newest in spoken}:
        said = [
            StatementEntry(payment_id=payment_id, line=line, refunded=back)
            for (line, back), of in spoken
            if of == newest
        ]
        desk.record(*said, about=desk.about(newest))


@given(data=st.data())
def test_the_same_rows_in_any_order_repetition_and_statements_end_the_same(data: st.DataObject) -> None:
    facts = data.draw(spoken())
    first = Desk()
    one = first.open()
    for fact in facts:
        hear(first, one, [fact])
    again = data.draw(st.permutations([*facts, *data.draw(st.lists(st.sampled_from(facts), max_size=3))]))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(again)))) | {0, len(again)})
    second = Desk()
    two = second.open()
    for start, end in pairwise(cuts):
        hear(second, two, again[start:end])
    assert standing(first, one) == standing(second, two)
    events = second.drive.ledger.events_of(two)
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    for event in events:
        shown = msgspec.json.decode(event.body)["data"]
        assert (event.type == "payment.held") == (shown["hold"] is not None)


@st.composite
def heard(draw: st.DrawFn) -> tuple[str, Any]:
    """A row of a statement, or an answer of the gateway asked at a time."""
    if draw(st.booleans()):
        return "row", draw(spoken())[0]
    status = draw(st.sampled_from([COMPLETED, FAILED, CANCELLED, REFUNDED, PENDING]))
    fields = draw(
        st.sampled_from(
            [
                {},
                {"transaction_id": "T2"},
                {"amount": Decimal("1.00")},
                {"session_id": "S-2"},
                {"refunded_amount": PART},
            ]
        )
    )
    return "answer", (status, draw(st.integers(1, 25)), fields)


@given(data=st.data())
@pytest.mark.parametrize("account", [PLAIN, CANDIDATES], ids=lambda one: one.id)
def test_rows_and_answers_about_money_unknown_here_in_any_order_end_the_same(
    account: Account, data: st.DataObject
) -> None:
    facts = data.draw(st.lists(heard(), min_size=1, max_size=6))
    again = data.draw(st.permutations([*facts, *data.draw(st.lists(st.sampled_from(facts), max_size=2))]))
    ends = []
    for order in (facts, again):
        desk = Desk(account)
        payment_id = desk.found(a_row(reference="order-1"))
        for kind, one in order:
            if kind == "row":
                hear(desk, payment_id, [one])
            else:
                status, asked, fields = one
                desk.answered(payment_id, status, asked, **fields)
        assert Hold.UNEXPECTED in desk.drive.payment(payment_id).holds
        assert set(desk.told(payment_id)) == {"held"}
        ends.append(standing(desk, payment_id))
    assert ends[0] == ends[1]


@given(data=st.data())
def test_a_payment_adopted_at_any_moment_ends_as_one_that_was_announced_before(data: st.DataObject) -> None:
    """It is judged anew: the order of the money and the shop's announcement makes no difference to the end."""
    facts = data.draw(spoken(amounts=(AMOUNT,)))
    first = a_row(reference="order-1", session_id="S-001")
    known = Desk()
    one = known.open(reference="order-1")
    hear(known, one, [((first, None), 14.0), *facts])

    late = Desk()
    two = late.found(first)
    cut = data.draw(st.integers(0, len(facts)))
    hear(late, two, facts[:cut])
    assert isinstance(late.adopt(two, reference="order-1", session_id="S-001"), Payment)
    hear(late, two, facts[cut:])
    assert standing(known, one) == standing(late, two)


@given(st.permutations([("row", 8.0), ("row", 3.0), ("answer", 5.0), ("answer", 9.0), ("other", 4.0)]))
def test_equal_facts_merge_to_the_same_in_any_order(order: list[tuple[str, float]]) -> None:
    """A row adds no later time to an answer, and an answer is no longer only a row's word."""
    desk = Desk(CANDIDATES)
    payment_id = desk.found(a_row(at=2))
    template = desk.case(payment_id).facts[0]

    def fact(kind: str, at: float) -> Fact:
        times = dict.fromkeys(("first_asked_at", "first_answered_at", "last_asked_at", "last_answered_at"), seconds(at))
        row = None if kind == "answer" else template.row
        answer = replace(template.answer, method="bkash") if kind == "other" else template.answer
        return replace(template, row=row, answer=answer, **times)

    merged, *rest = [fact(kind, at) for kind, at in order]
    for one in rest:
        merged = merged.merged(one)
    assert (merged.row, merged.answer.method) == (None, "bkash")
    assert (merged.first_asked_at, merged.last_asked_at) == (seconds(3), seconds(9))


# -- what people read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "row", "source"),
    [
        (False, "row 17 of march.csv", "exported by an accountant"),
        (True, "entry 17 of march.csv", "the gateway's own list, which we fetched"),
    ],
)
def test_the_story_and_the_evidence_name_the_row(desk: Desk, listed: bool, row: str, source: str) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row(), name="march.csv", listed=listed)
    story = desk.story(payment_id)
    said = (
        f"{row.capitalize()}, {source}, says that as of 2026-05-17 06:00:10Z it is completed "
        "(its word: COMPLETED), 100.00 BDT, transaction T1."
    )
    assert said in story
    decided = f"Decided: pending rose to completed, by {row}. The rule: where nobody is asked"
    assert any(line.startswith(decided) for line in story)
    summary = explain_payment(desk.dossier(payment_id)).summary
    assert summary.startswith(f"Paid: 100.00 BDT, as {row} says, recorded at 2026-05-17 06:01:00Z.")
    desk.says(payment_id, a_refund(), refunded=PART)
    assert any("says that 40.00 of it was paid back by" in line for line in desk.story(payment_id))


@pytest.mark.parametrize(
    ("line", "listed", "said"),
    [
        (a_row(), False, {"row": 17, "of": "2026-05-17T06:00:10Z", "word": "COMPLETED", "amount": "100.00"}),
        (
            a_refund(),
            True,
            {
                "row": 18,
                "of": "2026-05-17T06:00:20Z",
                "word": "REFUNDED",
                "refunded_amount": "40.00",
                "listed": True,
                "refund": True,
            },
        ),
    ],
    ids=["money in a file", "refund in a list"],
)
def test_the_timeline_shows_what_a_row_says_and_when_it_was_recorded(
    desk: Desk, line: Line, listed: bool, said: dict[str, Any]
) -> None:
    payment_id = desk.open()
    desk.says(payment_id, line, listed=listed)
    (entry,) = [one for one in desk.drive.ledger.entries(payment_id) if one.kind is EntryKind.ANSWER]
    given = {"statement": "march.csv", "status": "completed", "currency": "BDT", "transaction_id": "T1"}
    assert (entry.at, entry.data) == (seconds(60), given | said)


def test_the_evidence_of_a_misfit_names_the_row(desk: Desk) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row(amount=Decimal("5.00")))
    evidence = explain_payment(desk.dossier(payment_id)).evidence
    assert evidence is not None
    assert [one.by for one in evidence.answers] == ["row 17 of march.csv"]
    assert [one.what for one in evidence.answers[0].compared if one.differs] == ["amount"]


def test_a_fact_that_was_stored_before_statements_were_read_is_read_as_it_was() -> None:
    desk = Desk(PLAIN)
    payment_id = desk.open()
    desk.answered(payment_id, COMPLETED, 5, session_id="S-001", reference="order-1")
    (fact,) = desk.case(payment_id).facts
    stored = msgspec.to_builtins(fact)
    del stored["row"]
    assert msgspec.convert(stored, Fact) == fact
    assert fact.key == "=completed|=100.00|=BDT|=S-001|=order-1|=T1||"
