"""Events between a look and its write: other workers, other replies, a crash, and commits whose result is lost.

These are rare, and they count: a claim that is lost here was acknowledged, and an Execute that is sent twice takes
money twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.account import Account
from consumers.checks.limits import ACCOUNT_BREAKER, BURST_SECONDS
from consumers.pipeline import AssignedQuestion, take_claims
from consumers.ports.readings import LookResult
from consumers.ports.writes import Write, WriteResult
from consumers.record_replies import HealthRecorded, record_dead_replies, record_replies
from schemas.answers import ExecuteReply, ForeignTransaction, Inconclusive, QuestionOutcome, Trouble
from schemas.changes import Change
from schemas.checks import Checks
from schemas.payments import TakenKeys
from schemas.words import EntryKind, EventType, QuestionKind, Said, Source, Status
from tests.fakes.drive import Drive, answered, executed, says, troubled
from tests.fakes.ledger import FakeLedger, FakeTurns
from tests.fakes.providers import CANDIDATES, EXECUTING, PLAIN

MINUTE = timedelta(minutes=1)
EXECUTE, QUERY = QuestionKind.EXECUTE, QuestionKind.STATUS


class LostError(Exception):
    """The database went away."""


class Between(FakeLedger):
    """Runs the planned actions before the next writes, one before each; `after`, once they are committed."""

    before: list[Callable[[], Awaitable[Any]]]
    after: list[Callable[[], Awaitable[Any]]]
    seconds = 0.0
    """The time that passes before an account's row is locked."""

    async def write(self, writes: Sequence[Write]) -> WriteResult:
        if self.before:
            await self.before.pop(0)()
        written = await super().write(writes)
        if self.after:
            await self.after.pop(0)()
        return written

    @asynccontextmanager
    async def limits(self, accounts: Collection[str]) -> AsyncIterator[Any]:
        self.clock.advance(self.seconds)
        async with super().limits(accounts) as limits:
            yield limits


def drive_with(**fields: Any) -> tuple[Drive, Between]:
    drive = Drive(**fields)
    ledger = drive.ledger = Between(drive.clock)
    ledger.before, ledger.after = [], []
    return drive, ledger


async def lost() -> None:
    raise LostError


def entries(drive: Drive, payment_id: str, kind: EntryKind) -> list[dict[str, Any]]:
    return [one.data for one in drive.ledger.entries(payment_id) if one.kind is kind]


# -- several about one -------------------------------------------------------------------------------------------------


async def test_two_replies_about_one_payment_that_come_together_are_both_recorded() -> None:
    drive = Drive()
    payment_id = await drive.open()
    (slow,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    drive.clock.advance(31)
    (quick,) = await drive.take(drive.claim(payment_id))
    await drive.record(
        [
            drive.reply(slow, answered(slow, Status.COMPLETED)),
            drive.reply(quick, answered(quick, Status.PENDING)),
        ]
    )
    assert drive.payment(payment_id).status is Status.COMPLETED
    answers = entries(drive, payment_id, EntryKind.ANSWER)
    assert [one["status"] for one in answers] == ["completed", "pending"]
    assert len(entries(drive, payment_id, EntryKind.CLAIM)) == 2


async def test_one_signed_event_about_two_payments_is_news_once() -> None:
    drive = Drive()
    first, second = [await drive.open() for _ in range(2)]
    claims = [drive.claim(one, source=Source.WEBHOOK, signed=True, event_id="E1") for one in (first, second)]
    await drive.publish(*claims)
    told = [entries(drive, one, EntryKind.CLAIM)[0]["verdict"] for one in (first, second)]
    assert told == ["asks", "repeated"]


# -- others who write meanwhile ----------------------------------------------------------------------------------------


async def test_of_two_workers_that_execute_for_one_order_at_once_one_does() -> None:
    drive, ledger = drive_with()
    first, second = [await drive.open(EXECUTING, order_ref="basket-9") for _ in range(2)]
    claims = {one: drive.claim(one, Said.SUCCESS) for one in (first, second)}
    turns = FakeTurns(drive.turns.held)
    drive.clock.advance(1)
    theirs = []

    async def another() -> None:
        theirs.append(await take_claims(ledger, drive.rules, [claims[second]], turns))

    ledger.before = [another]
    mine = await take_claims(ledger, drive.rules, [claims[first]], drive.turns)
    assert [one.question.kind for one in theirs[0].questions] == [EXECUTE]
    assert (mine.questions, mine.waiting) == ([], [claims[first]])
    again = await take_claims(ledger, drive.rules, mine.waiting, drive.turns)
    assert [one.question.kind for one in again.questions] == [QUERY]
    assert drive.payment(first).execute_asked_at is None


async def test_an_execute_that_was_decided_on_another_server_is_not_sent() -> None:
    drive, ledger = drive_with()
    payment_id = await drive.open(EXECUTING)
    claim = drive.claim(payment_id, Said.SUCCESS)
    drive.clock.advance(1)

    async def taken_over() -> None:
        ledger.since = drive.clock.now

    ledger.before = [taken_over]
    taken = await take_claims(ledger, drive.rules, [claim], drive.turns)
    assert (taken.questions, taken.waiting) == ([], [claim])
    assert drive.payment(payment_id).execute_asked_at is None
    again = await take_claims(ledger, drive.rules, taken.waiting, drive.turns)
    assert [one.question.kind for one in again.questions] == [QUERY]


async def test_a_reply_from_before_a_takeover_is_folded_on_what_the_new_server_has() -> None:
    """The Execute and its claim are missing there; the money is known all the same."""
    drive, ledger = drive_with()
    payment_id = await drive.open(EXECUTING)
    before = drive.payment(payment_id)
    (assigned,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    ledger._tables.payments[payment_id] = before
    ledger.since = drive.clock.now
    await drive.record([drive.reply(assigned, executed(assigned, "completed", Status.COMPLETED))])
    assert drive.told(payment_id) == [EventType.COMPLETED]


@pytest.mark.parametrize(("reply", "status"), [("none", None), ("completed", Status.COMPLETED)])
async def test_a_claim_whose_execute_is_missing_on_the_new_server_is_recorded_with_the_reply(
    reply: ExecuteReply, status: Status | None
) -> None:
    """Then it is acknowledged. Where the money was not taken, its wish brings the next Execute."""
    drive = Drive()
    payment_id = await drive.open(EXECUTING)
    standby = deepcopy(drive.ledger._tables), drive.ledger.revisions.copy()
    claim = drive.claim(payment_id, Said.SUCCESS)
    (assigned,) = await drive.take(claim)
    assert assigned.question.kind is EXECUTE
    drive.ledger._tables, drive.ledger.revisions = standby
    drive.ledger.since = drive.clock.now
    await drive.record([drive.reply(assigned, executed(assigned, reply, status))])
    payment = drive.payment(payment_id)
    assert [one["claim_id"] for one in entries(drive, payment_id, EntryKind.CLAIM)] == [claim.id]
    if status is None:
        assert (payment.execute_state, payment.execute_unanswered) == ("kept", True)
        drive.gateway = _pays
        await drive.wait(5 * MINUTE)
    assert drive.told(payment_id) == [EventType.COMPLETED]


def _pays(assigned: AssignedQuestion) -> QuestionOutcome:
    if assigned.question.kind is EXECUTE:
        return executed(assigned, "completed", Status.COMPLETED)
    return answered(assigned, Status.PENDING)


async def test_whoever_lost_an_execute_and_waits_no_longer_is_recorded_with_the_wish() -> None:
    drive, ledger = drive_with()
    payment_id = await drive.open(EXECUTING)
    claim = drive.claim(payment_id, Said.SUCCESS)
    drive.clock.advance(1)

    async def another() -> None:
        async with ledger.batch([payment_id]) as batch:
            await batch.store([Change(payment=drive.payment(payment_id))])
            await batch.commit()

    ledger.before = [another]
    taken = await take_claims(ledger, drive.rules, [claim], drive.turns, patient=False)
    payment = drive.payment(payment_id)
    assert (taken.questions, taken.waiting) == ([], [])
    assert (payment.execute_state, payment.execute_asked_at) == ("wanted", None)
    assert drive.turns.held == set()


@pytest.mark.parametrize("times", [1, 2, 3, 5])
async def test_a_reply_is_folded_again_on_what_others_wrote_however_often(times: int) -> None:
    """From the third time on with the payment locked."""
    drive, ledger = drive_with(gateway=says(Status.COMPLETED))
    payment_id = await drive.open()
    in_flight = await drive.take(drive.claim(payment_id))

    async def another() -> None:
        claim = drive.claim(payment_id, source=Source.OPERATOR)
        await take_claims(ledger, drive.rules, [claim], drive.turns, patient=False)

    async def nobody() -> None:
        pass

    ledger.before = [one for _ in range(times) for one in (another, nobody)]
    await drive.answer(in_flight)
    assert drive.payment(payment_id).status is Status.COMPLETED
    assert drive.told(payment_id) == [EventType.COMPLETED]
    assert len(entries(drive, payment_id, EntryKind.ANSWER)) == 1


async def test_claims_of_a_payment_that_is_discarded_before_they_are_written_are_kept_for_another() -> None:
    drive, ledger = drive_with()
    payment_id = await drive.open(CANDIDATES)
    known = drive.payment(payment_id)
    claim = drive.claim(payment_id, source=Source.IPN, transaction_id="T1", reference=known.reference)
    in_flight = await drive.take(claim)
    row = replace(known, version=0)
    ledger._tables.payments[payment_id] = row
    await ledger.discard(payment_id)
    await drive.answer(in_flight)
    assert [one.id for one in ledger.kept] == [claim.id]


async def test_claims_of_a_discarded_payment_are_written_to_the_one_that_has_its_reference_by_then() -> None:
    """It is asked about next time: until then the clock does not close it."""
    drive, ledger = drive_with()
    discarded = await drive.open(CANDIDATES)
    known = drive.payment(discarded)
    claim = drive.claim(discarded, source=Source.IPN, transaction_id="T1", reference=known.reference)
    in_flight = await drive.take(claim)
    ledger._tables.payments[discarded] = replace(known, version=0)
    await ledger.discard(discarded)
    payment_id = await drive.open(CANDIDATES, reference=known.reference)
    closes = drive.payment(payment_id).next_check_at
    assert closes is not None
    drive.clock.set(closes)
    await drive.answer(in_flight)
    assert len(entries(drive, payment_id, EntryKind.CLAIM)) == 1
    assert (ledger.kept, drive.told(payment_id)) == ((), [])


async def test_a_claim_about_a_payment_that_is_gone_is_set_aside() -> None:
    drive, ledger = drive_with()
    payment_id = await drive.open()
    claim = replace(drive.claim(payment_id), payment_id="pay_gone")
    await drive.take(claim)
    assert (ledger.kept, list(ledger._tables.claims)) == ((), [claim.id])


async def test_the_sweeps_claim_about_a_payment_that_is_gone_leaves_nothing() -> None:
    drive, ledger = drive_with()
    payment_id = await drive.open()
    claim = drive.claim(payment_id, source=Source.SWEEP)
    await drive.take(replace(claim, payment_id="pay_gone"))
    assert (ledger.kept, len(ledger._tables.claims)) == ((), 0)


@pytest.mark.parametrize("account", [PLAIN, EXECUTING])
async def test_a_look_that_another_workers_answer_overtakes_asks_once_more_at_most(account: Account) -> None:
    """The turn is free by then. The answer is folded like any other, and an Execute loses its swap."""
    drive, ledger = drive_with(gateway=says(Status.COMPLETED))
    payment_id = await drive.open(account)
    claims = [drive.claim(payment_id, Said.SUCCESS) for _ in range(3)]
    theirs = await drive.take(drive.claim(payment_id, source=Source.OPERATOR))
    assert len(theirs) == 1
    look = ledger.look

    async def overtaken(*given: Any) -> LookResult:
        seen = await look(*given)
        ledger.look = look  # type: ignore[method-assign]
        await drive.answer(theirs)
        return seen

    ledger.look = overtaken  # type: ignore[method-assign]
    again = await drive.publish(*claims)
    assert len(again) == (0 if account is EXECUTING else 1)
    await drive.wait(timedelta(hours=1))
    assert len(drive.asked) == len(theirs) + len(again)
    assert drive.told(payment_id) == [EventType.COMPLETED]


# -- the clock ---------------------------------------------------------------------------------------------------------


async def test_the_clock_closes_nothing_while_a_question_is_in_flight() -> None:
    """The id that is asked about is recorded with its reply, and until then only the question knows it."""
    drive = Drive(lambda assigned: answered(assigned, Status.COMPLETED))
    payment_id = await drive.open(CANDIDATES)
    closes = drive.payment(payment_id).next_check_at
    assert closes is not None
    await drive.until(closes - timedelta(seconds=5))
    in_flight = await drive.take(drive.claim(payment_id, Said.SUCCESS, transaction_id="T1"))
    drive.clock.set(closes)
    await drive.take(drive.claim(payment_id, source=Source.SWEEP))
    await drive.take(drive.claim(payment_id))
    assert drive.told(payment_id) == []
    await drive.answer(in_flight)
    payment = drive.payment(payment_id)
    assert (payment.status, payment.late) == (Status.COMPLETED, False)


async def test_the_clock_speaks_where_nothing_is_in_flight_and_gives_the_turn_back() -> None:
    drive = Drive(lambda _: ForeignTransaction(why="not_found"))
    payment_id = await drive.open(CANDIDATES)
    closes = drive.payment(payment_id).next_check_at
    assert closes is not None
    drive.clock.set(closes)
    await drive.take(drive.claim(payment_id, source=Source.SWEEP))
    assert drive.told(payment_id) == [EventType.EXPIRED]
    assert drive.turns.held == set()


# -- accounts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [Trouble.SERVER_ERROR, Trouble.NOT_FOUND])
async def test_a_reply_that_is_written_at_the_fourth_time_counts_once_at_its_account(trouble: Trouble) -> None:
    drive, ledger = drive_with(gateway=troubled(trouble))
    payment_id = await drive.open()
    (assigned,) = await drive.take(drive.claim(payment_id))
    reply = replace(drive.reply(assigned, Inconclusive(trouble=trouble, detail=trouble)), calls=2)
    rules = replace(drive.rules, accounts={PLAIN.id: replace(PLAIN, calls_per_second=1.0)})
    ledger.before = [lost, lost, lost]
    counted: HealthRecorded = {}
    for _ in range(3):
        with pytest.raises(LostError):
            await record_replies(ledger, rules, [(assigned, reply)], drive.clock.now, counted=counted)
    await record_replies(ledger, rules, [(assigned, reply)], drive.clock.now, counted=counted)
    known = ledger.limits_of(PLAIN.id)
    assert known is not None
    assert known.troubles + len(known.unknown_by) == 1
    assert round(BURST_SECONDS - known.calls, 2) == 1.0, "one call beside the call that is counted with the question"
    assert len(entries(drive, payment_id, EntryKind.ANSWER)) == 1


async def test_what_a_forgetful_gateway_said_speaks_for_no_closing_when_it_comes_from_the_dead_letters() -> None:
    drive = Drive(troubled(Trouble.NOT_FOUND))
    payments = [await drive.open() for _ in range(2)]
    await drive.wait(timedelta(minutes=45))
    inquiries = await drive.take(*(drive.claim(one, source=Source.OPERATOR) for one in payments))
    replies = [drive.reply(one, Inconclusive(trouble=Trouble.NOT_FOUND, detail="unknown")) for one in inquiries]
    await record_dead_replies(drive.ledger, drive.rules, replies)
    assert [drive.payment(one).unpaid_at for one in payments] == [None, None]


async def test_a_process_that_knows_of_no_trouble_takes_it_from_the_look_that_asked() -> None:
    drive = Drive(troubled(Trouble.SERVER_ERROR))
    first, second = [await drive.open() for _ in range(2)]
    await drive.hit(first)
    (assigned,) = await drive.take(drive.claim(second))
    reply = drive.reply(assigned, answered(assigned, Status.PENDING))
    await record_replies(drive.ledger, drive.rules, [(assigned, reply)], drive.clock.now)
    limits = drive.ledger.limits_of(PLAIN.id)
    assert limits is not None
    assert limits.troubles == 0


async def test_what_a_forgetful_gateway_said_speaks_for_no_closing_when_it_is_written_later() -> None:
    drive, ledger = drive_with(gateway=troubled(Trouble.NOT_FOUND))
    first, second = [await drive.open() for _ in range(2)]
    await drive.wait(timedelta(minutes=45))
    questions = await drive.take(*(drive.claim(one, source=Source.OPERATOR) for one in (first, second)))
    replies = [(one, drive.reply(one, Inconclusive(trouble=Trouble.NOT_FOUND, detail="unknown"))) for one in questions]
    ledger.before = [lost]
    counted: HealthRecorded = {}
    with pytest.raises(LostError):
        await record_replies(ledger, drive.rules, replies, drive.clock.now, counted=counted)
    for one in replies:
        await record_replies(ledger, drive.rules, [one], drive.clock.now, counted=counted)
    assert [drive.payment(one).unpaid_at for one in (first, second)] == [None, None], "no step to the end of either"


# -- the release before ------------------------------------------------------------------------------------------------


async def test_what_a_worker_of_the_last_release_asks_about_is_left_to_it() -> None:
    drive = Drive()
    payment_id = await drive.open(CANDIDATES)
    closes = drive.payment(payment_id).next_check_at
    assert closes is not None
    leased = replace(drive.payment(payment_id), asked_at=closes, lease_until=closes + timedelta(seconds=30))
    async with drive.ledger.batch([payment_id]) as batch:
        await batch.store([Change(payment=leased)])
        await batch.commit()
    drive.clock.set(closes + timedelta(seconds=1))
    for claim in (drive.claim(payment_id), drive.claim(payment_id, transaction_id="T1")):
        assert await drive.take(claim) == []
    assert len(entries(drive, payment_id, EntryKind.CLAIM)) == 2
    assert (drive.told(payment_id), drive.payment(payment_id).lease_until) == ([], leased.lease_until)
    drive.clock.advance(30)
    (assigned,) = await drive.take(drive.claim(payment_id, source=Source.SWEEP))
    assert assigned.lost, "its worker may have died of it"


@pytest.mark.parametrize("seconds", [1, 41])
async def test_the_lease_of_an_execute_that_died_is_let_go_where_its_query_is_turned_away(seconds: int) -> None:
    drive = Drive()
    payment_id = await drive.open(EXECUTING)
    await drive.take(drive.claim(payment_id, Said.SUCCESS))
    drive.clock.advance(seconds)
    drive.turns.held.clear()
    claim = drive.claim(payment_id, source=Source.SWEEP)
    await take_claims(drive.ledger, drive.rules, [claim], drive.turns, {EXECUTING.id: 0})
    payment = drive.payment(payment_id)
    assert payment.lease_until is None
    assert payment.next_check_at is not None
    assert drive.clock.now < payment.next_check_at < drive.clock.now + timedelta(seconds=5), (
        "neither in a loop nor late"
    )


# -- what goes wrong ---------------------------------------------------------------------------------------------------


async def test_where_taking_fails_no_turn_is_kept_and_nothing_executes() -> None:
    drive, ledger = drive_with()
    executing, silent, asked = await drive.open(EXECUTING), await drive.open(), await drive.open()
    await drive.hit(silent)
    claims = [
        drive.claim(executing, Said.SUCCESS),
        drive.claim(silent, received_at=drive.payment(silent).opened_at),  # answered already, so it is written
        drive.claim(asked),
    ]
    ledger.before = [lost]
    with pytest.raises(LostError):
        await drive.take(*claims)
    assert drive.turns.held == set()
    assert drive.payment(executing).execute_asked_at is None


async def test_an_execute_whose_commit_nobody_heard_of_is_not_sent_and_counts_as_asked() -> None:
    drive, ledger = drive_with()
    payment_id = await drive.open(EXECUTING)
    ledger.after = [lost]
    with pytest.raises(LostError):
        await drive.take(drive.claim(payment_id, Said.SUCCESS))
    assert (drive.turns.held, drive.asked) == (set(), [])
    drive.clock.advance(1)
    assert EXECUTE not in [one.question.kind for one in await drive.take(drive.claim(payment_id, Said.SUCCESS))]
    drive.clock.advance(58)
    assert EXECUTE not in [one.question.kind for one in await drive.take(drive.claim(payment_id, Said.SUCCESS))]


async def test_the_claim_of_an_execute_whose_commit_nobody_heard_of_asks_query_at_once() -> None:
    drive, ledger = drive_with(gateway=says(Status.COMPLETED))
    payment_id = await drive.open(EXECUTING)
    claim = drive.claim(payment_id, Said.SUCCESS)
    ledger.after = [lost]
    with pytest.raises(LostError):
        await drive.take(claim)
    assert [one.question.kind for one in await drive.publish(claim)] == [QUERY]
    assert drive.told(payment_id) == [EventType.COMPLETED]


@pytest.mark.parametrize(
    ("account", "outcome"),
    [
        (PLAIN, lambda one: answered(one, Status.PENDING)),
        (PLAIN, troubled()),
        (EXECUTING, lambda one: executed(one, "not_sent", None)),
        (EXECUTING, lambda one: executed(one, "none", None)),
        (EXECUTING, lambda one: executed(one, "unread", None)),
        (EXECUTING, lambda one: executed(one, "refused", Status.PENDING)),
        (EXECUTING, lambda one: executed(one, "completed", Status.COMPLETED)),
    ],
    ids=["answer", "trouble", "not sent", "no reply", "unread", "refused", "completed"],
)
async def test_a_reply_that_is_written_again_because_nobody_heard_of_its_commit_stands_there_once(
    account: Account, outcome: Callable[[AssignedQuestion], QuestionOutcome]
) -> None:
    drive, ledger = drive_with()
    payment_id = await drive.open(account)
    (assigned,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    drive.clock.advance(1)
    reply, counted = drive.reply(assigned, outcome(assigned)), HealthRecorded()
    ledger.after = [lost]
    with pytest.raises(LostError):
        await record_replies(ledger, drive.rules, [(assigned, reply)], drive.clock.now, counted=counted)
    written = drive.payment(payment_id)
    await record_replies(ledger, drive.rules, [(assigned, reply)], drive.clock.now, counted=counted)
    assert drive.payment(payment_id) == written
    assert len(entries(drive, payment_id, EntryKind.ANSWER)) == 1


async def loses_its_lease(drive: Drive, payment_id: str) -> None:
    """Let another worker, which saw its turn free and could not ask, end its lease."""
    async with drive.ledger.batch([payment_id]) as batch:
        await batch.store([Change(payment=replace(drive.payment(payment_id), lease_until=None))])
        await batch.commit()


@pytest.mark.parametrize("reply_of_execute", ["completed", "unread"])
@pytest.mark.parametrize("tries", [0, 1])
async def test_the_reply_of_an_execute_is_written_though_another_worker_let_its_lease_go(
    tries: int, reply_of_execute: ExecuteReply
) -> None:
    """The reply is new, however often its write was tried.

    An unreadable reply leaves the doubt, and the Query that followed it says that the money is there.
    """
    drive, ledger = drive_with()
    payment_id = await drive.open(EXECUTING)
    (assigned,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    drive.clock.advance(1)
    reply, counted = drive.reply(assigned, executed(assigned, reply_of_execute, Status.COMPLETED)), HealthRecorded()
    ledger.before = [*[lost] * tries, lambda: loses_its_lease(drive, payment_id)]
    for _ in range(tries):
        with pytest.raises(LostError):
            await record_replies(ledger, drive.rules, [(assigned, reply)], drive.clock.now, counted=counted)
    await record_replies(ledger, drive.rules, [(assigned, reply)], drive.clock.now, counted=counted)
    assert drive.told(payment_id) == [EventType.COMPLETED]


async def test_an_execute_that_was_not_sent_is_in_doubt_no_more_though_another_worker_let_its_lease_go() -> None:
    """Its reply has no answer of the gateway, and its first write failed."""
    drive, ledger = drive_with()
    payment_id = await drive.open(EXECUTING)
    (assigned,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    drive.clock.advance(1)
    replies = [(assigned, drive.reply(assigned, executed(assigned, "not_sent", None)))]
    ledger.before = [lost, lambda: loses_its_lease(drive, payment_id)]
    counted = HealthRecorded()
    with pytest.raises(LostError):
        await record_replies(ledger, drive.rules, replies, drive.clock.now, counted=counted)
    await record_replies(ledger, drive.rules, replies, drive.clock.now, counted=counted)
    drive.turns.held.clear()
    drive.clock.advance(2)
    assert [one.question.kind for one in await drive.take(drive.claim(payment_id, source=Source.SWEEP))] == [EXECUTE]


async def touched(drive: Drive, payment_id: str) -> None:
    async with drive.ledger.batch([payment_id]) as batch:
        await batch.store([Change(payment=drive.payment(payment_id))])
        await batch.commit()


async def test_a_question_without_an_answer_is_written_though_its_second_write_loses_the_swap() -> None:
    drive, ledger = drive_with()
    payment_id = await drive.open()
    (assigned,) = await drive.take(drive.claim(payment_id))
    replies = [(assigned, drive.reply(assigned, troubled()(assigned)))]
    ledger.before = [lost, lambda: touched(drive, payment_id)]
    counted = HealthRecorded()
    with pytest.raises(LostError):
        await record_replies(ledger, drive.rules, replies, drive.clock.now, counted=counted)
    await record_replies(ledger, drive.rules, replies, drive.clock.now, counted=counted)
    assert [len(entries(drive, payment_id, kind)) for kind in (EntryKind.CLAIM, EntryKind.ANSWER)] == [1, 1]


async def test_an_answer_that_was_given_before_counts_once_more_though_another_worker_let_the_lease_go() -> None:
    """The reply to Execute could not be read, and the Query after it says "pending", as one before Execute did."""
    drive, ledger = drive_with()
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id)
    drive.clock.advance(5)
    (assigned,) = await drive.take(drive.claim(payment_id, Said.SUCCESS))
    assert assigned.question.kind is EXECUTE
    drive.clock.advance(1)
    replies = [(assigned, drive.reply(assigned, executed(assigned, "unread", Status.PENDING)))]
    ledger.before = [lost, lambda: loses_its_lease(drive, payment_id)]
    counted = HealthRecorded()
    with pytest.raises(LostError):
        await record_replies(ledger, drive.rules, replies, drive.clock.now, counted=counted)
    await record_replies(ledger, drive.rules, replies, drive.clock.now, counted=counted)
    assert len(entries(drive, payment_id, EntryKind.ANSWER)) == 2


async def test_a_claim_that_asks_nothing_leaves_an_execute_alone_that_began_before_it_was_written() -> None:
    drive, ledger = drive_with()
    payment_id = await drive.open(EXECUTING)
    await drive.hit(payment_id)
    late = drive.claim(payment_id, received_at=drive.payment(payment_id).opened_at)
    drive.clock.advance(5)

    async def another() -> None:
        await take_claims(ledger, drive.rules, [drive.claim(payment_id, Said.SUCCESS)], FakeTurns())

    ledger.before = [another]
    assert await drive.take(late) == []
    payment = drive.payment(payment_id)
    assert (payment.execute_state, payment.next_check_at) == ("kept", payment.lease_until)
    assert len(entries(drive, payment_id, EntryKind.CLAIM)) == 3


async def test_a_claim_that_is_written_beside_a_question_leaves_the_lease_of_the_execute_before_it() -> None:
    """If the worker of that question dies too, the payment is due at once, and not by its schedule."""
    drive = Drive(checks=Checks(claimed=(300.0,)))
    payment_id = await drive.open(EXECUTING)
    await drive.take(drive.claim(payment_id, Said.SUCCESS))
    drive.turns.held.clear()
    drive.clock.advance(41)
    for claim, asked in (drive.claim(payment_id, source=Source.SWEEP), [QUERY]), (drive.claim(payment_id), []):
        taken = await take_claims(drive.ledger, drive.rules, [claim], drive.turns, patient=False)
        assert [one.question.kind for one in taken.questions] == asked
    assert len(entries(drive, payment_id, EntryKind.CLAIM)) == 2
    due = drive.payment(payment_id).next_check_at
    assert due is not None
    assert due <= drive.clock.now


async def test_keys_that_turn_out_to_be_others_one_after_the_other_are_learnt_under_the_lock() -> None:
    drive, ledger = drive_with(gateway=says(Status.COMPLETED))
    payment_id = await drive.open()
    in_flight = await drive.take(drive.claim(payment_id))
    real, told = ledger.write, list[Write]()

    async def write(writes: Sequence[Write]) -> WriteResult:
        told.extend(writes)
        if len(told) <= 5:
            others = TakenKeys(transactions=frozenset({f"other-{len(told)}"}))
            return WriteResult(done=frozenset(), taken={payment_id: others})
        return await real(writes)

    ledger.write = write  # type: ignore[method-assign]
    await drive.answer(in_flight)
    assert drive.payment(payment_id).status is Status.COMPLETED


# -- accounts ----------------------------------------------------------------------------------------------------------


async def test_answers_that_were_asked_for_before_the_troubles_end_them() -> None:
    """All were asked at once, before any trouble was known; every second question is answered."""
    drive = Drive()
    payments = [await drive.open() for _ in range(2 * ACCOUNT_BREAKER.threshold)]
    asked = await drive.take(*(drive.claim(one) for one in payments))
    for number, assigned in enumerate(asked):
        drive.gateway = says(Status.PENDING) if number % 2 else troubled(Trouble.SERVER_ERROR)
        await drive.answer([assigned])
    account_limits = drive.ledger.limits_of(PLAIN.id)
    assert account_limits is not None
    assert (account_limits.troubles, account_limits.shut_until) == (0, None)


async def test_a_probe_that_was_silent_too_is_known_by_its_time_however_long_its_row_was_locked() -> None:
    """The pause after it is a little longer than the pause before, and not as long as a probe may take."""
    drive, ledger = drive_with(gateway=troubled(Trouble.SERVER_ERROR))
    ledger.seconds = 0.005
    payments = [await drive.open() for _ in range(ACCOUNT_BREAKER.threshold + 1)]
    for one in payments[:-1]:
        await drive.hit(one)
    drive.clock.advance(2)
    assert len(await drive.hit(payments[-1])) == 1
    account_limits = drive.ledger.limits_of(PLAIN.id)
    assert account_limits is not None
    assert account_limits.shut_until is not None
    assert account_limits.shut_until - drive.clock.now <= 2 * ACCOUNT_BREAKER.pauses.first
