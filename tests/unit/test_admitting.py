"""A budget counts for all workers, and a worker waits for another at an account's row only where it must."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from msgspec.structs import replace

from consumers.account import Account
from consumers.allowance import TROUBLES, Allowance
from consumers.pipeline import take
from schemas.words import EntryKind, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import Drive, says, troubled
from tests.fakes.ledger import FakeBatch, FakeLedger
from tests.fakes.providers import PLAIN

HEALTHY, POOR, SILENT = replace(PLAIN, id="healthy"), replace(PLAIN, id="poor", calls_per_second=0.5), PLAIN
"""One question every two seconds is what may be asked of the poor one, and one in a row."""


class Waits(Exception):
    """The row of the account is locked by another worker, until its transaction ends."""


class SharedLedger(FakeLedger):
    """`taken` are the accounts whose rows another worker has locked; they can be read and not locked."""

    taken: frozenset[str] = frozenset()

    @asynccontextmanager
    async def batch(self, payment_ids: Collection[str]) -> AsyncIterator[FakeBatch]:
        async with super().batch(payment_ids) as batch:
            read = batch.allowances

            async def allowances(accounts: Collection[str], *, locked: bool) -> Mapping[str, Allowance]:
                if locked and self.taken.intersection(accounts):
                    raise Waits
                return await read(accounts, locked=locked)

            batch.allowances = allowances  # type: ignore[method-assign]
            yield batch


@pytest.fixture
async def shared() -> tuple[Drive, SharedLedger]:
    drive = Drive(says(Status.COMPLETED))
    drive.rules = replace(drive.rules, accounts={one.id: one for one in (HEALTHY, POOR, SILENT)})
    drive.ledger = ledger = SharedLedger(drive.clock)
    async with ledger.batch([]) as batch:
        await batch.write_allowances([Allowance(account=SILENT.id, calls=0.0, at=NOON, troubles=TROUBLES)])
        await batch.commit()
    return drive, ledger


async def test_what_one_batch_asks_is_missing_in_the_budget_of_the_next(shared: tuple[Drive, SharedLedger]) -> None:
    drive, _ = shared
    first, second, third = [await drive.open(POOR) for _ in range(3)]
    assert len(await drive.hit(first)) == 1
    assert await drive.hit(second) == []
    await drive.wait(timedelta(seconds=2))
    assert len(drive.asked_times(second)) == 1
    assert await drive.hit(third) == []


async def test_a_worker_takes_on_as_many_questions_of_an_account_as_it_has_room_for(
    shared: tuple[Drive, SharedLedger],
) -> None:
    drive, ledger = shared
    claims = [drive.claim(await drive.open(account)) for account in (HEALTHY, HEALTHY, HEALTHY, POOR)]
    drive.clock.advance(1)
    inquiries = await take(ledger, drive.rules, claims, {HEALTHY.id: 2})
    assert [one.account.id for one in inquiries] == ["healthy", "healthy", "poor"]


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
    known = ledger.allowance(account.id)
    assert (known.troubles if known is not None else 0) == (0 if answers else 1)


@pytest.mark.parametrize(("account", "entries"), [(HEALTHY, 2), (SILENT, 1)], ids=["healthy", "silent"])
async def test_what_a_silent_gateway_does_not_answer_again_is_one_entry_of_the_timeline(
    shared: tuple[Drive, SharedLedger], account: Account, entries: int
) -> None:
    drive, ledger = shared
    drive.gateway = troubled()
    payment_id = await drive.open(account)
    await drive.wait(timedelta(minutes=10))
    assert len(drive.asked_times(payment_id)) == 2
    assert [one.kind for one in ledger.entries(payment_id)].count(EntryKind.ANSWER) == entries
