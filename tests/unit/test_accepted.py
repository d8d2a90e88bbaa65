"""An accepted payment stays accepted: its amount measures refunds, and its ids are disputed no more.

Only what the person had seen is accepted. Another transaction, another mismatch, a reversal and an id that another
payment has hold the payment as before.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from consumers.commands.resolve import ResolutionRequest, resolve_payment
from consumers.money.matching import Measure, measure_of
from schemas.payments import Payment, TakenKeys
from schemas.words import Hold, Said, Status
from tests.fakes.drive import AMOUNT, at_once
from tests.fakes.providers import CANDIDATES, PLAIN, PROVING, SILENT
from tests.unit.test_lifecycle import Bench, refused
from tests.unit.test_statement_facts import Desk, a_refund, a_row

COMPLETED, FAILED, PENDING, REFUNDED = Status.COMPLETED, Status.FAILED, Status.PENDING, Status.REFUNDED
LITTLE, LESS, MORE = Decimal("1.00"), Decimal("99.50"), Decimal("120.00")
PART = Decimal("40.00")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def accepted(bench: Bench, **fields: Any) -> str:
    """A payment that a person accepted as paid with its mismatch."""
    payment_id = bench.open()
    assert bench.says(payment_id, COMPLETED, 10, **fields).hold is not None
    assert bench.resolve(payment_id, COMPLETED).hold is None
    return payment_id


def seen(payment: Payment) -> tuple[Status, Hold | None, Decimal]:
    return payment.status, payment.hold, payment.refunded_amount


# -- the amount that was accepted --------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [LESS, MORE])
def test_a_refund_of_an_accepted_amount_is_told(bench: Bench, amount: Decimal) -> None:
    payment_id = accepted(bench, amount=amount)
    after = bench.says(payment_id, COMPLETED, 200, amount=amount, refunded_amount=PART)
    assert seen(after) == (COMPLETED, None, PART)
    assert bench.told(payment_id) == ["held", "completed", "partially_refunded"]


@pytest.mark.parametrize("amount", [LITTLE, LESS, MORE])
@pytest.mark.parametrize("says", [{"refunded_amount": None}, {}], ids=["a word alone", "the whole figure"])
def test_all_of_an_accepted_amount_back_is_refunded(bench: Bench, amount: Decimal, says: dict[str, Any]) -> None:
    """The amount shown stays the amount that the shop asked for; the refund is the money that came."""
    payment_id = accepted(bench, amount=amount)
    fields = {"amount": amount, "refunded_amount": amount} | says
    after = bench.says(payment_id, REFUNDED, 200, **fields)
    assert seen(after) == (REFUNDED, None, amount)
    assert (after.amount, after.accepted_amount) == (AMOUNT, amount)
    assert bench.told(payment_id) == ["held", "completed", "refunded"]


def test_of_money_that_fits_no_other_amount_is_shown_as_accepted(bench: Bench) -> None:
    payment_id = bench.open()
    for refunded in (Decimal("0.00"), PART, AMOUNT):
        after = bench.says(payment_id, COMPLETED, 10, refunded_amount=refunded)
        assert (after.refunded_amount, after.accepted_amount) == (refunded, None)


def test_more_than_was_asked_back_of_a_greater_amount_is_a_part_of_it(bench: Bench) -> None:
    payment_id = accepted(bench, amount=MORE)
    after = bench.says(payment_id, COMPLETED, 200, amount=MORE, refunded_amount=Decimal("110.00"))
    assert seen(after) == (COMPLETED, None, Decimal("110.00"))


@pytest.mark.parametrize("amount", [LESS, MORE])
def test_more_back_than_the_accepted_amount_is_held(bench: Bench, amount: Decimal) -> None:
    payment_id = accepted(bench, amount=amount)
    after = bench.says(payment_id, COMPLETED, 200, amount=amount, refunded_amount=amount + 1)
    assert seen(after) == (COMPLETED, Hold.AMOUNT_MISMATCH, Decimal("0.00"))


@pytest.mark.parametrize("amount", [LESS, MORE])
def test_a_person_who_says_refunded_says_it_of_the_amount_that_came(bench: Bench, amount: Decimal) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, amount=amount)
    assert seen(bench.resolve(payment_id, REFUNDED)) == (REFUNDED, None, amount)
    assert bench.says(payment_id, REFUNDED, 200, amount=amount).hold is None
    after = bench.says(payment_id, COMPLETED, 300, amount=amount, refunded_amount=amount)
    assert after.hold is None, "all of it was refunded, whatever status the gateway gives"


def test_a_smaller_refund_of_an_accepted_amount_asked_later_is_a_contradiction(bench: Bench) -> None:
    payment_id = accepted(bench, amount=LESS)
    bench.says(payment_id, REFUNDED, 200, amount=LESS)
    assert bench.says(payment_id, COMPLETED, 300, amount=LESS, refunded_amount=PART).hold is Hold.CONTRADICTION


def test_nothing_is_no_amount_to_measure_by(bench: Bench) -> None:
    payment_id = accepted(bench, amount=Decimal("0.00"))
    after = bench.says(payment_id, COMPLETED, 200, amount=Decimal("0.00"), refunded_amount=PART)
    assert seen(after) == (COMPLETED, None, PART)


# -- the same mismatch with other news, and another mismatch -----------------------------------------------------------

SAME = [
    {"amount": LESS},
    {"amount": None},
    {"amount": None, "unreadable": ("amount",)},
    {"currency": "USD"},
    {"currency": None},
    {"reference": "ORDER-1"},
    {"reference": None},
    {"session_id": "S-other"},
    {"session_id": "S-other", "reference": "order", "currency": "USD", "amount": LESS},
]


@pytest.mark.parametrize("fields", SAME, ids=lambda fields: "+".join(fields))
def test_the_same_misfit_with_other_news_counts(bench: Bench, fields: dict[str, Any]) -> None:
    payment_id = accepted(bench, **fields)
    after = bench.says(payment_id, COMPLETED, 200, **fields, refunded_amount=PART, fee=Decimal("2.00"))
    assert seen(after) == (COMPLETED, None, PART)
    assert bench.says(payment_id, PENDING, 210, **fields).hold is None


@pytest.mark.parametrize("fields", SAME[:-1], ids=lambda fields: "+".join(fields))
def test_it_counts_beside_answers_that_fit_too(bench: Bench, fields: dict[str, Any]) -> None:
    payment_id = accepted(bench, **fields)
    assert bench.says(payment_id, COMPLETED, 200).hold is None
    assert bench.says(payment_id, COMPLETED, 210, **fields, refunded_amount=PART).hold is None


@pytest.mark.parametrize(
    ("fields", "hold"),
    [
        ({"amount": Decimal("99.00")}, Hold.AMOUNT_MISMATCH),
        ({"amount": LESS, "currency": "USD"}, Hold.CURRENCY_MISMATCH),
        ({"amount": LESS, "reference": "order-other"}, Hold.IDENTITY_MISMATCH),
        ({"amount": LESS, "session_id": "S-other"}, Hold.IDENTITY_MISMATCH),
        ({"amount": None, "unreadable": ("amount",)}, Hold.AMOUNT_MISMATCH),
        ({"amount": LESS, "unreadable": ("refunded_amount",)}, Hold.AMOUNT_MISMATCH),
    ],
)
def test_another_misfit_holds_again(bench: Bench, fields: dict[str, Any], hold: Hold) -> None:
    payment_id = accepted(bench, amount=LESS)
    assert bench.says(payment_id, COMPLETED, 200, **fields).holds == (hold,)


@pytest.mark.parametrize(("accepts", "then"), [("USD", "EUR"), ("USD", None), (None, "USD")])
def test_another_currency_than_the_accepted_one_holds_again(
    bench: Bench, accepts: str | None, then: str | None
) -> None:
    payment_id = accepted(bench, currency=accepts)
    assert bench.says(payment_id, COMPLETED, 200, currency=then).holds == (Hold.CURRENCY_MISMATCH,)


@pytest.mark.parametrize("name", ["session_id", "reference"])
def test_another_id_than_the_accepted_one_holds_again(bench: Bench, name: str) -> None:
    payment_id = accepted(bench, **{name: "other-1"})
    assert bench.says(payment_id, COMPLETED, 200, **{name: "other-2"}).holds == (Hold.IDENTITY_MISMATCH,)


def test_the_same_misfit_of_another_session_holds_again(bench: Bench) -> None:
    """An answer that names no transaction is about the transaction of its session."""
    payment_id = accepted(bench, amount=LESS)
    after = bench.says(payment_id, COMPLETED, 200, amount=LESS, transaction_id=None)
    assert after.hold is None
    after = bench.says(payment_id, COMPLETED, 210, amount=LESS, transaction_id=None, session_id="S-other")
    assert after.holds == (Hold.IDENTITY_MISMATCH, Hold.AMOUNT_MISMATCH)


def test_the_same_misfit_of_another_transaction_holds_again(bench: Bench) -> None:
    payment_id = accepted(bench, amount=LESS)
    after = bench.says(payment_id, COMPLETED, 200, amount=LESS, transaction_id="T2")
    assert (after.hold, after.transaction_id) == (Hold.AMOUNT_MISMATCH, "T1")


def test_a_transaction_that_no_answer_named_accepts_none_of_theirs(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, amount=LESS)
    bench.resolve(payment_id, COMPLETED, transaction_id="T-panel")
    assert bench.says(payment_id, COMPLETED, 200, amount=LESS, refunded_amount=PART).hold is Hold.AMOUNT_MISMATCH


def test_money_that_a_person_refused_is_not_accepted(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, amount=LESS)
    bench.resolve(payment_id, FAILED)
    assert bench.says(payment_id, COMPLETED, 200, amount=LESS, refunded_amount=PART).hold is Hold.AMOUNT_MISMATCH


@pytest.mark.parametrize("fields", [{"amount": LESS}, {"amount": LESS, "session_id": None}], ids=["named", "not named"])
def test_where_no_transaction_is_reported_it_is_the_sessions(fields: dict[str, Any]) -> None:
    """And the session is ours where the answer does not name it."""
    bench = Bench(PROVING)
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, transaction_id=None, **fields)
    bench.resolve(payment_id, COMPLETED)
    after = bench.says(payment_id, COMPLETED, 200, transaction_id=None, **fields, refunded_amount=PART)
    assert seen(after) == (COMPLETED, None, PART)


def test_one_transaction_that_some_answers_name_is_one(bench: Bench) -> None:
    """Answered first by its session alone, and then by its name: the person had seen one transaction."""
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, transaction_id=None, amount=LESS)
    bench.says(payment_id, COMPLETED, 20, amount=LESS)
    assert bench.resolve(payment_id, COMPLETED).transaction_id == "T1"
    assert bench.says(payment_id, COMPLETED, 200, amount=LESS, refunded_amount=PART).hold is None


# -- never -------------------------------------------------------------------------------------------------------------


def test_a_contradiction_is_never_accepted(bench: Bench) -> None:
    payment_id = accepted(bench, amount=LESS)
    assert bench.says(payment_id, FAILED, 200, amount=LESS).hold is Hold.CONTRADICTION


def test_a_second_transaction_is_never_accepted(bench: Bench) -> None:
    payment_id = accepted(bench, amount=LESS)
    assert bench.says(payment_id, COMPLETED, 200, transaction_id="T2").hold is Hold.DUPLICATE_FOR_ORDER


def test_a_transaction_that_another_payment_has_is_never_accepted(bench: Bench) -> None:
    owner = bench.open()
    bench.says(owner, COMPLETED, 5)
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, amount=LESS)
    assert refused(bench, payment_id, COMPLETED) == "transaction_used"
    bench.resolve(payment_id, COMPLETED, transaction_id="T9")
    after = bench.says(payment_id, COMPLETED, 200, amount=LESS, refunded_amount=PART)
    assert after.hold is Hold.AMOUNT_MISMATCH
    assert bench.says(payment_id, COMPLETED, 210).holds == (Hold.AMOUNT_MISMATCH, Hold.TRANSACTION_REUSED)


def test_what_was_accepted_with_a_transaction_that_turns_out_to_be_anothers_is_not_accepted(bench: Bench) -> None:
    case = bench.case(accepted(bench, amount=LESS))
    always = PLAIN.provider.capabilities.always
    assert measure_of(case, TakenKeys(), always).whole == LESS
    assert measure_of(case, TakenKeys(transactions=frozenset({"T1"})), always) == Measure(whole=LESS)


def test_a_session_that_another_payment_has_is_never_accepted(bench: Bench) -> None:
    other = bench.drive.payment(bench.open()).session_id
    payment_id = accepted(bench, session_id=other)
    after = bench.says(payment_id, COMPLETED, 200, session_id=other, refunded_amount=PART)
    assert seen(after) == (COMPLETED, Hold.IDENTITY_MISMATCH, Decimal("0.00"))


def test_a_reference_that_another_payment_has_is_never_accepted(bench: Bench) -> None:
    other = bench.drive.payment(bench.open()).reference
    payment_id = accepted(bench, reference=other)
    after = bench.says(payment_id, COMPLETED, 200, reference=other, refunded_amount=PART)
    assert seen(after) == (COMPLETED, Hold.IDENTITY_MISMATCH, Decimal("0.00"))


def test_a_session_that_was_accepted_is_no_other_payments(bench: Bench) -> None:
    accepted(bench, session_id="S-other")
    row = bench.drive.new()
    at_once(bench.drive.ledger.create(row, {}, timedelta(seconds=45)))
    after = bench.says(row.id, COMPLETED, 200, session_id="S-other", transaction_id="T2")
    assert after.holds == (Hold.IDENTITY_MISMATCH,)


def test_each_transaction_of_a_gateway_asked_by_them_is_accepted_by_itself() -> None:
    bench = Bench(CANDIDATES)
    payment_id = bench.open()
    bench.says(payment_id, COMPLETED, 10, by="T1", amount=LESS)
    bench.resolve(payment_id, COMPLETED)
    assert bench.says(payment_id, COMPLETED, 200, by="T1", amount=LESS, refunded_amount=PART).hold is None
    assert bench.says(payment_id, FAILED, 210, by="T2").hold is None
    assert bench.says(payment_id, COMPLETED, 220, by="T2", amount=LESS).hold is Hold.AMOUNT_MISMATCH


# -- what is known to be refunded in full ------------------------------------------------------------------------------


def test_completing_what_went_back_in_full_is_refunded(bench: Bench) -> None:
    """The gateway's answer did not fit by its currency, which the person accepts, and said that all was refunded."""
    payment_id = bench.open()
    bench.says(payment_id, REFUNDED, 10, currency="USD")
    assert seen(bench.resolve(payment_id, COMPLETED)) == (REFUNDED, None, AMOUNT)
    assert bench.told(payment_id) == ["held", "refunded"]
    again = bench.resolve(payment_id, COMPLETED)
    assert again.version == 3, "the same resolution again"


def test_completing_what_is_refunded_already_is_refused_in_words(bench: Bench) -> None:
    payment_id = bench.open()
    bench.says(payment_id, REFUNDED, 10)
    bench.says(payment_id, COMPLETED, 20)
    assert refused(bench, payment_id, COMPLETED) == "lower_status"


def test_the_amount_of_an_accepted_answer_is_not_verified(bench: Bench) -> None:
    payment_id = accepted(bench, amount=LESS)
    assert not bench.drive.payment(payment_id).amount_verified


def test_a_person_decides_where_nobody_can_be_asked() -> None:
    bench = Bench(SILENT)
    payment_id = bench.open()
    at_once(bench.drive.hit(payment_id, Said.SUCCESS))
    assert seen(bench.resolve(payment_id, REFUNDED)) == (REFUNDED, None, AMOUNT)


def test_completing_a_payment_whose_full_refund_a_statement_listed_is_refunded() -> None:
    """No row reported the money itself, so the refund was not counted until a person said that the money came."""
    desk = Desk(SILENT)
    payment_id = desk.open()
    at_once(desk.drive.hit(payment_id, Said.SUCCESS))
    desk.says(payment_id, a_refund(AMOUNT))
    assert seen(desk.drive.payment(payment_id)) == (PENDING, Hold.UNVERIFIABLE, Decimal("0.00"))
    wish = ResolutionRequest(status=COMPLETED, actor="rahima", reason="it is in the statement")
    after = at_once(resolve_payment(desk.drive.ledger, desk.drive.rules, payment_id, wish))
    assert seen(after) == (REFUNDED, None, AMOUNT)
    assert desk.told(payment_id) == ["held", "refunded"]
    assert at_once(resolve_payment(desk.drive.ledger, desk.drive.rules, payment_id, wish)) == after, "and again"


@pytest.mark.parametrize("amount", [LESS, MORE])
def test_rows_of_refunds_are_measured_by_what_was_accepted(amount: Decimal) -> None:
    desk = Desk(SILENT)
    payment_id = desk.open()
    desk.says(payment_id, a_row(amount=amount))
    wish = ResolutionRequest(status=COMPLETED, actor="rahima", reason="the buyer paid that")
    at_once(resolve_payment(desk.drive.ledger, desk.drive.rules, payment_id, wish))
    assert seen(desk.says(payment_id, a_refund(PART), refunded=PART)) == (COMPLETED, None, PART)
    assert seen(desk.says(payment_id, a_refund(amount, at=25), refunded=amount)) == (REFUNDED, None, amount)


def test_where_the_amount_that_the_shop_asked_for_was_answered_too_refunds_are_measured_by_that(bench: Bench) -> None:
    """A glitch of the gateway is no accepted amount: the shop would get a refund event for money that never came."""
    payment_id = bench.open()
    assert bench.says(payment_id, COMPLETED, 10, amount=AMOUNT * 100).hold is not None
    bench.says(payment_id, COMPLETED, 20)
    assert seen(bench.resolve(payment_id, COMPLETED)) == (COMPLETED, None, Decimal(0))
    after = bench.says(payment_id, REFUNDED, 200)
    assert seen(after) == (REFUNDED, None, AMOUNT)
