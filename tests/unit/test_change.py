"""What is written of a change beside the payment: why it came, whose trace it stands in, and when we look again."""

from __future__ import annotations

from msgspec.structs import replace

from schemas.payments import Change
from schemas.words import EntryKind, Said, Status
from tests.fakes.drive import Drive, answered, says
from tests.fakes.providers import EXECUTING, PLAIN

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_decision_names_the_change_its_rule_and_what_the_payment_is_now() -> None:
    drive = Drive(says(Status.COMPLETED))
    payment_id = await drive.open(PLAIN)
    await drive.hit(payment_id, Said.SUCCESS)
    (decision,) = (one.data for one in drive.ledger.entries(payment_id) if one.kind is EntryKind.DECISION)
    assert decision == {
        "change": "pending rose to completed",
        "rule": decision["rule"],
        "status": Status.COMPLETED,
        "hold": None,
        "version": 2,
    }


async def test_an_event_stands_in_the_trace_of_the_reply_that_led_to_it() -> None:
    drive = Drive()
    payment_id = await drive.open(PLAIN)
    [inquiry] = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    await drive.record([replace(drive.reply(inquiry, answered(inquiry, Status.COMPLETED)), traceparent=TRACE)])
    assert drive.ledger.events_of(payment_id)[-1].traceparent == TRACE


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


async def test_looks_that_are_minutes_away_are_spread() -> None:
    drive = Drive(says(Status.PENDING))
    drive.rules = replace(drive.rules, jitter=0.5)
    payment_id = await drive.open(PLAIN)
    await drive.wait(60 * 3)
    payment = drive.payment(payment_id)
    assert payment.next_check_at is not None
    assert payment.asked_at is not None
    assert 300 < (payment.next_check_at - payment.asked_at).total_seconds() <= 450
