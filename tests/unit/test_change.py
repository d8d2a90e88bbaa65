"""What a change writes beside the payment: its cause, and nothing of an Execute that is over."""

from __future__ import annotations

from msgspec.structs import replace

from schemas.changes import Change
from schemas.words import EntryKind, Said, Status
from tests.fakes.drive import Drive, says
from tests.fakes.providers import EXECUTING, PLAIN


async def test_a_decision_names_the_change_its_rule_and_what_the_payment_is_now() -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id, Said.SUCCESS)
    (decision,) = (one.data for one in drive.ledger.entries(payment_id) if one.kind is EntryKind.DECISION)
    assert decision == {
        "change": "pending rose to completed",
        "rule": "an answer that fits is believed, and payment.completed is written once for a payment",
        "status": Status.COMPLETED,
        "hold": None,
        "version": 2,
    }


async def test_what_ends_a_payment_ends_every_doubt_about_an_execute() -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id = await drive.open(EXECUTING)
    doubted = replace(
        drive.payment(payment_id),
        execute_state="kept",
        execute_asked_at=drive.clock.now,
        execute_unanswered=True,
        execute_doubted=True,
    )
    async with drive.ledger.batch([payment_id]) as batch:
        await batch.store([Change(payment=doubted)])
        await batch.commit()
    drive.clock.advance(61)
    await drive.hit(payment_id, Said.SUCCESS)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.execute_unanswered, payment.execute_doubted) == (Status.COMPLETED, False, False)
