"""Opening a checkout (section 5): the row first, then the gateway, then the event; and every way it can go wrong."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from consumers.account import Account
from consumers.commands.open_payment import OpeningFailed, open_payment, track_payment
from consumers.commands.reopen import ReadyToOpen, ReferenceTaken, reopen_or_reject
from consumers.ports.openings import Opened, OpeningOutcome, OpeningRefused, ReferenceUsed
from consumers.timing import TIMING
from schemas.answers import Inconclusive, Trouble
from schemas.payments import Payment
from schemas.words import EntryKind, EventType, Hold, Said, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import Drive, says, troubled
from tests.fakes.providers import ACCOUNTS, EXECUTING, PROVING, SESSIONLESS

LOST = Inconclusive(trouble=Trouble.NO_REPLY, detail="silent")
MINE = Opened(session_id="S-mine", checkout_url="https://gateway.example/pay/1")
UNNAMED = Opened(checkout_url="https://gateway.example/pay/1")


async def failed(drive: Drive, outcome: OpeningOutcome, **fields: Any) -> OpeningFailed:
    with pytest.raises(OpeningFailed) as caught:
        await drive.open(outcome=outcome, **fields)
    return caught.value


def types(drive: Drive, payment_id: str) -> list[EventType]:
    return [event.type for event in drive.ledger.events_of(payment_id)]


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account.id)
async def test_an_opened_checkout_is_told_once_at_version_one(account: Account) -> None:
    drive = Drive()
    payment_id = await drive.open(account, outcome=MINE)
    payment = drive.payment(payment_id)
    assert (payment.version, payment.opened, payment.opening_until) == (1, True, None)
    assert (payment.session_id, payment.checkout_url) == ("S-mine", "https://gateway.example/pay/1")
    (event,) = drive.ledger.events_of(payment_id)
    assert event.type is EventType.OPENED
    data = msgspec.json.decode(event.body)["data"]
    assert (data["status"], data["version"], data["checkout_url"]) == ("pending", 1, payment.checkout_url)


async def test_the_row_is_committed_before_the_gateway_is_called() -> None:
    drive = Drive()
    payment = drive.new()

    async def call(row: Payment) -> OpeningOutcome:
        stored = drive.payment(payment.id)
        until = drive.clock.now + TIMING.opening_lease
        assert (stored.opened, stored.version, stored.opening_until) == (False, 0, until)
        assert drive.ledger.events == ()
        assert row == stored
        return MINE

    assert (await open_payment(drive.ledger, drive.rules, payment, {}, call)).opened


@pytest.mark.parametrize(
    ("theirs", "taken"),
    [(45, 45), (15, 30), (-60, 30), (60 * 24 * 400, 60 * 24 * 31)],
    ids=["later", "sooner", "in the past", "in a year"],
)
async def test_the_later_of_the_gateways_end_and_ours_is_taken(theirs: int, taken: int) -> None:
    """A wrong clock, or a time of another zone, must not close a checkout that can still be paid."""
    drive = Drive()
    now = drive.clock.now
    opened = Opened(session_id="S", checkout_url="https://g.example", expires_at=now + timedelta(minutes=theirs))
    payment_id = await drive.open(outcome=opened)
    assert drive.payment(payment_id).expires_at == now + timedelta(minutes=taken)


async def test_a_checkout_without_a_session_is_expected_and_asked_by_its_reference() -> None:
    drive = Drive()
    drive.gateway = says(Status.COMPLETED)
    payment_id = await drive.open(SESSIONLESS, outcome=UNNAMED)
    payment = drive.payment(payment_id)
    assert (payment.opened, payment.session_id, payment.sessions, payment.version) == (True, None, (), 1)
    (event,) = drive.ledger.events_of(payment_id)
    assert (event.type, msgspec.json.decode(event.body)["data"]["session_id"]) == (EventType.OPENED, None)
    await drive.wait(3600)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.session_id, payment.hold) == (Status.COMPLETED, None, None)


async def test_two_checkouts_without_a_session_take_no_key_of_each_other() -> None:
    drive = Drive()
    first, second = [await drive.open(SESSIONLESS, outcome=UNNAMED) for _ in range(2)]
    assert drive.payment(first).opened
    assert drive.payment(second).opened


async def test_a_session_that_an_answer_brought_outlives_an_opening_that_brings_none() -> None:
    drive = Drive()
    error = await failed(drive, LOST, reference="order-7831")
    assert error.payment_id is not None
    drive.gateway = says(Status.PENDING, session_id="S-lost")
    await drive.wait(150)
    assert drive.payment(error.payment_id).session_id == "S-lost"
    assert await drive.open(reference="order-7831", outcome=UNNAMED) == error.payment_id
    payment = drive.payment(error.payment_id)
    assert (payment.opened, payment.session_id, payment.aliases) == (True, "S-lost", ())


async def test_a_payment_is_asked_about_from_its_opening_on() -> None:
    drive = Drive()
    payment_id = await drive.open()
    assert drive.payment(payment_id).next_check_at == drive.clock.now + timedelta(minutes=2)


async def test_a_refusal_leaves_no_payment_and_frees_the_reference() -> None:
    drive = Drive()
    error = await failed(drive, OpeningRefused(message="amount below 10"), reference="order-7831")
    assert (error.code, str(error), error.payment_id) == ("gateway_refused", "amount below 10", None)
    assert drive.ledger.events == ()
    assert (await drive.open(reference="order-7831")) is not None


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (Trouble.NO_REPLY, "gateway_timeout"),
        (Trouble.SERVER_ERROR, "gateway_unavailable"),
        (Trouble.KEY_REFUSED, "gateway_unavailable"),
        (Trouble.UNREADABLE, "gateway_unavailable"),
    ],
)
async def test_a_lost_answer_leaves_the_row_and_the_next_post_opens_it_again(trouble: Trouble, code: str) -> None:
    drive = Drive()
    lost = Inconclusive(trouble=trouble, detail="lost", retry_after=None)
    error = await failed(drive, lost, reference="order-7831")
    assert error.code == code
    assert error.payment_id is not None
    row = drive.payment(error.payment_id)
    assert (row.opened, row.status, row.version) == (False, Status.PENDING, 0)
    drive.clock.advance(5)
    again = await drive.open(reference="order-7831")
    assert again == error.payment_id
    assert types(drive, again) == [EventType.OPENED]


@pytest.mark.parametrize(
    ("outcome", "code", "words", "retry_after", "why"),
    [
        (LOST, "gateway_timeout", "silent", None, "no_reply"),
        (
            Inconclusive(trouble=Trouble.RATE_LIMITED, detail="429", retry_after=7.0),
            "gateway_unavailable",
            "429",
            7.0,
            "rate_limited",
        ),
        (
            Opened(session_id="S-001", checkout_url="https://gateway.example/pay"),
            "gateway_unavailable",
            "the gateway named the session of another payment",
            None,
            "unreadable",
        ),
        (
            ReferenceUsed(),
            "reference_used_at_gateway",
            "the gateway has this reference already; open a new attempt with a new `reference` and the same `order`",
            None,
            "reference used at the gateway",
        ),
    ],
    ids=["silence", "a wait", "another's session", "a used reference"],
)
async def test_what_stood_in_the_way_of_a_checkout_is_told_to_the_shop_and_in_the_timeline(
    outcome: OpeningOutcome, code: str, words: str, retry_after: float | None, why: str
) -> None:
    drive = Drive()
    assert drive.payment(await drive.open()).session_id == "S-001"
    error = await failed(drive, outcome)
    assert (error.code, str(error), error.retry_after) == (code, words, retry_after)
    assert error.payment_id is not None
    (entry,) = drive.ledger.entries(error.payment_id)
    assert (entry.kind, entry.at) == (EntryKind.DECISION, drive.clock.now)
    assert entry.data == {"change": "no checkout", "why": why}
    assert drive.payment(error.payment_id).opening_until is None


async def test_what_is_opened_again_lives_as_long_as_what_is_opened_at_once() -> None:
    """Otherwise its buyer would be late from the start, as Execute is never asked after the end."""
    drive = Drive()
    await failed(drive, LOST, account=EXECUTING, reference="order-7831")
    await drive.wait(timedelta(minutes=29))
    payment_id = await drive.open(EXECUTING, reference="order-7831", outcome=MINE)
    assert drive.payment(payment_id).expires_at == drive.clock.now + timedelta(minutes=30)


async def test_a_row_that_the_clock_closed_in_silence_is_opened_again() -> None:
    """No event was sent about it; the new checkout is asked about and ends like any other."""
    drive = Drive(troubled(Trouble.NOT_FOUND))
    lost = await failed(drive, LOST, reference="order-7831")
    await drive.wait(timedelta(days=3))
    assert lost.payment_id is not None
    row = drive.payment(lost.payment_id)
    assert (row.status, row.next_check_at) == (Status.EXPIRED, None)
    payment_id = await drive.open(reference="order-7831", outcome=MINE)
    payment = drive.payment(payment_id)
    assert (payment.id, payment.status, payment.version) == (row.id, Status.PENDING, 1)
    assert payment.next_check_at == payment.opened_at + timedelta(minutes=2)
    await drive.wait(timedelta(hours=1))
    assert types(drive, payment_id) == [EventType.OPENED, EventType.EXPIRED]


async def test_when_whoever_opened_again_died_too_the_row_is_looked_after() -> None:
    drive = Drive(troubled(Trouble.NOT_FOUND))
    await failed(drive, LOST, reference="order-7831")
    await drive.wait(timedelta(days=3))

    class Died(Exception):
        pass

    async def dies(_: Payment) -> OpeningOutcome:
        raise Died

    again = drive.new(reference="order-7831")
    with pytest.raises(Died):
        await open_payment(drive.ledger, drive.rules, again, {"reference": "order-7831"}, dies)
    assert drive.ledger.next_look() == drive.clock.now + timedelta(minutes=2)


async def test_a_session_that_an_opening_replaced_stays_ours() -> None:
    """The gateway named its session when it was asked by our reference; then the next POST opened another session."""
    drive = Drive(says(Status.PENDING, session_id="S-first"))
    await failed(drive, LOST, reference="order-7831")
    await drive.wait(180)
    payment_id = await drive.open(reference="order-7831", outcome=MINE)
    payment = drive.payment(payment_id)
    assert (payment.session_id, payment.aliases) == ("S-mine", ("S-first",))
    drive.gateway = says(Status.COMPLETED, session_id="S-first")
    await drive.hit(payment_id)
    assert drive.payment(payment_id).status is Status.COMPLETED


async def test_a_session_that_an_opening_brought_again_replaced_none() -> None:
    drive = Drive(says(Status.PENDING, session_id="S-mine"))
    await failed(drive, LOST, reference="order-7831")
    await drive.wait(180)
    payment = drive.payment(await drive.open(reference="order-7831", outcome=MINE))
    assert (payment.session_id, payment.aliases) == ("S-mine", ())


async def test_another_body_for_a_reference_without_checkout_is_refused() -> None:
    drive = Drive()
    error = await failed(drive, LOST, reference="order-7831", request={"amount": "100.00"})
    again = await failed(drive, MINE, reference="order-7831", request={"amount": "200.00"})
    assert (again.code, again.payment_id, again.equal) == ("reference_used", error.payment_id, False)


async def test_a_reference_whose_payment_has_a_checkout_is_used() -> None:
    drive = Drive()
    first = await drive.open(reference="order-7831")
    error = await failed(drive, MINE, reference="order-7831")
    assert (error.code, error.payment_id, error.equal) == ("reference_used", first, True)
    assert str(error) == "a payment with this reference exists"
    other = await failed(drive, MINE, reference="order-7831", request={"amount": "200.00"})
    assert (other.code, other.payment_id, other.equal) == ("reference_used", first, False)
    assert await drive.open(PROVING, reference="order-7831"), "another account's references are its own"


async def test_a_reference_that_the_gateway_says_is_paid_is_not_opened_again() -> None:
    """A buyer must not pay twice for money that a lost opening collected."""
    drive = Drive(says(Status.COMPLETED, session_id="S-first"))
    lost = await failed(drive, LOST, reference="order-7831")
    await drive.wait(180)
    error = await failed(drive, MINE, reference="order-7831")
    assert (error.code, error.payment_id) == ("reference_used", lost.payment_id)


SILENTLY = {"status": Status.EXPIRED, "expired_by_clock_at": NOON}


@pytest.mark.parametrize(
    ("present", "equal", "why"),
    [
        ({}, True, None),
        ({"opening_until": NOON}, True, None),
        (SILENTLY, True, None),
        ({}, False, "other_body"),
        ({"opening_until": NOON + TIMING.opening_lease}, True, "opening"),
        ({"opening_until": NOON + TIMING.opening_lease}, False, "other_body"),
        ({"opened": True}, True, "opened"),
        ({"opened": True}, False, "opened"),
        ({"version": 1}, True, "opened"),
        ({"holds": (Hold.UNVERIFIABLE,)}, True, "opened"),
        ({"status": Status.EXPIRED}, True, "opened"),
        ({"status": Status.COMPLETED, "expired_by_clock_at": NOON}, True, "opened"),
        (SILENTLY | {"version": 1}, True, "opened"),
        ({"holds": (Hold.AMOUNT_MISMATCH, Hold.UNEXPECTED)}, True, "unexpected"),
    ],
    ids=str,
)
def test_a_row_is_opened_again_while_nobody_heard_of_it_and_the_same_is_asked_for(
    present: dict[str, Any], equal: bool, why: Any
) -> None:
    """By its own id, with the times and the schedule of a new payment."""
    row, wanted = Drive().new(**present), Drive().new(step=1, schedule="pending")
    wanted = msgspec.structs.replace(
        wanted,
        id="pay_proposed",
        opened_at=NOON + timedelta(hours=1),
        expires_at=NOON + timedelta(hours=2),
        next_check_at=NOON + timedelta(hours=3),
    )
    until = NOON + timedelta(minutes=5)
    made = reopen_or_reject(row, wanted, equal=equal, until=until, now=NOON)
    if why is not None:
        assert made == ReferenceTaken(payment=row, why=why, equal=equal and why != "unexpected")
    else:
        assert made == ReadyToOpen(msgspec.structs.replace(wanted, id=row.id, opening_until=until))


async def test_two_posts_of_one_reference_open_one_checkout() -> None:
    drive = Drive()
    waiting, calls = asyncio.Event(), []

    async def call(row: Payment) -> OpeningOutcome:
        calls.append(row.id)
        await waiting.wait()
        return MINE

    def post() -> asyncio.Task[Payment]:
        work = open_payment(drive.ledger, drive.rules, drive.new(reference="order-7831"), {"a": "b"}, call)
        return asyncio.ensure_future(work)

    first, second = post(), post()
    with pytest.raises(OpeningFailed) as caught:
        await second
    assert (caught.value.code, str(caught.value)) == ("opening_in_progress", "this reference is being opened")
    assert caught.value.retry_after == 5
    waiting.set()
    assert (await first).id == caught.value.payment_id
    assert len(calls) == 1


async def test_when_whoever_opened_died_the_next_post_takes_over_after_the_lease() -> None:
    drive = Drive()
    row = drive.new(reference="order-7831")
    await drive.ledger.create(row, {"reference": "order-7831"}, TIMING.opening_lease)
    assert (await failed(drive, MINE, reference="order-7831")).code == "opening_in_progress"
    drive.clock.advance(TIMING.opening_lease)
    assert await drive.open(reference="order-7831") == row.id


async def test_a_reference_used_at_the_gateway_stays_and_is_asked_about() -> None:
    drive = Drive(says(Status.COMPLETED, session_id="S-elsewhere"))
    error = await failed(drive, ReferenceUsed(), reference="order-7831")
    assert error.code == "reference_used_at_gateway"
    assert error.payment_id is not None
    await drive.wait(180)
    assert drive.payment(error.payment_id).status is Status.COMPLETED


async def test_a_session_of_another_payment_is_not_taken() -> None:
    drive = Drive()
    first = await drive.open(outcome=MINE)
    error = await failed(drive, MINE)
    assert error.code == "gateway_unavailable"
    assert error.payment_id is not None
    assert drive.payment(error.payment_id).session_id is None
    assert drive.payment(first).session_id == "S-mine"


async def test_a_payment_paid_while_its_opening_was_on_the_way_gets_no_opened_event() -> None:
    """A version is never given twice, and `opened` after `completed` would report nothing new."""
    drive = Drive(says(Status.COMPLETED, session_id="S-mine"))
    payment = drive.new()

    async def call(row: Payment) -> OpeningOutcome:
        await drive.hit(row.id, Said.SUCCESS)
        return MINE

    opened = await open_payment(drive.ledger, drive.rules, payment, {}, call)
    assert (opened.status, opened.version, opened.opened) == (Status.COMPLETED, 1, True)
    assert types(drive, payment.id) == [EventType.COMPLETED]


@pytest.mark.parametrize(
    ("word", "opened", "told"),
    [
        (Status.PENDING, True, [EventType.OPENED]),
        (Status.PENDING, False, []),
        (None, True, [EventType.HELD]),
        (None, False, [EventType.HELD]),
    ],
)
async def test_what_is_said_to_be_paid_while_its_opening_is_on_the_way_is_asked_about_closely(
    word: Status | None, told: list[EventType], *, opened: bool
) -> None:
    """Whether or not the opening's reply comes. Under a hold no other event is sent, and no version is given twice."""
    drive = Drive(says(word))
    payment = drive.new()

    async def call(row: Payment) -> OpeningOutcome:
        await drive.hit(row.id, Said.SUCCESS)
        return MINE if opened else LOST

    with nullcontext() if opened else pytest.raises(OpeningFailed):
        await open_payment(drive.ledger, drive.rules, payment, {}, call)
    await drive.wait(30)
    assert [round(seconds) for seconds in drive.seconds(payment.id)] == [0, 2, 7, 22]
    assert drive.payment(payment.id).opened is opened
    assert types(drive, payment.id) == told


# -- track -------------------------------------------------------------------------------------------------------------


async def test_a_payment_the_shop_opened_is_tracked_from_then_on() -> None:
    drive = Drive(says(Status.COMPLETED))
    payment = drive.new(session_id="S-shop")
    tracked = await track_payment(drive.ledger, drive.rules, payment, {})
    assert (tracked.opened, tracked.session_id, tracked.checkout_url) == (True, "S-shop", None)
    await drive.wait(180)
    assert types(drive, payment.id) == [EventType.OPENED, EventType.COMPLETED]


async def test_a_session_is_tracked_once() -> None:
    drive = Drive()
    await track_payment(drive.ledger, drive.rules, drive.new(session_id="S-shop"), {})
    again = drive.new(session_id="S-shop", reference="order-again")
    with pytest.raises(OpeningFailed) as caught:
        await track_payment(drive.ledger, drive.rules, again, {})
    assert (caught.value.code, str(caught.value)) == ("session_used", "another payment has this session_id")
    retried = drive.new(session_id="S-other", reference="order-again")
    assert (await track_payment(drive.ledger, drive.rules, retried, {})).opened, "the reference is free again"


async def test_a_reference_is_tracked_once() -> None:
    drive = Drive()
    first = await track_payment(drive.ledger, drive.rules, drive.new(session_id="S-1", reference="order-7831"), {})
    with pytest.raises(OpeningFailed) as caught:
        await track_payment(drive.ledger, drive.rules, drive.new(session_id="S-2", reference="order-7831"), {})
    assert (caught.value.code, caught.value.payment_id, caught.value.equal) == ("reference_used", first.id, True)
    other = {"amount": "200.00"}
    with pytest.raises(OpeningFailed) as caught:
        await track_payment(drive.ledger, drive.rules, drive.new(session_id="S-2", reference="order-7831"), other)
    assert (caught.value.code, caught.value.payment_id, caught.value.equal) == ("reference_used", first.id, False)


@pytest.mark.parametrize("word", [Status.COMPLETED, Status.FAILED])
async def test_a_row_that_was_answered_before_its_session_was_recorded_gets_it_from_an_equal_request(
    word: Status,
) -> None:
    """The process that tracked it died in between; the gateway was asked by the reference."""
    drive = Drive(says(word, session_id="S-shop"))
    row = drive.new(reference="order-7831")
    await drive.ledger.create(row, {}, TIMING.tracking_lease)
    await drive.hit(row.id, Said.SUCCESS)
    await drive.wait(180)
    before = types(drive, row.id)
    assert (drive.payment(row.id).status, drive.payment(row.id).opened) == (word, False)
    again = drive.new(session_id="S-shop", reference="order-7831")
    made = await track_payment(drive.ledger, drive.rules, again, {})
    assert (made.id, made.session_id, made.opened, made.status) == (row.id, "S-shop", True, word)
    assert types(drive, row.id) == before
    with pytest.raises(OpeningFailed) as caught:
        await track_payment(drive.ledger, drive.rules, drive.new(session_id="S-2", reference="order-7831"), {})
    assert caught.value.code == "reference_used"
