"""A checkout that replaced another: answers about the earlier checkout close nothing that is open now."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from consumers.commands.open_payment import OpeningFailed
from consumers.commands.resolve import ResolutionRequest, resolve_payment
from consumers.ports.openings import Opened
from schemas.answers import Inconclusive, Trouble
from schemas.words import Hold, Source, Status
from tests.fakes.drive import Drive, answered, says, troubled
from tests.fakes.providers import PLAIN

COMPLETED, EXPIRED, PENDING = Status.COMPLETED, Status.EXPIRED, Status.PENDING
LOST = Inconclusive(trouble=Trouble.NO_REPLY, detail="silent")
BODY = {"reference": "order-1"}
OPENED = Opened(session_id="S-new", checkout_url="https://gateway.example/new")


async def lost(drive: Drive) -> str:
    """A row whose opening brought no reply; the gateway opened `S-lost`, whose URL is lost."""
    with pytest.raises(OpeningFailed):
        await drive.open(PLAIN, outcome=LOST, request=BODY)
    return next(iter(drive.ledger.due(drive.clock.now + timedelta(days=1)))).id


async def opened_again(drive: Drive, payment_id: str) -> None:
    row = drive.payment(payment_id)
    assert await drive.open(PLAIN, outcome=OPENED, request=BODY, reference=row.reference) == payment_id


@pytest.mark.parametrize("session", ["S-lost", None])
async def test_a_lost_checkout_that_expires_after_the_clock_closed_it_leaves_the_new_one_open(
    session: str | None,
) -> None:
    drive = Drive(troubled(Trouble.NOT_FOUND))
    payment_id = await lost(drive)
    await drive.wait(timedelta(hours=1))
    assert (drive.payment(payment_id).status, drive.payment(payment_id).version) == (EXPIRED, 0)
    drive.gateway = says(EXPIRED, session_id=session)
    await drive.hit(payment_id, source=Source.OPERATOR)
    await opened_again(drive, payment_id)
    drive.gateway = says(PENDING, session_id="S-new")
    await drive.hit(payment_id, source=Source.OPERATOR)
    assert (drive.payment(payment_id).status, drive.payment(payment_id).hold) == (PENDING, None)
    drive.gateway = says(COMPLETED, session_id="S-new")
    await drive.hit(payment_id, source=Source.OPERATOR)
    assert (drive.payment(payment_id).status, drive.payment(payment_id).hold) == (COMPLETED, None)
    assert [kind.removeprefix("payment.") for kind in drive.told(payment_id)] == ["completed"]


async def test_what_is_said_of_a_replaced_checkout_later_closes_nothing() -> None:
    drive = Drive(says(PENDING, session_id="S-lost"))
    payment_id = await lost(drive)
    await drive.hit(payment_id, source=Source.OPERATOR)
    await opened_again(drive, payment_id)
    assert drive.payment(payment_id).aliases == ("S-lost",)
    for status in (EXPIRED, Status.CANCELLED, Status.FAILED):
        drive.gateway = says(status, session_id="S-lost")
        await drive.hit(payment_id, source=Source.OPERATOR)
        assert drive.asked[-1].expected.aliases == ("S-lost",)
    assert drive.payment(payment_id).status is PENDING
    drive.gateway = says(EXPIRED, session_id="S-new")
    await drive.hit(payment_id, source=Source.OPERATOR)
    assert drive.payment(payment_id).status is EXPIRED


async def test_a_replaced_checkout_that_ends_contradicts_no_money_of_the_new_one() -> None:
    drive = Drive(says(PENDING, session_id="S-lost"))
    payment_id = await lost(drive)
    await drive.hit(payment_id, source=Source.OPERATOR)
    await opened_again(drive, payment_id)
    for session, status, hold in (
        ("S-new", COMPLETED, None),
        ("S-lost", EXPIRED, None),
        ("S-new", Status.FAILED, Hold.CONTRADICTION),
    ):
        drive.gateway = says(status, session_id=session)
        await drive.hit(payment_id, source=Source.OPERATOR)
        assert (drive.payment(payment_id).status, drive.payment(payment_id).hold) == (COMPLETED, hold)


async def test_a_replaced_checkout_that_ends_contradicts_no_person_who_said_paid() -> None:
    drive = Drive(says(PENDING, session_id="S-lost"))
    payment_id = await lost(drive)
    await drive.hit(payment_id, source=Source.OPERATOR)
    await opened_again(drive, payment_id)
    drive.gateway = says(None, session_id="S-new")
    await drive.hit(payment_id, source=Source.OPERATOR)
    wish = ResolutionRequest(status=COMPLETED, actor="rahima", reason="the gateway said so on the telephone")
    await resolve_payment(drive.ledger, drive.rules, payment_id, wish)
    for session, hold in (("S-lost", None), ("S-new", Hold.CONTRADICTION)):
        drive.gateway = says(EXPIRED, session_id=session)
        await drive.hit(payment_id, source=Source.OPERATOR)
        assert (drive.payment(payment_id).status, drive.payment(payment_id).hold) == (COMPLETED, hold)


async def test_money_that_came_by_a_replaced_checkout_counts() -> None:
    drive = Drive(says(PENDING, session_id="S-lost"))
    payment_id = await lost(drive)
    await drive.hit(payment_id, source=Source.OPERATOR)
    await opened_again(drive, payment_id)
    drive.gateway = lambda assigned: answered(assigned, COMPLETED, session_id="S-lost")
    await drive.hit(payment_id, source=Source.OPERATOR)
    assert drive.payment(payment_id).status is COMPLETED
    drive.gateway = says(EXPIRED, session_id="S-new")
    await drive.hit(payment_id, source=Source.OPERATOR)
    assert drive.payment(payment_id).hold is None
    drive.gateway = says(EXPIRED, session_id="S-lost")
    await drive.hit(payment_id, source=Source.OPERATOR)
    assert drive.payment(payment_id).hold is Hold.CONTRADICTION, "that is where the money was"


@pytest.mark.parametrize("session", ["S-new", None])
@pytest.mark.parametrize(("before", "becomes"), [(timedelta(milliseconds=1), PENDING), (timedelta(0), EXPIRED)])
async def test_what_was_asked_before_the_checkout_was_opened_again_closes_nothing_whatever_it_names(
    before: timedelta, becomes: Status, session: str | None
) -> None:
    drive = Drive()
    payment_id = await lost(drive)
    drive.clock.advance(60)
    await opened_again(drive, payment_id)
    (assigned,) = await drive.take(drive.claim(payment_id, source=Source.OPERATOR))
    assigned = replace(assigned, asked_at=drive.payment(payment_id).opened_at - before)
    await drive.record([drive.reply(assigned, answered(assigned, EXPIRED, session_id=session))])
    assert drive.payment(payment_id).status is becomes


@pytest.mark.parametrize(("status", "comes_to"), [(EXPIRED, PENDING), (COMPLETED, COMPLETED)])
async def test_an_answer_that_was_on_its_way_while_the_checkout_was_opened_again_holds_nothing(
    status: Status, comes_to: Status
) -> None:
    drive = Drive(says(status, session_id="S-lost"))
    payment_id = await lost(drive)
    asked = await drive.take(drive.claim(payment_id, source=Source.OPERATOR))
    drive.clock.advance(1)
    await opened_again(drive, payment_id)
    await drive.answer(asked)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.hold, payment.session_id) == (comes_to, None, "S-new")
    await drive.hit(payment_id, source=Source.OPERATOR)
    assert drive.payment(payment_id).hold is Hold.IDENTITY_MISMATCH, "asked by the session that we have now"
