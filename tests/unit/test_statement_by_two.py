"""A file of rows is one person's word: where two people decide about a payment, it holds the money and moves none."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from consumers.commands.basis import basis_of
from consumers.commands.preview import preview
from consumers.commands.resolve import ResolutionRequest, SecondPersonNeeded, resolve_payment
from consumers.explain.evidence import evidence
from consumers.reconciliation.statement_facts import StatementEntry
from consumers.reconciliation.unexpected import UnmatchedLine
from schemas.payments import Payment, TakenKeys
from schemas.words import Hold, Status
from tests.fakes.drive import AMOUNT, at_once
from tests.fakes.providers import PLAIN
from tests.unit.test_statement_facts import (
    CANCELLED,
    COMPLETED,
    FAILED,
    PART,
    REFUNDED,
    Desk,
    a_refund,
    a_row,
)

UNVERIFIABLE = (Hold.UNVERIFIABLE,)
WISH = ResolutionRequest(status=COMPLETED, actor="rahima", reason="seen in the panel")


@pytest.fixture
def desk() -> Desk:
    return limited(Desk())


def limited(desk: Desk, limit: str | None = "100.00") -> Desk:
    desk.drive.rules = replace(desk.drive.rules, second_person_from=None if limit is None else Decimal(limit))
    return desk


def test_a_paid_row_holds_the_payment_and_completes_nothing(desk: Desk) -> None:
    payment_id = desk.open()
    payment = desk.says(payment_id, a_row())
    assert (payment.status, payment.holds, payment.transaction_id) == (Status.PENDING, UNVERIFIABLE, None)
    assert desk.told(payment_id) == ["held"]
    assert any(one.endswith("Two people decide about it.") for one in desk.story(payment_id))


@pytest.mark.parametrize("limit", ["100.01", None])
def test_below_the_limit_and_without_operators_a_row_counts_as_ever(limit: str | None) -> None:
    desk = limited(Desk(), limit)
    payment_id = desk.open()
    assert desk.says(payment_id, a_row()).status is COMPLETED


def test_the_amount_of_the_row_counts_for_the_limit_too() -> None:
    desk = limited(Desk(), "1000.00")
    payment_id = desk.open()
    payment = desk.says(payment_id, a_row(amount=Decimal("90000.00")))
    assert (payment.status, payment.holds) == (Status.PENDING, UNVERIFIABLE)


def test_the_gateways_own_list_is_no_persons_word(desk: Desk) -> None:
    payment_id = desk.open()
    assert desk.says(payment_id, a_row(), listed=True).status is COMPLETED


def test_the_same_row_again_changes_nothing(desk: Desk) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row())
    before = desk.case(payment_id), desk.versions(payment_id)
    desk.drive.clock.advance(60)
    desk.says(payment_id, a_row(row=3), name="april.csv")
    assert (desk.case(payment_id), desk.versions(payment_id)) == before


def test_two_people_are_shown_the_row_and_what_they_decide_is_recorded_with_its_transaction(desk: Desk) -> None:
    payment_id = desk.open()
    basis = basis_of(desk.case(payment_id), TakenKeys())
    desk.says(payment_id, a_row())
    assert basis_of(desk.case(payment_id), TakenKeys()) != basis
    found = evidence(desk.dossier(payment_id))
    assert found is not None
    (answered,) = found.answers
    assert answered.by == "row 17 of march.csv"
    said = {one.what: one.answered for one in answered.compared}
    assert (said["status"], said["amount"], said["transaction"]) == (
        "completed (a statement's word alone)",
        f"{AMOUNT:.2f}",
        "T1",
    )
    with pytest.raises(SecondPersonNeeded):
        at_once(resolve_payment(desk.drive.ledger, desk.drive.rules, payment_id, WISH))
    seen = at_once(preview(desk.case(payment_id), desk.drive.rules, WISH, TakenKeys(), desk.drive.clock.now))
    assert (seen.status, seen.hold) == (COMPLETED, None)
    payment = _decided(desk, payment_id, COMPLETED)
    assert (payment.status, payment.hold, payment.transaction_id) == (COMPLETED, None, "T1")
    assert desk.told(payment_id) == ["held", "completed"]
    again = desk.says(payment_id, a_row())
    assert again == payment


@pytest.mark.parametrize("wanted", [FAILED, COMPLETED, REFUNDED])
def test_what_two_people_decided_stays_when_the_row_comes_again(desk: Desk, wanted: Status) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row())
    decided = _decided(desk, payment_id, wanted)
    desk.drive.clock.advance(60)
    assert desk.says(payment_id, a_row()) == decided
    assert (decided.status, decided.hold) == (wanted, None)


@pytest.mark.parametrize("refund", [a_refund(), a_row(REFUNDED), a_refund(AMOUNT)])
def test_a_row_of_a_refund_holds_what_is_completed(desk: Desk, refund: object) -> None:
    payment_id = desk.open()
    desk.says(payment_id, a_row(), listed=True)
    payment = desk.says(payment_id, refund)  # type: ignore[arg-type]
    assert (payment.status, payment.holds, payment.refunded_amount) == (COMPLETED, UNVERIFIABLE, Decimal(0))


def test_a_row_without_money_closes_a_payment_of_which_nobody_says_paid(desk: Desk) -> None:
    payment_id = desk.open()
    assert desk.says(payment_id, a_row(FAILED)).status is FAILED


@pytest.mark.parametrize("status", [FAILED, CANCELLED])
@pytest.mark.parametrize("first", ["paid", "unpaid"])
def test_a_row_without_money_lifts_no_hold(desk: Desk, status: Status, first: str) -> None:
    """And money of which a file says both is held, in either order."""
    payment_id = desk.open()
    rows = [a_row(), a_row(status, 20, row=18, transaction_id="T2")]
    for row in rows if first == "paid" else reversed(rows):
        payment = desk.says(payment_id, row)
    assert payment.holds == UNVERIFIABLE
    assert "completed" not in desk.told(payment_id)


def test_money_that_only_a_file_brought_is_not_paid_when_the_shop_announces_it(desk: Desk) -> None:
    found = desk.found(a_row(reference="order-9"))
    payment = desk.drive.payment(found)
    assert (payment.status, payment.holds) == (Status.PENDING, (Hold.UNEXPECTED, Hold.UNVERIFIABLE))
    adopted = desk.adopt(found)
    assert isinstance(adopted, Payment)
    assert (adopted.status, adopted.holds) == (Status.PENDING, UNVERIFIABLE)


def test_a_gateway_that_can_be_asked_decides_about_money_that_a_file_brought() -> None:
    desk = limited(Desk(PLAIN))
    found = desk.found(a_row(reference="order-9", session_id="S-1"), refund=a_refund(), refunded=PART)
    adopted = desk.adopt(found)
    assert isinstance(adopted, Payment)
    assert (adopted.status, adopted.holds) == (Status.PENDING, UNVERIFIABLE)
    payment = desk.answered(found, COMPLETED, 120)
    assert (payment.status, payment.holds) == (COMPLETED, ())


def test_a_row_that_says_pending_holds_nothing(desk: Desk) -> None:
    payment_id = desk.open()
    (recorded,) = desk.record(StatementEntry(payment_id=payment_id, line=a_row(Status.PENDING)))
    assert recorded.outcome == "known"
    assert desk.finds(UnmatchedLine(line=a_row(FAILED))) == []


def _decided(desk: Desk, payment_id: str, status: Status) -> Payment:
    """As two people decide: the resolution itself, without its limit."""
    desk.drive.clock.advance(1)
    rules = replace(desk.drive.rules, second_person_from=None)
    return at_once(resolve_payment(desk.drive.ledger, rules, payment_id, replace(WISH, status=status)))
