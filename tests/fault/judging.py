"""The judge of the fault suite: what must be true when everything is back, after any death.

- Every payment ends as the gateway's own books say.
- Every change is in the log and was sent over AMQP with the same bytes, versions without a gap, completed at most
  once.
- Every acknowledged callback is in its payment's timeline.
- No queue holds a message, and the dead letters are those that the test caused.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import asyncpg

from tests.fault.fleet import Fleet
from tests.fault.shoppers import Customer, PatientBrowser, patiently
from tests.fault.verdicts import Seen, Verdicts, by_order, rightly_ended, what_is_wrong
from tests.harness import EVERY, Control, Document, Stage, StoryShop, ToldEvent, read_event, read_feed_page
from tests.processes import until
from worker.amqp.topology import claims_queue

END_SECONDS = 60.0
TOLD_SECONDS = 75.0
"""Longer than all waits on an event's way together.

They are a publish that is not confirmed (10 s), a new connection (22 s), and a subscriber that notices that its own
connection is gone (17 s).
"""
AT_ONCE = 8
PROVIDERS = {gateway.provider for gateway in EVERY}


async def judge(
    fleet: Fleet,
    stage: Stage,
    browser: PatientBrowser,
    customers: Sequence[Customer],
    *,
    dead: Sequence[str] = (),
    loud: Sequence[str] = (),
) -> None:
    """Wait for all payments to end, then check everything.

    `dead`: the reasons of the expected dead letters. `loud`: the events that may be logged as errors.
    """
    none((await ends(stage, customers, seconds=END_SECONDS)).all, what="right ends not reached")
    told = await everything_told(stage.shop)
    assert_told_once(told)
    await all_heard(fleet, stage.shop)
    assert_heard_the_same(fleet, await everything_told(stage.shop))
    await until(lambda: queues_empty(fleet), what="empty queues", seconds=TOLD_SECONDS)
    none(await lost_for_good(stage, browser, customers), what="acknowledged and lost")
    letters = await dead_letters(fleet)
    assert sorted(letters) == sorted(dead), f"among the dead letters: {letters}"
    none(
        [line for line in fleet.loud() if not any(f'"{event}"' in line for event in loud)],
        what="logged that should wake a person",
    )


def none(found: Sequence[str], *, what: str) -> None:
    assert not found, f"{what}:\n" + "\n".join(found[:20])


async def ends(stage: Stage, customers: Sequence[Customer], *, seconds: float) -> Verdicts:
    """Wait for each order's right end. Returns the verdicts on those that did not reach it in time."""
    slots, late, verdicts = asyncio.Semaphore(AT_ONCE), time.monotonic() + seconds, Verdicts()

    async def in_turn(attempts: Sequence[Customer]) -> None:
        async def ended() -> bool:
            return rightly_ended([await seen(stage, one) for one in attempts])

        async with slots:
            try:
                left = max(1.0, late - time.monotonic())
                await until(ended, what=f"the end of {attempts[0].payment_id}", seconds=left)
            except AssertionError:
                for kind, one in what_is_wrong([await seen(stage, one) for one in attempts]):
                    verdicts.add(kind, await _what_became_of(stage, one))

    await asyncio.gather(*map(in_turn, by_order(customers)))
    return verdicts


async def seen(stage: Stage, one: Customer) -> Seen:
    session = await session_of(stage.control, one)
    return Seen(one, await patiently(lambda: stage.shop.payment(one.payment_id)), session)


async def _what_became_of(stage: Stage, one: Customer) -> str:
    session = await session_of(stage.control, one)
    payment = await patiently(lambda: stage.shop.payment(one.payment_id))
    ended = f"{payment['status']}, held: {payment['hold']}, told: {stage.feed.words(one.payment_id)}"
    happened = [
        f"  {entry['at']} {' '.join(str(value) for key, value in entry.items() if key != 'at')}"
        for entry in await patiently(lambda: stage.shop.timeline(one.payment_id))
    ]
    said = f"{one.gateway.name}, {one.deed}: {one.payment_id} is {ended}; the gateway says {session['status']}"
    return "\n".join([said, *happened[-12:]])


async def session_of(control: Control, one: Customer) -> Document:
    session = await control.session(one.gateway.provider, one.payment["reference"])
    assert session is not None
    return session


async def everything_told(shop: StoryShop) -> list[ToldEvent]:
    """The whole log, read once more from its beginning."""
    told: list[ToldEvent] = []
    cursor: str | None = None
    while True:
        page = await patiently(lambda after=cursor: read_feed_page(shop, after))
        if not page.events:
            return told
        told += map(read_event, page.events)
        cursor = page.next


def assert_told_once(told: Sequence[ToldEvent]) -> None:
    """No id twice, versions without a gap, opened first or never, completed once and never while held.

    A payment that the shop opened itself may be paid before its session is recorded; then it has no `opened` event.
    """
    assert len({one.id for one in told}) == len(told)
    assert doubled(told) == []
    by_payment = defaultdict[str, list[ToldEvent]](list)
    for one in told:
        by_payment[one.subject].append(one)
    for payment_id, events in by_payment.items():
        assert [event.id for event in events] == [f"{payment_id}.{version + 1}" for version in range(len(events))]
        assert [event.data["version"] for event in events] == list(range(1, len(events) + 1))
        assert events[0].word == "opened" or events[0].data["checkout_url"] is None
        assert "opened" not in [event.word for event in events[1:]]
        assert all(event.data["hold"] is None for event in events if event.word == "completed")


def doubled(told: Sequence[ToldEvent]) -> list[str]:
    """The payments whose completion was sent as an event more than once."""
    completed = Counter(one.subject for one in told if one.word == "completed")
    return [payment_id for payment_id, times in completed.items() if times > 1]


async def all_heard(fleet: Fleet, shop: StoryShop) -> None:
    """Wait until every event of the log came over AMQP. Fails with the places of the missing events."""

    async def unheard() -> list[str]:
        return [one.id for one in await everything_told(shop) if one.id not in fleet.subscriber.heard]

    async def none_is() -> bool:
        return not await unheard()

    try:
        await until(none_is, what="every event over AMQP as well", seconds=TOLD_SECONDS)
    except AssertionError as late:
        places = await _rows(
            fleet, "SELECT 'carried to ' || place || ' of ' || (SELECT max(place) FROM events) FROM relays"
        )
        queues = await asyncio.to_thread(fleet.broker.queues)
        raise AssertionError("\n".join([str(late), *await unheard(), *places, queues])) from None


def assert_heard_the_same(fleet: Fleet, told: Sequence[ToldEvent]) -> None:
    """The events that came over AMQP are those of the log, to the byte, and no others."""
    assert fleet.subscriber.conflicts == []
    assert fleet.subscriber.heard == {one.id: one.raw for one in told}


async def lost_for_good(
    stage: Stage, browser: PatientBrowser, customers: Sequence[Customer], *, seconds: float = TOLD_SECONDS
) -> list[str]:
    """Acknowledged callbacks that never reach their timeline. A payment may be completed before its last callback."""
    lost = await lost_callbacks(stage, browser, customers)
    for _ in range(int(seconds)):
        if not lost:
            break
        await asyncio.sleep(1)
        lost = await lost_callbacks(stage, browser, customers)
    return lost


async def lost_callbacks(stage: Stage, browser: PatientBrowser, customers: Sequence[Customer]) -> list[str]:
    """Callbacks answered with success that are not in the timeline: returns, webhooks, notifications."""
    delivered = defaultdict[str, Counter[str]](Counter)
    for sent in (await stage.control.get("deliveries"))["deliveries"]:
        if "200" in str(sent["statuses"]):
            delivered[sent["reference"]]["ipn" if sent["event_type"] == "ipn" else "webhook"] += 1
    slots = asyncio.Semaphore(AT_ONCE)

    async def lost(one: Customer) -> list[str]:
        acknowledged = delivered[one.payment["reference"]] | Counter(
            {"return": browser.acknowledged.get(one.payment_id, 0)}
        )
        async with slots:
            entries = await patiently(lambda: stage.shop.timeline(one.payment_id))
        heard = {entry["claim_id"]: entry["source"] for entry in entries if entry["kind"] == "claim"}
        claims = Counter(heard.values())  # a claim that came twice counts once
        return [f"{one.payment_id}: {source}" for source in (acknowledged - claims).elements()]

    return [said for many in await asyncio.gather(*map(lost, customers)) for said in many]


async def queues_empty(fleet: Fleet) -> bool:
    queues = [claims_queue(provider) for provider in PROVIDERS]
    return not any(await fleet.subscriber.waiting(queues)) and not await _rows(fleet, "SELECT claim_id FROM queue")


async def dead_letters(fleet: Fleet) -> list[str]:
    """The reasons of all dead letters, removed from the broker's queue and from Postgres."""
    reasons = await _rows(fleet, "DELETE FROM dead RETURNING reason")
    return reasons + await fleet.subscriber.dead_letters()


async def _rows(fleet: Fleet, query: str) -> list[str]:
    connection = await asyncpg.connect(fleet.database.url)
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()
