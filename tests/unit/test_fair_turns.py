"""Many claims, or many ids, about some payments do not keep other payments of the account from being asked about."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from schemas.answers import ForeignTransaction
from schemas.words import Source
from tests.fakes.drive import Drive
from tests.fakes.providers import CANDIDATES, PLAIN

POOR = replace(PLAIN, id="poor", calls_per_second=1.0)


async def test_what_a_budget_has_left_goes_to_the_payments_that_wait_longest() -> None:
    """A payment that was postponed is not passed over for those about which claims come all the time."""
    drive = Drive()
    drive.rules = replace(drive.rules, accounts={POOR.id: POOR})
    flooded = [await drive.open(POOR) for _ in range(8)]
    postponed = await drive.open(POOR)  # the last by its id
    assert len(await drive.publish(*map(drive.claim, flooded))) == 2
    assert await drive.hit(postponed) == []
    again_at = drive.payment(postponed).next_check_at
    assert again_at is not None
    drive.clock.set(again_at + timedelta(seconds=1))
    swept = drive.claim(postponed, source=Source.SWEEP)
    asked = await drive.publish(*map(drive.claim, flooded), swept)
    assert postponed in {assigned.expected.payment_id for assigned in asked}


async def test_a_payment_with_many_ids_to_ask_about_waits_behind_the_others_after_each_question() -> None:
    drive = Drive(lambda _: ForeignTransaction(why="not_found"))
    flooded = [await drive.open(CANDIDATES) for _ in range(2)]
    for payment_id in flooded:
        await drive.publish(*(drive.claim(payment_id, transaction_id=f"X{number}") for number in range(10)))
    drive.clock.advance(1)
    other = await drive.open(CANDIDATES)
    await drive.hit(other, transaction_id="T1")
    drive.clock.advance(4)
    looked_at = list[str]()
    while other not in looked_at:
        due = drive.ledger.due(drive.clock.now)
        looked_at.append(due[0].id)
        await drive.hit(due[0].id, source=Source.SWEEP)
    assert looked_at == [*flooded, other]
