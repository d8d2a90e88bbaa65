"""A gateway whose openings give no session, and that is asked by a session which only callbacks bring (UddoktaPay)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from consumers.commands.open_payment import track_payment
from consumers.explain.timeline_text import timeline_lines
from consumers.pipeline import AssignedQuestion
from consumers.ports.openings import Opened
from schemas.answers import Answer, ForeignTransaction, QuestionOutcome
from schemas.words import EntryKind, EventType, Hold, Said, Source, Status
from tests.fakes.drive import Drive, Gateway, answered, says
from tests.fakes.providers import INVOICES

UNNAMED = Opened(checkout_url="https://gateway.example/pay/1")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def invoices(**owners: str) -> Gateway:
    """A gateway whose invoices are paid, each by the payment of this reference. Other ids are not known to it."""

    def gateway(assigned: AssignedQuestion) -> QuestionOutcome:
        owner = owners.get(assigned.question.session_id or "")
        if owner is None:
            return ForeignTransaction(why="not_found")
        if owner != assigned.expected.reference:
            return ForeignTransaction(why="other_payment")
        return answered(assigned, Status.COMPLETED)

    return gateway


async def opened(drive: Drive, reference: str, **fields: object) -> str:
    return await drive.open(INVOICES, outcome=UNNAMED, reference=reference, **fields)


async def test_the_invoice_of_a_callback_becomes_the_session_when_its_answer_fits() -> None:
    drive = Drive(invoices(INV1="order-1"))
    payment_id = await opened(drive, "order-1")
    assert drive.payment(payment_id).session_id is None
    questions = await drive.hit(payment_id, session_id="INV1")
    assert [(one.question.session_id, one.question.transaction_id) for one in questions] == [("INV1", None)]
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold, payment.session_id) == (Status.COMPLETED, None, "INV1")
    assert [one.state for one in payment.candidates] == ["confirmed"]
    assert drive.told(payment_id) == [EventType.COMPLETED]


async def test_without_an_invoice_there_is_no_question() -> None:
    drive = Drive(invoices())
    payment_id = await opened(drive, "order-1")
    assert await drive.hit(payment_id, Said.SUCCESS) == []
    assert await drive.hit(payment_id, transaction_id="T1") == []
    assert drive.payment(payment_id).candidates == ()


async def test_another_orders_invoice_completes_nothing_and_the_timeline_says_why() -> None:
    drive = Drive(invoices(INV1="order-1"))
    first, second = await opened(drive, "order-1"), await opened(drive, "order-2")
    await drive.hit(first, session_id="INV1")
    await drive.hit(second, Said.SUCCESS, session_id="INV1")
    await drive.hit(second, Said.SUCCESS, session_id="INV1")
    payment = drive.payment(second)
    assert (payment.status, payment.hold, payment.session_id) == (Status.PENDING, None, None)
    assert [one.state for one in payment.candidates] == ["struck"]
    assert drive.payment(first).status is Status.COMPLETED
    words = " ".join(str(line) for line in timeline_lines(payment, drive.ledger.entries(second)))
    assert "about session INV1" in words
    assert "knows it as another payment's" in words
    verdicts = [one.data["verdict"] for one in drive.ledger.entries(second) if one.kind is EntryKind.CLAIM]
    assert verdicts == ["asks", "refused: the gateway said that this session is not this payment's"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_an_invoice_that_is_said_to_fit_two_orders_pays_the_first(order: tuple[int, int]) -> None:
    """The gateway contradicts itself: one invoice, with the reference of each order that it is asked about."""
    drive = Drive(says(Status.COMPLETED, transaction_id=None))
    both = [await opened(drive, "order-1"), await opened(drive, "order-2")]
    for index in order:
        await drive.hit(both[index], session_id="INV1")
    first, second = (drive.payment(both[index]) for index in order)
    assert (first.status, first.hold, first.session_id) == (Status.COMPLETED, None, "INV1")
    assert (second.status, second.hold) == (Status.PENDING, Hold.IDENTITY_MISMATCH)
    assert second.session_id is None


async def test_an_invoice_of_another_amount_is_held() -> None:
    def gateway(assigned: AssignedQuestion) -> Answer:
        return answered(assigned, Status.COMPLETED, amount=assigned.expected.amount - 1)

    drive = Drive(gateway)
    payment_id = await opened(drive, "order-1")
    await drive.hit(payment_id, session_id="INV1")
    assert (drive.payment(payment_id).status, drive.payment(payment_id).hold) == (
        Status.PENDING,
        Hold.AMOUNT_MISMATCH,
    )


async def test_an_invoice_without_our_reference_is_not_believed() -> None:
    drive = Drive(says(Status.COMPLETED, reference=None))
    payment_id = await opened(drive, "order-1")
    await drive.hit(payment_id, session_id="INV1")
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold, payment.session_id) == (Status.PENDING, Hold.IDENTITY_MISMATCH, None)


async def test_two_invoices_of_one_order_are_a_second_payment_whichever_came_first() -> None:
    def gateway(assigned: AssignedQuestion) -> Answer:
        return answered(assigned, Status.COMPLETED, transaction_id=f"T-{assigned.question.session_id}")

    drive = Drive(gateway)
    payment_id = await opened(drive, "order-1")
    await drive.hit(payment_id, session_id="INV1")
    await drive.hit(payment_id, session_id="INV2")
    await drive.wait(60)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.COMPLETED, Hold.DUPLICATE_FOR_ORDER)
    assert payment.session_id == "INV1"


async def test_not_known_is_asked_again_and_never_closes() -> None:
    drive = Drive(invoices())
    payment_id = await opened(drive, "order-1")
    await drive.hit(payment_id, session_id="INV1")
    await drive.wait(2 * DAY)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold) == (Status.PENDING, None)
    assert 10 < len(drive.asked) < 40
    await drive.wait(6 * DAY)
    assert (drive.payment(payment_id).status, drive.payment(payment_id).hold) == (Status.PENDING, Hold.UNRESOLVED)
    assert EventType.EXPIRED not in drive.told(payment_id)


async def test_an_invoice_that_becomes_known_late_pays() -> None:
    drive = Drive(invoices())
    payment_id = await opened(drive, "order-1")
    await drive.hit(payment_id, session_id="INV1")
    drive.gateway = invoices(INV1="order-1")
    await drive.wait(timedelta(minutes=40))
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_pending_turns_completed_after_days() -> None:
    drive = Drive(says(Status.PENDING))
    payment_id = await opened(drive, "order-1")
    await drive.hit(payment_id, Said.SUCCESS, session_id="INV1")
    await drive.wait(5 * DAY)
    assert (drive.payment(payment_id).status, drive.payment(payment_id).hold) == (Status.PENDING, None)
    drive.gateway = says(Status.COMPLETED)
    await drive.wait(DAY)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_a_hostile_browser_names_at_most_twenty_invoices() -> None:
    drive = Drive(invoices())
    payment_id = await opened(drive, "order-1")
    for number in range(40):
        await drive.hit(payment_id, session_id=f"INV{number}")
    assert len(drive.payment(payment_id).candidates) == 20
    before = len(drive.asked)
    await drive.wait(HOUR)
    assert len(drive.asked) - before < 20 * 15


async def test_the_invoice_of_a_guessed_reference_is_bounded_and_does_not_keep_the_payment_open() -> None:
    drive = Drive(invoices())
    payment_id = await opened(drive, "order-1")
    for number in range(10):
        await drive.publish(
            drive.claim(payment_id, payment_id=None, reference="order-1", session_id=f"INV{number}", source=Source.IPN)
        )
    assert len(drive.payment(payment_id).candidates) == 5
    await drive.wait(HOUR)
    assert drive.payment(payment_id).status is Status.EXPIRED


async def test_a_confirmed_invoice_names_its_payment_without_our_path() -> None:
    drive = Drive(says(Status.PENDING))
    payment_id = await opened(drive, "order-1")
    await drive.hit(payment_id, session_id="INV1")
    drive.gateway = says(Status.COMPLETED)
    drive.clock.advance(60)
    await drive.publish(drive.claim(payment_id, payment_id=None, session_id="INV1", source=Source.IPN))
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_the_session_of_a_checkout_that_the_shop_opened_is_asked_about() -> None:
    drive = Drive(invoices(INV1="order-1"))
    wanted = drive.new(INVOICES, reference="order-1", session_id="INV1")
    payment = await track_payment(drive.ledger, drive.rules, wanted, {})
    assert [one.transaction_id for one in payment.candidates] == ["INV1"]
    await drive.wait(HOUR)
    assert drive.payment(payment.id).status is Status.COMPLETED
