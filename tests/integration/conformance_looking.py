"""What every ledger promises of a look, and of a write that was decided on it; see `conformance_ledger`.

A write that came too late must leave nothing behind. Each test of such a write looks for all of its parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.ports.readings import ExecuteRequest, LookResult, Order, Reading
from consumers.ports.writes import Keys, Write, WriteResult
from schemas.callbacks import Claim
from schemas.changes import Change
from schemas.payments import Payment, Resolution, TakenKeys
from schemas.words import EventType, Status
from tests.integration.conformance_ledger import (
    NOON,
    SECONDS,
    Kept,
    Left,
    a_claim,
    a_fact,
    a_signed_claim,
    admit,
    an_allowance,
    an_entry,
    case_of,
    keep,
    keys,
    reserve,
    store,
    stored,
    told,
)

UNKNOWN = "pay_99999999999999999999999999"
KINDS = ("transaction", "session", "reference", "order")


async def sight_of(kept: Kept, payment: Payment) -> Reading:
    return (await kept.ledger.look([], [payment.id])).readings[payment.id]


def a_write(
    reading: Reading, *claims: Claim, claimed: Keys | None = None, executes: bool = False, **fields: Any
) -> Write:
    """A write of these columns, with one entry, on that reading."""
    changed = replace(reading.case.payment, **fields)
    return Write(
        reading=reading,
        change=Change(payment=changed, entries=(an_entry(),)),
        claims=claims,
        keys=claimed or keys(changed),
        executes=executes,
    )


async def write(kept: Kept, *writes: Write) -> WriteResult:
    async with asyncio.timeout(SECONDS):
        return await kept.ledger.write(writes)


def a_key(payment: Payment, kind: str, name: str, **more: Any) -> Keys:
    if kind == "order":
        return keys(payment, order_ref=name, **more)
    return keys(payment, **{f"{kind}s": frozenset({name})}, **more)


class LookingConformance:
    """Subclasses supply the fixture `kept`."""

    # -- look ----------------------------------------------------------------------------------------------------------

    async def test_a_look_reads_what_a_batch_reads(self, kept: Kept) -> None:
        row = await stored(kept, order_ref="b-1", metadata={"কী": "মান"})
        made = [
            Resolution(at=NOON + timedelta(seconds=n), status=Status.FAILED, actor=f"person-{n}", reason="asked")
            for n in range(2)
        ]
        paid = replace(row, status=Status.COMPLETED, version=1, completed_told=True, hint_asks=(NOON,), fee=None)
        await store(kept, Change(payment=paid, facts=(a_fact(), a_fact(5, word="ODD")), resolution=made[0]))
        await store(kept, Change(payment=paid, resolution=made[1]))
        seen, known = (await sight_of(kept, row)).case, await case_of(kept, row)
        assert (seen.payment, seen.resolutions) == (known.payment, tuple(made))
        assert {fact.key: fact for fact in seen.facts} == {fact.key: fact for fact in known.facts}

    async def test_a_look_finds_the_payment_that_a_claim_is_about_as_find_does(self, kept: Kept) -> None:
        row, other, far = await stored(kept), await stored(kept), await stored(kept, account="shop-b")
        key = keys(row, sessions=frozenset({"S-1"}), transactions=frozenset({"T-1"}))
        await reserve(kept, key)
        claims = [
            a_claim(session_id="S-1"),
            a_claim(transaction_id="T-1"),
            a_claim(reference=other.reference),
            a_claim(payment_id=other.id, session_id="S-1"),
            a_claim(payment_id=far.id),
            a_claim(payment_id=UNKNOWN, reference=other.reference),
            a_claim(session_id="S-1", account="shop-b"),
            a_claim(),
        ]
        looked = await kept.ledger.look(claims)
        homes = [row.id, row.id, other.id, other.id, None, None, None, None]
        assert [looked.homes.get(claim.id) for claim in claims] == homes
        assert looked.homes == dict(await kept.ledger.find(claims))
        assert set(looked.readings) == {row.id, other.id}
        assert set(looked.admissions.values()) == {"new"}

    async def test_a_look_reads_the_payments_named_beside_those_of_claims_each_once(self, kept: Kept) -> None:
        row, other, _ = [await stored(kept) for _ in range(3)]
        looked = await kept.ledger.look([a_claim(payment_id=row.id)], [other.id, row.id, UNKNOWN])
        assert {key: reading.case.payment for key, reading in looked.readings.items()} == {row.id: row, other.id: other}

    @pytest.mark.parametrize("claims", [[], [a_claim(reference="order-of-nobody")]])
    async def test_a_look_at_nothing_tells_the_time(self, kept: Kept, claims: Sequence[Claim]) -> None:
        before = (await kept.ledger.look([])).now
        looked = await kept.ledger.look(claims)
        assert (looked.homes, looked.readings) == ({}, {})
        assert list(looked.admissions) == [claim.id for claim in claims]
        assert before <= looked.now

    async def test_a_look_tells_which_claims_are_new(self, kept: Kept) -> None:
        row = await stored(kept)
        seen, first, aside = a_claim(payment_id=row.id), a_signed_claim("E1", payment_id=row.id), a_signed_claim("E2")
        await admit(kept, seen, first, home=row)
        await admit(kept, aside)
        again, unsigned = a_signed_claim("E1", payment_id=row.id), a_claim(event_id="E1", payment_id=row.id)
        elsewhere, late = a_signed_claim("E1", account="shop-b"), a_signed_claim("E2", payment_id=row.id)
        told = (await kept.ledger.look([seen, first, aside, again, unsigned, elsewhere, late])).admissions
        assert [told[one.id] for one in (seen, first, aside)] == ["seen", "seen", "seen"]
        assert [told[one.id] for one in (again, unsigned, elsewhere, late)] == ["repeated", "new", "new", "new"]

    async def test_a_look_tells_the_keys_that_a_payment_has(self, kept: Kept) -> None:
        row, other = await stored(kept), await stored(kept)
        named = replace(row, session_id="S-2", aliases=("S-1",), transaction_id="T-1")
        answered = a_fact(session_id="S-9", transaction_id="T-2")
        reserved = Resolution(at=NOON, status=Status.FAILED, actor="p", reason="r", recorded_transaction="T-3")
        await reserve(kept, keys(other, sessions=frozenset({"S-9"})))
        mine = {"sessions": frozenset({"S-1", "S-2"}), "transactions": frozenset({"T-1", "T-2", "T-3"})}
        await reserve(kept, keys(row, **mine))
        await store(kept, Change(payment=named, facts=(answered,), resolution=reserved))
        reading = await sight_of(kept, row)
        assert (reading.sessions, reading.transactions) == (mine["sessions"], mine["transactions"])
        assert (await sight_of(kept, other)).transactions == frozenset()

    async def test_a_look_tells_how_the_order_stands(self, kept: Kept) -> None:
        rows = [await stored(kept, order_ref="b-1") for _ in range(4)]
        apart, stranger = await stored(kept), await stored(kept, order_ref="b-1", merchant="other")
        asked, waits, idle, paid = rows
        later = NOON + timedelta(seconds=9)
        wishes = {"execute_state": "wanted", "execute_wanted_at": NOON}
        await store(kept, Change(payment=replace(waits, **wishes, execute_waits_until=later)))
        await store(kept, Change(payment=replace(idle, **wishes)))
        assert (await write(kept, a_write(await sight_of(kept, asked), executes=True))).done == {asked.id}
        await reserve(kept, keys(paid, order_ref="b-1"))
        looked = await kept.ledger.look([], [row.id for row in (*rows, apart, stranger)])

        def others(row: Payment) -> Order:
            order = looked.readings[row.id].order
            return replace(
                order, execute_requests=tuple(sorted(order.execute_requests, key=lambda wish: wish.payment_id))
            )

        waiting = ExecuteRequest(payment_id=waits.id, wanted_at=NOON, waits_until=later)
        wishing = ExecuteRequest(payment_id=idle.id, wanted_at=NOON)
        assert others(asked) == Order(paid_by=paid.id, executing=asked.id, execute_requests=(waiting, wishing))
        assert others(waits) == Order(paid_by=paid.id, executing=asked.id, execute_requests=(wishing,))
        assert others(apart) == others(stranger) == Order()

    async def test_a_look_tells_what_stands_of_the_accounts(self, kept: Kept) -> None:
        row, other = await stored(kept), await stored(kept, account="shop-b")
        known = an_allowance("shop-a", troubles=3, shut_until=NOON, unknown_by=("pay-1",))
        await keep(kept, known)
        assert (await kept.ledger.look([], [row.id, other.id])).limits_by_account == {"shop-a": known}

    async def test_a_look_does_not_wait_for_whoever_has_the_payment_locked(self, kept: Kept) -> None:
        row, claim = await stored(kept), a_claim()
        async with asyncio.timeout(SECONDS), kept.ledger.batch([row.id]) as batch:
            await batch.store([Change(payment=replace(row, method="bkash"))])
            looked = await kept.ledger.look([claim], [row.id])
            assert looked.readings[row.id].case.payment == row
            assert looked.admissions == {claim.id: "new"}

    # -- write ---------------------------------------------------------------------------------------------------------

    async def test_a_write_is_there_with_its_claims_and_keys(self, kept: Kept) -> None:
        row, claim = await stored(kept, order_ref="b-1"), a_signed_claim("E1")
        reading = await sight_of(kept, row)
        paid = replace(row, status=Status.COMPLETED, version=1, completed_told=True)
        wanted = keys(row, transactions=frozenset({"T1"}), sessions=frozenset({"S1"}), order_ref="b-1")
        change = replace(told(paid, EventType.COMPLETED), facts=(a_fact(),), entries=(an_entry(),))
        written = await write(kept, Write(reading=reading, change=change, claims=(claim,), keys=wanted))
        assert (written.done, written.taken) == ({row.id}, {})
        case = await case_of(kept, row)
        assert (case.payment, case.facts) == (paid, (a_fact(),))
        assert [kind for _, kind, _ in await kept.events(row.id)] == [EventType.COMPLETED]
        assert [kind for kind, *_ in await kept.entries(row.id)] == [an_entry().kind]
        assert await admit(kept, claim, home=row) == ["seen"]
        other = await stored(kept, order_ref="b-1")
        taken_keys = TakenKeys(transactions=frozenset({"T1"}), sessions=frozenset({"S1"}), order=True)
        assert (await reserve(kept, replace(wanted, payment_id=other.id)))[other.id] == taken_keys

    async def test_writing_nothing_is_nothing(self, kept: Kept) -> None:
        assert await write(kept) == WriteResult(done=frozenset(), taken={})

    async def test_a_write_on_a_reading_that_is_old_leaves_nothing_and_the_others_are_written(self, kept: Kept) -> None:
        rows = [await stored(kept, order_ref=f"b-{n}") for n in range(3)]
        claims = [a_claim() for _ in rows]
        readings = (await kept.ledger.look([], [row.id for row in rows])).readings
        assert (await write(kept, a_write(readings[rows[1].id], method="nagad"))).done == {rows[1].id}
        written = await write(
            kept,
            *(
                a_write(
                    readings[row.id],
                    claim,
                    claimed=keys(row, transactions=frozenset({f"T-{row.id}"}), order_ref=row.order_ref),
                    method="bkash",
                )
                for row, claim in zip(rows, claims, strict=True)
            ),
        )
        assert (written.done, written.taken) == ({rows[0].id, rows[2].id}, {})
        assert [(await case_of(kept, row)).payment.method for row in rows] == ["bkash", "nagad", "bkash"]
        assert await admit(kept, *claims, home=rows[1]) == ["seen", "new", "seen"]
        assert len(await kept.entries(rows[1].id)) == 1
        next_one = await stored(kept, order_ref="b-1")
        free = keys(next_one, transactions=frozenset({f"T-{rows[1].id}"}), order_ref="b-1")
        assert (await reserve(kept, free))[next_one.id] == TakenKeys()

    async def test_a_payment_that_is_gone_is_not_written(self, kept: Kept) -> None:
        row, claim = await stored(kept), a_claim()
        reading = await sight_of(kept, row)
        await kept.ledger.discard(row.id)
        assert await write(kept, a_write(reading, claim)) == WriteResult(done=frozenset(), taken={})
        assert await admit(kept, claim) == ["new"]

    async def test_of_two_that_write_on_one_reading_at_once_one_does(self, kept: Kept) -> None:
        row = await stored(kept)
        reading = await sight_of(kept, row)
        told = await asyncio.gather(*(write(kept, a_write(reading, step=n)) for n in range(1, 5)))
        (won,) = [n for n, written in enumerate(told, start=1) if written.done]
        assert (await case_of(kept, row)).payment.step == won
        assert len(await kept.entries(row.id)) == 1

    async def test_overlapping_writes_in_crossed_order_do_not_lock_each_other_out(self, kept: Kept) -> None:
        rows = [await stored(kept) for _ in range(6)]

        async def run(order: Sequence[Payment]) -> int:
            done = 0
            for _ in range(5):
                readings = (await kept.ledger.look([], [row.id for row in order])).readings
                written = await write(
                    kept, *(a_write(readings[row.id], step=readings[row.id].revision) for row in order)
                )
                done += len(written.done)
            return done

        async with asyncio.timeout(SECONDS):
            counts = await asyncio.gather(run(rows), run(rows[::-1]), run(rows[3:] + rows[:3]))
        assert sum(counts) == sum([len(await kept.entries(row.id)) for row in rows])

    async def test_a_write_waits_for_whoever_has_the_payment_locked_and_then_lost(self, kept: Kept) -> None:
        row = await stored(kept)
        reading = await sight_of(kept, row)
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group, kept.ledger.batch([row.id]) as batch:
            late = group.create_task(write(kept, a_write(reading, method="bkash")))
            await asyncio.sleep(0)
            await batch.store([Change(payment=replace(row, method="nagad"))])
            await batch.commit()
        assert late.result().done == frozenset()
        assert (await case_of(kept, row)).payment.method == "nagad"

    @pytest.mark.parametrize("what", ["facts", "entries", "resolution", "nothing", "next_check_at"])
    async def test_every_write_makes_readings_before_it_old(self, kept: Kept, what: str) -> None:
        row = await stored(kept)
        reserved = Resolution(at=NOON, status=Status.FAILED, actor="p", reason="r")
        change = {
            "facts": Change(payment=row, facts=(a_fact(),)),
            "entries": Change(payment=row, entries=(an_entry(),)),
            "resolution": Change(payment=row, resolution=reserved),
            "nothing": Change(payment=row),
            "next_check_at": Change(payment=replace(row, next_check_at=NOON)),
        }[what]
        reading = await sight_of(kept, row)
        await store(kept, change)
        assert (await write(kept, a_write(reading))).done == frozenset()
        reading = await sight_of(kept, row)
        assert (await write(kept, replace(a_write(reading), change=change))).done == {row.id}
        assert (await write(kept, a_write(reading))).done == frozenset()
        assert (await write(kept, a_write(await sight_of(kept, row)))).done == {row.id}

    async def test_opening_a_payment_again_makes_readings_before_it_old(self, kept: Kept) -> None:
        row = await stored(kept)
        reading = await sight_of(kept, row)
        await kept.ledger.create(replace(row, id=UNKNOWN), {"a": "body"}, timedelta(seconds=45))
        assert (await write(kept, a_write(reading))).done == frozenset()

    async def test_what_the_sweep_moves_makes_no_reading_old_and_gives_way_to_what_was_decided(
        self, kept: Kept
    ) -> None:
        row, other = await stored(kept), await stored(kept)
        for one in (row, other):
            await store(kept, Change(payment=replace(one, next_check_at=NOON)))
        readings = (await kept.ledger.look([], [row.id, other.id])).readings
        await kept.sweeps()
        assert (await case_of(kept, row)).payment.next_check_at != NOON
        later = NOON + timedelta(hours=1)
        for one, at in ((row, NOON), (other, later)):
            assert (await write(kept, a_write(readings[one.id], next_check_at=at))).done == {one.id}
        assert [(await case_of(kept, one)).payment.next_check_at for one in (row, other)] == [NOON, later]

    # -- keys that are others' -----------------------------------------------------------------------------------------

    async def owned(self, kept: Kept, kind: str) -> str:
        """The name of a key of that kind that another payment has."""
        owner = await stored(kept, order_ref="b-1")
        if kind == "reference":
            return owner.reference
        name = "b-1" if kind == "order" else "X1"
        assert (await reserve(kept, a_key(owner, kind, name)))[owner.id] == TakenKeys()
        return name

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_payment_whose_key_is_anothers_is_told_so_and_nothing_of_it_is_written(
        self, kept: Kept, kind: str
    ) -> None:
        name = await self.owned(kept, kind)
        row, good = await stored(kept, order_ref="b-1"), await stored(kept)
        claim, its = a_claim(), a_claim()
        free = {"transactions": frozenset({"T-free"}), "sessions": frozenset({"S-free"})}
        wanted = {**free, f"{kind}s": free.get(f"{kind}s", frozenset()) | {name}} if kind != "order" else free
        claimed = keys(row, **wanted, order_ref=name if kind == "order" else None)
        readings = (await kept.ledger.look([], [row.id, good.id])).readings
        written = await write(
            kept,
            a_write(readings[row.id], claim, claimed=claimed, method="bkash"),
            a_write(readings[good.id], its, claimed=keys(good, transactions=frozenset({"T-good"})), method="bkash"),
        )
        others = TakenKeys(order=True) if kind == "order" else TakenKeys(**{f"{kind}s": frozenset({name})})
        assert (written.done, written.taken) == ({good.id}, {row.id: others})
        assert (await case_of(kept, row)).payment == row
        assert await kept.entries(row.id) == []
        assert (await kept.ledger.look([claim, its])).admissions == {claim.id: "new", its.id: "seen"}
        anyone = await stored(kept)
        assert (await reserve(kept, keys(anyone, **free)))[anyone.id] == TakenKeys()
        assert (await write(kept, a_write(readings[row.id], method="bkash"))).done == {row.id}, "without that key"

    async def test_all_keys_of_others_are_told_at_once(self, kept: Kept) -> None:
        names = {kind: await self.owned(kept, kind) for kind in KINDS}
        row, other = await stored(kept, order_ref="b-1"), await stored(kept)
        claimed = keys(
            row, order_ref="b-1", **{f"{kind}s": frozenset({names[kind]}) for kind in KINDS if kind != "order"}
        )
        readings = (await kept.ledger.look([], [row.id, other.id])).readings
        written = await write(
            kept,
            a_write(readings[row.id], claimed=claimed),
            a_write(readings[other.id], claimed=a_key(other, "session", "X1")),
        )
        assert written.done == frozenset()
        assert written.taken == {
            row.id: TakenKeys(
                transactions=frozenset({"X1"}),
                sessions=frozenset({"X1"}),
                references=frozenset({names["reference"]}),
                order=True,
            ),
            other.id: TakenKeys(sessions=frozenset({"X1"})),
        }

    async def test_the_keys_that_a_payment_has_are_its_own(self, kept: Kept) -> None:
        row = await stored(kept, order_ref="b-1")
        claimed = keys(row, transactions=frozenset({"T1"}), sessions=frozenset({"S1"}), order_ref="b-1")
        for _ in range(2):
            reading = await sight_of(kept, row)
            named = {"session_id": "S1", "transaction_id": "T1"}
            assert (await write(kept, a_write(reading, claimed=claimed, **named))).done == {row.id}

    @pytest.mark.parametrize("kind", ["transaction", "session", "order"])
    async def test_of_two_in_one_call_that_want_one_key_one_is_written(self, kept: Kept, kind: str) -> None:
        rows = [await stored(kept, order_ref="b-1") for _ in range(2)]
        readings = (await kept.ledger.look([], [row.id for row in rows])).readings
        name = "b-1" if kind == "order" else "X1"
        wanted = {row.id: a_key(row, kind, name) for row in rows}
        written = await write(kept, *(a_write(readings[row.id], claimed=wanted[row.id]) for row in rows))
        (won,) = written.done
        (lost,) = {row.id for row in rows} - {won}
        again = await write(kept, a_write(readings[lost], claimed=wanted[lost]))
        assert (again.done, set(again.taken)) == (frozenset(), {lost})

    @pytest.mark.parametrize("kind", ["transaction", "session", "order"])
    async def test_a_key_of_a_payment_that_is_left_out_is_free_for_another_of_the_call(
        self, kept: Kept, kind: str
    ) -> None:
        """Otherwise it would be held for a transaction that no payment has."""
        rows, claim = [await stored(kept, order_ref="b-1") for _ in range(2)], a_claim()
        readings = (await kept.ledger.look([], [row.id for row in rows])).readings
        await admit(kept, claim, home=rows[0])
        name = "b-1" if kind == "order" else "X1"
        first, second = (a_write(readings[row.id], claimed=a_key(row, kind, name)) for row in rows)
        written = await write(kept, replace(first, claims=(claim,)), second)
        assert (written.done, written.taken) == ({rows[1].id}, {})

    async def test_an_order_that_is_let_go_is_free_for_another_of_the_call(self, kept: Kept) -> None:
        first, second = await stored(kept, order_ref="b-1"), await stored(kept, order_ref="b-1")
        await reserve(kept, keys(first, order_ref="b-1"))
        readings = (await kept.ledger.look([], [first.id, second.id])).readings
        written = await write(
            kept,
            a_write(readings[first.id], claimed=keys(first, order_ref="b-1", returned=True)),
            a_write(readings[second.id], claimed=keys(second, order_ref="b-1")),
        )
        assert (written.done, written.taken) == ({first.id, second.id}, {})
        assert (await sight_of(kept, first)).order.paid_by == second.id

    async def test_a_paid_attempt_that_came_second_keeps_the_order_from_the_next_also_if_it_is_let_go_meanwhile(
        self, kept: Kept
    ) -> None:
        first, second, third = [await stored(kept, order_ref="b-1") for _ in range(3)]
        paid: dict[str, Any] = {"status": Status.COMPLETED, "version": 1, "completed_told": True}
        readings = (await kept.ledger.look([], [row.id for row in (first, second, third)])).readings
        order = {row.id: keys(row, order_ref="b-1") for row in (first, second, third)}
        await write(kept, a_write(readings[first.id], claimed=order[first.id], **paid))
        late = a_write(readings[second.id], claimed=order[second.id], **paid)
        assert (await write(kept, late)).taken == {second.id: TakenKeys(order=True)}
        back = {"status": Status.REFUNDED, "version": 2, "refunded_amount": first.amount}
        returned = replace(order[first.id], returned=True)
        await write(kept, a_write(await sight_of(kept, first), claimed=returned, **back))
        assert (await write(kept, replace(late, keys=keys(second)))).done == {second.id}
        last = await write(kept, a_write(readings[third.id], claimed=order[third.id], **paid))
        assert last == WriteResult(done=frozenset(), taken={third.id: TakenKeys(order=True)})

    async def test_a_paid_attempt_that_came_second_is_written_while_the_first_has_the_order(self, kept: Kept) -> None:
        first, second, third = [await stored(kept, order_ref="b-1") for _ in range(3)]
        paid: dict[str, Any] = {"status": Status.COMPLETED, "version": 1, "completed_told": True}
        order = {row.id: keys(row, order_ref="b-1") for row in (first, second, third)}
        readings = (await kept.ledger.look([], list(order))).readings
        assert (await write(kept, a_write(readings[first.id], claimed=order[first.id], **paid))).done == {first.id}
        written = await write(
            kept,
            a_write(readings[second.id], claimed=keys(second), **paid),
            a_write(readings[third.id], claimed=order[third.id], **paid),
        )
        assert written == WriteResult(done=frozenset({second.id}), taken={third.id: TakenKeys(order=True)})
        assert (await sight_of(kept, second)).order.paid_by == first.id

    # -- claims, and what executes -------------------------------------------------------------------------------------

    @pytest.mark.parametrize("repeated", [False, True])
    async def test_a_payment_with_a_claim_that_is_there_already_has_lost(self, kept: Kept, repeated: bool) -> None:
        row, good = await stored(kept), await stored(kept)
        first = a_signed_claim("E1")
        second = a_signed_claim("E1") if repeated else first
        fresh = a_claim()
        readings = (await kept.ledger.look([], [row.id, good.id])).readings
        await admit(kept, first, home=row)
        claimed = keys(row, transactions=frozenset({"T1"}))
        written = await write(
            kept,
            a_write(readings[row.id], fresh, second, claimed=claimed, method="bkash"),
            a_write(readings[good.id], method="bkash"),
        )
        assert (written.done, written.taken) == ({good.id}, {})
        assert (await case_of(kept, row)).payment == row
        assert await kept.entries(row.id) == []
        assert (await kept.ledger.look([fresh, second])).admissions == {
            fresh.id: "new",
            second.id: "repeated" if repeated else "seen",
        }
        assert (await reserve(kept, keys(good, transactions=frozenset({"T1"}))))[good.id] == TakenKeys()

    async def test_a_claim_is_written_once_whoever_writes_it(self, kept: Kept) -> None:
        rows, claim = [await stored(kept) for _ in range(3)], a_claim()
        readings = (await kept.ledger.look([], [row.id for row in rows])).readings
        told = await asyncio.gather(*(write(kept, a_write(readings[row.id], claim)) for row in rows))
        assert sum(len(written.done) for written in told) == 1

    @pytest.mark.parametrize("by", ["executing", "paid"])
    async def test_a_payment_whose_order_is_anothers_does_not_begin_to_execute(self, kept: Kept, by: str) -> None:
        other, row = await stored(kept, order_ref="b-1"), await stored(kept, order_ref="b-1")
        readings = (await kept.ledger.look([], [row.id, other.id])).readings
        if by == "executing":
            assert (await write(kept, a_write(readings[other.id], executes=True))).done == {other.id}
        else:
            await reserve(kept, keys(other, order_ref="b-1"))
        claim = a_claim()
        lost = await write(kept, a_write(readings[row.id], claim, executes=True, execute_tries=1))
        assert lost == WriteResult(done=frozenset(), taken={})
        assert (await case_of(kept, row)).payment == row
        assert await admit(kept, claim, home=row) == ["new"]

    async def test_a_payment_that_is_left_out_does_not_execute(self, kept: Kept) -> None:
        """Its order was marked before it turned out that another payment has its key."""
        name = await self.owned(kept, "session")
        row, other = [await stored(kept, order_ref="b-2") for _ in range(2)]
        readings = (await kept.ledger.look([], [row.id, other.id])).readings
        lost = await write(kept, a_write(readings[row.id], claimed=a_key(row, "session", name), executes=True))
        assert (lost.done, set(lost.taken)) == (frozenset(), {row.id})
        assert (await sight_of(kept, row)).order == Order()
        assert (await write(kept, a_write(readings[other.id], executes=True))).done == {other.id}

    async def test_what_executes_has_its_order_until_it_is_freed(self, kept: Kept) -> None:
        row, other = await stored(kept, order_ref="b-1"), await stored(kept, order_ref="b-1")
        readings = (await kept.ledger.look([], [row.id, other.id])).readings
        both = [a_write(readings[one.id], executes=True, execute_tries=1) for one in (row, other)]
        (won,) = (await write(kept, *both)).done
        (left,) = {row.id, other.id} - {won}
        mine = {one.id: one for one in (row, other)}
        seen = await sight_of(kept, mine[won])
        assert seen.order.executing == won
        ended = a_write(seen)
        await write(kept, replace(ended, change=replace(ended.change, order_freed=True)))
        assert (await write(kept, a_write(readings[left], executes=True))).done == {left}

    async def test_a_payment_without_an_order_begins_to_execute(self, kept: Kept) -> None:
        row = await stored(kept)
        assert (await write(kept, a_write(await sight_of(kept, row), executes=True))).done == {row.id}

    async def test_a_row_that_the_tables_refuse_fails_the_call(self, kept: Kept) -> None:
        bad, good = await stored(kept), await stored(kept)
        readings = (await kept.ledger.look([], [bad.id, good.id])).readings
        with pytest.raises(kept.refusals):
            await write(
                kept,
                a_write(readings[bad.id], refunded_amount=bad.amount * 2),
                a_write(readings[good.id], method="bkash"),
            )
        assert (await case_of(kept, good)).payment == good
        assert (await write(kept, a_write(readings[good.id], method="bkash"))).done == {good.id}

    # -- locked --------------------------------------------------------------------------------------------------------

    async def test_whoever_has_a_payment_locked_looks_and_writes_before_all_others(self, kept: Kept) -> None:
        row, claim = await stored(kept), a_claim(payment_id=UNKNOWN)
        reading = await sight_of(kept, row)
        block = kept.ledger.locked([row.id, UNKNOWN])
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group, block as locked:
            late = group.create_task(write(kept, a_write(reading, method="nagad")))
            looked = await locked.look([claim])
            assert set(looked.readings) == {row.id}
            assert looked.admissions == {claim.id: "new"}
            written = await locked.write([a_write(looked.readings[row.id], claim, method="bkash")])
            assert written == WriteResult(done=frozenset({row.id}), taken={})
        assert late.result().done == frozenset()
        assert (await case_of(kept, row)).payment.method == "bkash"
        assert await admit(kept, claim, home=row) == ["seen"]

    async def test_whoever_has_a_payment_locked_learns_of_anothers_key_and_writes_without_it(self, kept: Kept) -> None:
        name = await self.owned(kept, "transaction")
        row, claim = await stored(kept), a_claim()
        async with asyncio.timeout(SECONDS), kept.ledger.locked([row.id]) as locked:
            reading = (await locked.look([])).readings[row.id]
            claimed = keys(row, transactions=frozenset({name, "T-free"}))
            first = await locked.write([a_write(reading, claim, claimed=claimed)])
            assert first == WriteResult(done=frozenset(), taken={row.id: TakenKeys(transactions=frozenset({name}))})
            claimed = keys(row, transactions=frozenset({"T-free"}))
            assert (await locked.write([a_write(reading, claim, claimed=claimed, method="bkash")])).done == {row.id}
        assert (await case_of(kept, row)).payment.method == "bkash"
        assert len(await kept.entries(row.id)) == 1

    async def test_whoever_locks_and_writes_nothing_changes_nothing(self, kept: Kept) -> None:
        row = await stored(kept)
        reading = await sight_of(kept, row)
        async with kept.ledger.locked([row.id]) as locked:
            await locked.look([])
        assert (await write(kept, a_write(reading, method="bkash"))).done == {row.id}

    # -- limits --------------------------------------------------------------------------------------------------------

    async def test_limits_are_kept_when_the_block_ends_well(self, kept: Kept) -> None:
        before = (await kept.ledger.look([])).now
        async with kept.ledger.limits(["shop-b", "shop-a"]) as limits:
            assert limits.limits_by_account == {}
            assert limits.now >= before
            await limits.save([an_allowance("shop-b"), an_allowance("shop-a", troubles=2, unknown_by=("p",))])
        async with kept.ledger.limits(["shop-a", "shop-c"]) as limits:
            assert limits.limits_by_account == {"shop-a": an_allowance("shop-a", troubles=2, unknown_by=("p",))}
            await limits.save([])
        async with kept.ledger.limits(["shop-a", "shop-b"]) as limits:
            assert {name: one.troubles for name, one in limits.limits_by_account.items()} == {"shop-a": 2, "shop-b": 0}

    async def test_limits_of_a_block_that_fails_are_forgotten(self, kept: Kept) -> None:
        async def fails() -> None:
            async with kept.ledger.limits(["shop-a"]) as limits:
                await limits.save([an_allowance("shop-a", troubles=9)])
                raise Left

        await keep(kept, an_allowance("shop-a"))
        with pytest.raises(Left):
            await fails()
        async with kept.ledger.limits(["shop-a"]) as limits:
            assert limits.limits_by_account == {"shop-a": an_allowance("shop-a")}

    async def test_those_who_count_at_one_account_take_turns(self, kept: Kept) -> None:
        await keep(kept, an_allowance("shop-a"), an_allowance("shop-b"))

        async def count(*accounts: str) -> None:
            async with kept.ledger.limits(accounts) as limits:
                found = [replace(one, troubles=one.troubles + 1) for one in limits.limits_by_account.values()]
                await asyncio.sleep(0)
                await limits.save(found)

        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(count(*accounts) for accounts in [("shop-a", "shop-b"), ("shop-b", "shop-a")] * 4))
        async with kept.ledger.limits(["shop-a", "shop-b"]) as limits:
            assert [one.troubles for one in limits.limits_by_account.values()] == [8, 8]

    # -- what is about no payment --------------------------------------------------------------------------------------

    async def test_a_claim_that_is_set_aside_is_seen_and_uses_up_no_event_id(self, kept: Kept) -> None:
        claims = [a_signed_claim("E1"), a_claim()]
        await kept.ledger.set_aside([])
        await kept.ledger.set_aside(claims)
        await kept.ledger.set_aside([*claims, a_claim()])
        looked: LookResult = await kept.ledger.look(claims)
        assert set(looked.admissions.values()) == {"seen"}
        row = await stored(kept)
        assert (await kept.ledger.look([a_signed_claim("E1", payment_id=row.id)])).readings.keys() == {row.id}
        assert await admit(kept, a_signed_claim("E1"), home=row) == ["new"]

    async def test_which_of_these_references_payments_have(self, kept: Kept) -> None:
        row = await stored(kept)
        mine, far, nobody = ("shop-a", row.reference), ("shop-b", row.reference), ("shop-a", row.reference.upper())
        assert await kept.ledger.referenced([mine, far, nobody]) == {mine}
        assert await kept.ledger.referenced([]) == frozenset()
