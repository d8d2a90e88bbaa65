"""A budget counts for all workers, and a worker waits for another at an account's row only where it must."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.account import Account
from consumers.checks.limits import ACCOUNT_BREAKER, BURST_SECONDS, SOON, SPREAD
from consumers.commands.open_payment import track_payment
from consumers.pipeline import AssignedQuestion, take_claims
from consumers.ports.call_limits import AccountLimits
from consumers.timing import TIMING
from schemas.answers import Inconclusive, Trouble
from schemas.callbacks import Claim
from schemas.words import EntryKind, Source, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import Drive, answered, says, troubled
from tests.fakes.ledger import FakeLedger, FakeLimits
from tests.fakes.providers import CANDIDATES, PLAIN

HEALTHY, POOR, SILENT = replace(PLAIN, id="healthy"), replace(PLAIN, id="poor", calls_per_second=0.5), PLAIN
"""The poor account may be asked one question every two seconds, and one in a row."""


class Waits(Exception):
    """The row of the account is locked by another worker, until its transaction ends."""


class SharedLedger(FakeLedger):
    """`taken` are the accounts whose rows another worker has locked; they can be read and not locked.

    `lost`: writes to them are committed, and the writer never learns it.
    """

    taken: frozenset[str] = frozenset()
    lost = False

    @asynccontextmanager
    async def limits(self, accounts: Collection[str]) -> AsyncIterator[FakeLimits]:
        if self.taken.intersection(accounts):
            raise Waits
        async with super().limits(accounts) as limits:
            yield limits
        if self.lost:
            raise Waits


@pytest.fixture
async def shared() -> tuple[Drive, SharedLedger]:
    drive = Drive(says(Status.COMPLETED))
    drive.rules = replace(drive.rules, accounts={one.id: one for one in (HEALTHY, POOR, SILENT, CANDIDATES)})
    drive.ledger = ledger = SharedLedger(drive.clock)
    await stood(ledger, SILENT, troubles=ACCOUNT_BREAKER.threshold)
    return drive, ledger


async def stood(ledger: FakeLedger, account: Account, **fields: Any) -> None:
    async with ledger.limits([account.id]) as limits:
        await limits.save([AccountLimits(account=account.id, calls=0.0, at=NOON, **fields)])


async def test_what_one_batch_asks_is_missing_in_the_budget_of_the_next(shared: tuple[Drive, SharedLedger]) -> None:
    drive, _ = shared
    first, second, third = [await drive.open(POOR) for _ in range(3)]
    assert len(await drive.hit(first)) == 1
    assert await drive.hit(second) == []
    await drive.wait(timedelta(seconds=2))
    assert len(drive.asked_times(second)) == 1
    assert await drive.hit(third) == []


async def test_a_batch_that_fails_before_it_asks_costs_a_budget_its_calls_and_no_more(
    shared: tuple[Drive, SharedLedger],
) -> None:
    drive, ledger = shared
    drive.rules = replace(drive.rules, accounts={POOR.id: replace(POOR, calls_per_second=5.0)})
    claims = [drive.claim(await drive.open(POOR)) for _ in range(12)]
    await fails(drive, ledger, *claims[:3])
    known = ledger.limits_of(POOR.id)
    assert known is not None
    assert known.calls == 5.0 * BURST_SECONDS - 3
    assert len(await drive.take(*claims)) == 7


async def test_a_probe_that_was_never_sent_silences_its_gateway_for_no_longer_than_one_that_was(
    shared: tuple[Drive, SharedLedger],
) -> None:
    drive, ledger = shared
    several = [await drive.open(SILENT) for _ in range(3)]
    failed_at = await fails(drive, ledger, drive.claim(several[0]))
    assert await drive.publish(*map(drive.claim, several)) == []
    lease = TIMING.half_open_lease
    await drive.wait(lease + SOON + 2 * SPREAD)
    assert lease <= min(one.asked_at for one in drive.asked) - failed_at <= lease + SPREAD
    assert [drive.payment(one).status for one in several] == [Status.COMPLETED] * 3


async def fails(drive: Drive, ledger: SharedLedger, *claims: Claim) -> datetime:
    """Take these claims up to the point where their accounts have counted them. Returns the time of that."""
    ledger.lost = True
    with pytest.raises(Waits):
        await drive.take(*claims)
    ledger.lost = False
    assert (drive.asked, drive.turns.held) == ([], set())
    return drive.clock.now


async def test_a_claim_whose_worker_died_is_not_looked_at_again_and_again_while_it_waits_for_the_budget(
    shared: tuple[Drive, SharedLedger],
) -> None:
    drive, _ = shared
    lost, other = [await drive.open(POOR) for _ in range(2)]
    claim = drive.claim(lost)
    (assigned,) = await drive.take(claim)
    drive.dies(assigned)
    drive.clock.advance(30)
    assert len(await drive.hit(other)) == 1
    assert await drive.publish(claim) == []
    payment = drive.payment(lost)
    assert payment.not_before is not None
    assert payment.next_check_at is not None
    assert payment.next_check_at >= payment.not_before > drive.clock.now


@pytest.mark.parametrize(("status", "last"), [(Status.EXPIRED, 1), (Status.COMPLETED, 2)])
async def test_a_last_look_whose_worker_died_and_that_waited_for_the_budget_is_made_up_for(
    shared: tuple[Drive, SharedLedger], status: Status, last: int
) -> None:
    """Otherwise late money, or a refund, would go unnoticed."""
    drive, _ = shared
    drive.gateway = says(status)
    lost, other = [await drive.open(POOR) for _ in range(2)]
    await drive.hit(lost)
    while drive.payment(lost).step < last:
        at = drive.payment(lost).next_check_at
        assert at is not None
        drive.clock.set(at)
        drive.clock.advance(1)
        await drive.hit(lost, source=Source.SWEEP)
    at = drive.payment(lost).next_check_at
    assert at is not None
    drive.clock.set(at)
    assert len(await drive.take(drive.claim(lost, source=Source.SWEEP))) == 1
    drive.clock.advance(31)
    await drive.hit(other, source=Source.OPERATOR)
    assert await drive.hit(lost, source=Source.SWEEP) == []
    before = len(drive.asked_times(lost))
    await drive.wait(timedelta(minutes=10))
    assert len(drive.asked_times(lost)) == before + 1


async def test_a_worker_takes_on_as_many_questions_of_an_account_as_it_has_room_for(
    shared: tuple[Drive, SharedLedger],
) -> None:
    drive, ledger = shared
    claims = [drive.claim(await drive.open(account)) for account in (HEALTHY, HEALTHY, HEALTHY, POOR)]
    drive.clock.advance(1)
    taken = await take_claims(ledger, drive.rules, claims, drive.turns, {HEALTHY.id: 2})
    assert [one.account.id for one in taken.questions] == ["healthy", "healthy", "poor"]
    assert taken.waiting == []


@pytest.mark.parametrize(
    ("account", "waits"), [(HEALTHY, False), (POOR, True), (SILENT, True)], ids=["healthy", "poor", "silent"]
)
async def test_whoever_asks_waits_for_the_row_of_an_account_with_a_budget_or_a_gateway_to_probe(
    shared: tuple[Drive, SharedLedger], account: Account, *, waits: bool
) -> None:
    drive, ledger = shared
    payment_id = await drive.open(account)
    ledger.taken = frozenset({account.id})
    if waits:
        with pytest.raises(Waits):
            await drive.take(drive.claim(payment_id))
    else:
        assert len(await drive.take(drive.claim(payment_id))) == 1


@pytest.mark.parametrize(
    ("account", "answers", "waits"),
    [(HEALTHY, True, False), (HEALTHY, False, True), (POOR, True, False), (POOR, False, True), (SILENT, True, True)],
)
async def test_what_a_gateway_brought_waits_for_the_row_only_where_it_changes_it(
    shared: tuple[Drive, SharedLedger], account: Account, *, answers: bool, waits: bool
) -> None:
    drive, ledger = shared
    payment_id = await drive.open(account)
    in_flight = await drive.take(drive.claim(payment_id))
    ledger.taken = frozenset({account.id})
    drive.gateway = says(Status.COMPLETED) if answers else troubled()
    if waits:
        with pytest.raises(Waits):
            await drive.answer(in_flight)
        ledger.taken = frozenset()
    await drive.answer(in_flight)
    assert (drive.payment(payment_id).status is Status.COMPLETED) == answers
    known = ledger.limits_of(account.id)
    assert (known.troubles if known is not None else 0) == (0 if answers else 1)


@pytest.mark.parametrize(
    ("troubles", "entries"),
    [(0, 2), (ACCOUNT_BREAKER.threshold - 2, 2), (ACCOUNT_BREAKER.threshold - 1, 1), (ACCOUNT_BREAKER.threshold, 1)],
)
async def test_what_a_silent_gateway_does_not_answer_again_is_one_entry_of_the_timeline(
    shared: tuple[Drive, SharedLedger], troubles: int, entries: int
) -> None:
    """The failure that opened the breaker has an entry of its own."""
    drive, ledger = shared
    drive.gateway = troubled()
    await stood(ledger, HEALTHY, troubles=troubles)
    payment_id = await drive.open(HEALTHY)
    await drive.wait(timedelta(minutes=10))
    assert len(drive.asked_times(payment_id)) == 2
    assert [one.kind for one in ledger.entries(payment_id)].count(EntryKind.ANSWER) == entries


async def test_the_calls_that_an_answer_took_are_missing_in_the_budget(shared: tuple[Drive, SharedLedger]) -> None:
    """Also where the budget was set while the question was on its way, and the account has no row yet."""
    drive, ledger = shared
    payment_id = await drive.open(POOR)
    rules = drive.rules
    for budget, left in ((None, -1.0), (POOR.calls_per_second, -2.0)):
        drive.rules = replace(rules, accounts={**rules.accounts, POOR.id: replace(POOR, calls_per_second=budget)})
        [assigned] = await drive.take(drive.claim(payment_id, source=Source.OPERATOR))
        drive.rules = rules
        await drive.record([replace(drive.reply(assigned, answered(assigned, Status.PENDING)), calls=3)])
        known = ledger.limits_of(POOR.id)
        assert known is not None
        assert round(known.calls, 2) == left
        drive.clock.advance(60)


async def test_what_a_gateway_brought_counts_in_the_order_of_its_replies(shared: tuple[Drive, SharedLedger]) -> None:
    drive, ledger = shared
    claims = [drive.claim(await drive.open(HEALTHY)) for _ in range(2)]
    first, second = await drive.take(*claims)
    away = drive.reply(first, Inconclusive(trouble=Trouble.NO_REPLY, detail="silent"))
    drive.clock.advance(1)
    await drive.record([drive.reply(second, answered(second, Status.PENDING)), away])
    known = ledger.limits_of(HEALTHY.id)
    assert known is not None
    assert known.troubles == 0


async def asked_about(drive: Drive, how: str) -> AssignedQuestion:
    """The question about a payment that we opened, or that was tracked, or never opened; or about one of its ids."""
    if how in ("new id", "known id"):
        payment_id = await drive.open(CANDIDATES)
        if how == "known id":
            drive.gateway = says(Status.PENDING)
            await drive.hit(payment_id, transaction_id="T1")
        [assigned] = await drive.take(drive.claim(payment_id, signed=True, source=Source.WEBHOOK, transaction_id="T1"))
        return assigned
    row = drive.new(HEALTHY, session_id="S-1")
    if how == "opened":
        row = drive.payment(await drive.open(HEALTHY))
    elif how == "tracked":
        await track_payment(drive.ledger, drive.rules, row, {})
    else:
        await drive.ledger.create(replace(row, session_id=None), {}, timedelta(seconds=45))
    [assigned] = await drive.take(drive.claim(row.id, source=Source.OPERATOR))
    return assigned


@pytest.mark.parametrize(
    ("how", "counts"),
    [("opened", True), ("tracked", True), ("never opened", False), ("known id", True), ("new id", False)],
)
async def test_a_refusal_is_trouble_of_the_account_where_the_gateway_knows_what_it_is_about(
    shared: tuple[Drive, SharedLedger], how: str, *, counts: bool
) -> None:
    drive, ledger = shared
    assigned = await asked_about(drive, how)
    refused = Inconclusive(trouble=Trouble.KEY_REFUSED, detail="HTTP 401")
    await drive.record([drive.reply(assigned, refused)])
    known = ledger.limits_of(assigned.account.id)
    assert (known is not None and known.troubles > 0) is counts


@pytest.mark.parametrize(
    ("how", "counts"),
    [("opened", True), ("tracked", False), ("never opened", False), ("known id", False), ("new id", False)],
)
async def test_a_gateway_forgets_only_checkouts_that_it_opened_itself(
    shared: tuple[Drive, SharedLedger], how: str, *, counts: bool
) -> None:
    drive, ledger = shared
    assigned = await asked_about(drive, how)
    await drive.record([drive.reply(assigned, Inconclusive(trouble=Trouble.NOT_FOUND, detail="unknown"))])
    known = ledger.limits_of(assigned.account.id)
    assert (known is not None and known.unknown_by == (assigned.expected.payment_id,)) is counts


@pytest.mark.parametrize(("payments", "closes"), [(1, True), (2, False)])
async def test_nothing_closes_on_not_found_while_the_gateway_says_it_of_one_payment_after_the_other(
    shared: tuple[Drive, SharedLedger], payments: int, *, closes: bool
) -> None:
    drive, _ = shared
    drive.gateway = troubled(Trouble.NOT_FOUND)
    opened = [await drive.open(HEALTHY) for _ in range(payments)]
    await drive.wait(timedelta(minutes=45))
    assert [drive.payment(one).status.closed for one in opened] == [closes] * payments
