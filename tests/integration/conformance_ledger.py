"""What every ledger promises to the stages, stated once; `test_ledger.py` runs it against each implementation.

No test here may use an implementation's internals. Stored data is read back through the port, and what the port cannot
show (events, the timeline) through `Kept`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from consumers.commands.open_payment import CheckoutStore
from consumers.commands.reopen import ReadyToOpen, ReferenceTaken
from consumers.money.write_event import write_event
from consumers.ports.call_limits import AccountLimits
from consumers.ports.writes import Keys, Write
from schemas.answers import Answer, Fact
from schemas.callbacks import Claim
from schemas.changes import Change, Entry
from schemas.payments import Candidate, Case, Payment, Resolution, TakenKeys
from schemas.words import Authenticity, EntryKind, EventType, Hold, Risk, Said, Source, Status

SECONDS = 10.0
LEASE = timedelta(seconds=45)
OVER = timedelta(seconds=-1)
NOON = datetime.fromisoformat("2026-05-17T06:00:00.123456+00:00")

_numbers = count(1)


class Kept(Struct, frozen=True, kw_only=True):
    """A ledger under test. `refusals` are the exceptions that it raises for a row that the tables do not take."""

    ledger: CheckoutStore
    refusals: tuple[type[Exception], ...]
    events: Callable[[str], Awaitable[list[tuple[str, str, bytes]]]]
    """A payment's events as (id, type, body), in order of version."""
    entries: Callable[[str], Awaitable[list[tuple[str, datetime, dict[str, Any]]]]]
    """A payment's timeline as (kind, at, data), in order of recording."""
    sweeps: Callable[[], Awaitable[None]]
    """Have the sweep take the due payments; their claims are lost."""


# -- what the tests are made of ----------------------------------------------------------------------------------------


def a_payment(**fields: Any) -> Payment:
    number = next(_numbers)
    given: dict[str, Any] = {
        "id": f"pay_{number:026d}",
        "merchant": "shop",
        "account": "shop-a",
        "provider": "fake",
        "reference": f"order-{number}",
        "amount": Decimal("1500.50"),
        "currency": "BDT",
        "opened_at": NOON,
        "expires_at": NOON + timedelta(hours=1),
    }
    return Payment(**(given | fields))


async def stored(kept: Kept, **fields: Any) -> Payment:
    """A payment that the ledger has, without a checkout."""
    made = await kept.ledger.create(a_payment(**fields), {"a": "body"}, OVER)
    assert isinstance(made, ReadyToOpen)
    return made.payment


def a_claim(**fields: Any) -> Claim:
    given: dict[str, Any] = {
        "id": f"claim-{next(_numbers)}",
        "account": "shop-a",
        "provider": "fake",
        "source": Source.RETURN,
        "authenticity": Authenticity.UNSIGNED,
        "received_at": NOON,
        "said": Said.SUCCESS,
    }
    return Claim(**(given | fields))


def a_signed_claim(event_id: str, **fields: Any) -> Claim:
    return a_claim(event_id=event_id, authenticity=Authenticity.SIGNED, source=Source.WEBHOOK, **fields)


def a_fact(seconds: int = 0, **fields: Any) -> Fact:
    asked = NOON + timedelta(seconds=seconds)
    given: dict[str, Any] = {
        "status": Status.COMPLETED,
        "word": "PAID",
        "amount": Decimal("1500.50"),
        "currency": "BDT",
        "fee": Decimal("22.5075"),
        "paid_at": asked,
    }
    answered = asked + timedelta(seconds=1)
    return Fact(
        answer=Answer(**(given | fields)),
        first_asked_at=asked,
        first_answered_at=answered,
        last_asked_at=asked,
        last_answered_at=answered,
    )


def an_allowance(account: str, **fields: Any) -> AccountLimits:
    return AccountLimits(**({"account": account, "calls": 1.5, "at": NOON} | fields))


async def keep(kept: Kept, *limits_by_account: AccountLimits) -> None:
    async with kept.ledger.limits([one.account for one in limits_by_account]) as limits:
        await limits.save(limits_by_account)


async def limits_of(kept: Kept, account: str) -> AccountLimits | None:
    async with kept.ledger.limits([account]) as limits:
        return limits.limits_by_account.get(account)


def an_entry(n: int = 0) -> Entry:
    return Entry(kind=EntryKind.DECISION, at=NOON + timedelta(seconds=n), data={"change": f"n{n}", "ক": [n, None]})


def round_of(minute: int, detail: str) -> tuple[Entry, Entry, Entry]:
    """The sweep's claim, the question that it led to, and a reply without an answer."""
    at = NOON + timedelta(minutes=minute)
    return (
        Entry(kind=EntryKind.CLAIM, at=at, data={"source": "sweep"}),
        Entry(kind=EntryKind.QUESTION, at=at, data={"question": "status", "trigger": "schedule"}),
        Entry(kind=EntryKind.ANSWER, at=at, data={"inconclusive": "key_refused", "detail": detail, "seconds": minute}),
    )


def keys(payment: Payment, **claimed: Any) -> Keys:
    return Keys(payment_id=payment.id, account=payment.account, merchant=payment.merchant, **claimed)


def transactions(payment: Payment, *names: str) -> Keys:
    return keys(payment, transactions=frozenset(names))


def told(payment: Payment, kind: EventType) -> Change:
    return Change(payment=payment, event=write_event(payment, kind, NOON, "https://pay.example"))


async def case_of(kept: Kept, payment: Payment) -> Case:
    async with kept.ledger.batch([payment.id]) as batch:
        return batch.cases[payment.id]


async def store(kept: Kept, *changes: Change) -> None:
    """Store these changes, with those of the payments' keys that are free."""
    async with kept.ledger.batch([change.payment.id for change in changes]) as batch:
        await batch.reserve([_named(change.payment) for change in changes])
        await batch.store(changes)
        await batch.commit()


def _named(payment: Payment) -> Keys:
    named = {"sessions": payment.session_id, "transactions": payment.transaction_id}
    return keys(payment, **{kind: frozenset({name}) for kind, name in named.items() if name is not None})


async def reserve(kept: Kept, *wanted: Keys) -> dict[str, TakenKeys]:
    async with kept.ledger.batch([key.payment_id for key in wanted]) as batch:
        taken_keys = dict(await batch.reserve(wanted))
        await batch.commit()
        return taken_keys


async def admit(kept: Kept, *claims: Claim, home: Payment | None = None) -> list[str]:
    """What a look says of these claims. Those that are new are then written with the payment, or set aside."""
    looked = await kept.ledger.look(claims, [] if home is None else [home.id])
    new = tuple(claim for claim in claims if looked.admissions[claim.id] == "new")
    if home is None:
        await kept.ledger.set_aside(new)
    else:
        reading = looked.readings[home.id]
        change = Change(payment=reading.case.payment)
        await kept.ledger.write([Write(reading=reading, change=change, claims=new, keys=keys(home))])
    return [looked.admissions[claim.id] for claim in claims]


class Left(Exception):
    """A test raises it to leave a batch."""


class LedgerConformance:
    """Subclasses supply the fixture `kept`."""

    # -- batches and what they hold ------------------------------------------------------------------------------------

    async def test_a_batch_holds_the_payments_named_and_no_others(self, kept: Kept) -> None:
        one, two, _ = [await stored(kept) for _ in range(3)]
        async with kept.ledger.batch([two.id, one.id, two.id, "pay_99999999999999999999999999"]) as batch:
            assert set(batch.cases) == {one.id, two.id}

    async def test_a_payment_is_read_back_as_it_was_stored(self, kept: Kept) -> None:
        row = await stored(
            kept, order_ref="basket-9", metadata={"কী": "মান", "b": ""}, return_url="https://shop.example"
        )
        full = replace(
            row,
            status=Status.COMPLETED,
            holds=(Hold.AMOUNT_MISMATCH, Hold.UNRESOLVED),
            version=3,
            late=True,
            amount_verified=True,
            refunded_amount=Decimal("40.00"),
            accepted_amount=Decimal("1500.00"),
            order_lost=True,
            fee=Decimal("999999999999.9999"),  # the greatest fee that an answer may have
            method="bkash",
            risk=Risk.HIGH,
            session_id="S-2",
            aliases=("S-0", "S-1"),
            transaction_id="T1",
            checkout_url="https://gateway.example/pay?a=b",
            completed_at=NOON,
            checked_at=NOON + timedelta(microseconds=1),
            opened=True,
            opening_until=None,
            completed_told=True,
            closing_told=True,
            expired_by_clock_at=NOON,
            unverifiable_at=NOON,
            unresolved_at=NOON,
            lease_until=NOON,
            asked_at=NOON,
            fact_asked_at=NOON,
            urgent_at=NOON,
            hinted_at=NOON,
            hint_asks=(NOON, NOON + timedelta(seconds=2)),
            success_at=NOON,
            schedule="claimed",
            step=4,
            not_before=NOON,
            next_check_at=NOON,
            execute_state="kept",
            execute_asked_at=NOON,
            execute_tries=2,
            execute_unanswered=True,
            candidates=(
                Candidate(transaction_id="T1", signed=True, state="confirmed", asked_at=NOON, success_at=NOON),
            ),
            candidate_dropped=True,
        )
        await store(kept, Change(payment=full))
        assert (await case_of(kept, row)).payment == full
        bare = replace(full, fee=None, candidates=(), hint_asks=(), aliases=(), execute_state=None, lease_until=None)
        await store(kept, Change(payment=bare))
        assert (await case_of(kept, row)).payment == bare

    async def test_facts_are_kept_by_their_keys(self, kept: Kept) -> None:
        row = await stored(kept)
        first, other = a_fact(), a_fact(5, status=None, word="ODD", amount=None)
        await store(kept, Change(payment=row, facts=(first, other)))
        merged = first.merged(a_fact(60))
        await store(kept, Change(payment=row, facts=(merged,)))
        facts = (await case_of(kept, row)).facts
        assert {fact.key: fact for fact in facts} == {merged.key: merged, other.key: other}
        assert len(facts) == 2

    async def test_a_fact_named_twice_in_one_change_is_kept_as_it_was_last(self, kept: Kept) -> None:
        row = await stored(kept)
        merged = a_fact().merged(a_fact(60))
        await store(kept, Change(payment=row, facts=(a_fact(), merged)))
        assert (await case_of(kept, row)).facts == (merged,)

    async def test_resolutions_are_kept_in_the_order_they_were_made(self, kept: Kept) -> None:
        row = await stored(kept)
        made = [
            Resolution(
                at=NOON - timedelta(seconds=n),
                status=Status.FAILED,
                actor=f"person-{n}",
                reason="asked",
                evidence=None,
                recorded_transaction="T1",
                settled=frozenset({"a|b", "amount_mismatch"}),
            )
            for n in range(3)
        ]
        for one in made:
            await store(kept, Change(payment=row, resolution=one))
        assert (await case_of(kept, row)).resolutions == tuple(made)

    async def test_what_a_silent_gateway_says_again_to_our_own_schedule_is_counted_in_one_entry(
        self, kept: Kept
    ) -> None:
        row, other = await stored(kept), await stored(kept)
        await store(kept, *(Change(payment=one, entries=round_of(0, "401")) for one in (row, other)))
        for n in (1, 2):
            for one, detail in ((row, "401"), (other, "401" if n == 1 else "503")):
                question, answer = round_of(n, detail)[1:]
                await store(kept, Change(payment=one, entries=(round_of(n, detail)[0], question)))
                await store(kept, Change(payment=one, entries=(answer,), repeats=True))

        async def told(one: Payment) -> list[tuple[str, datetime, dict[str, Any]]]:
            return [entry for entry in await kept.entries(one.id) if entry[0] == EntryKind.ANSWER]

        first = round_of(0, "401")[2]
        last = (NOON + timedelta(minutes=2)).isoformat().replace("+00:00", "Z")
        assert await told(row) == [(first.kind, first.at, first.data | {"times": 3, "last_at": last})]
        assert [kind for kind, *_ in await kept.entries(row.id)] == ["claim", "question", "answer"]
        assert [data.get("times") for *_, data in await told(other)] == [2, None], "another answer stands for itself"
        assert [kind for kind, *_ in await kept.entries(other.id)] == ["claim", "question", "answer"] * 2

    async def test_what_is_written_with_its_question_is_counted_too(self, kept: Kept) -> None:
        row = await stored(kept)
        for n, detail in enumerate(["401", "401", "401", "503"]):
            await store(kept, Change(payment=row, entries=round_of(n, detail), repeats=True))
        entries = await kept.entries(row.id)
        assert [kind for kind, *_ in entries] == ["claim", "question", "answer"] * 2
        assert [data.get("times") for kind, _, data in entries if kind == EntryKind.ANSWER] == [3, None]

    async def test_a_question_that_nobody_answered_is_not_counted_away(self, kept: Kept) -> None:
        row = await stored(kept)
        for n, dies in ((0, False), (1, True), (2, False)):
            claim, question, answer = round_of(n, "401")
            await store(kept, Change(payment=row, entries=(claim, question)))
            if not dies:
                await store(kept, Change(payment=row, entries=(answer,), repeats=True))
        kinds = [kind for kind, *_ in await kept.entries(row.id)]
        assert kinds == ["claim", "question", "answer", "claim", "question", "claim", "question", "answer"]

    async def test_what_somebody_else_made_us_ask_is_never_counted_away(self, kept: Kept) -> None:
        row = await stored(kept)
        for n in (0, 1):
            claim, question, answer = round_of(n, "401")
            asked = replace(question, data=question.data | {"trigger": "hint"})
            await store(kept, Change(payment=row, entries=(replace(claim, data={"source": "return"}), asked)))
            await store(kept, Change(payment=row, entries=(answer,), repeats=True))
        assert [kind for kind, *_ in await kept.entries(row.id)] == ["claim", "question", "answer"] * 2

    async def test_entries_stand_in_the_order_of_recording(self, kept: Kept) -> None:
        row, other = await stored(kept), await stored(kept)
        await store(
            kept,
            Change(payment=row, entries=(an_entry(9), an_entry(1))),
            Change(payment=other, entries=(an_entry(5),)),
        )
        await store(kept, Change(payment=row, entries=(an_entry(4),)))
        entries = [(one.kind, one.at, one.data) for one in (an_entry(9), an_entry(1), an_entry(4))]
        assert await kept.entries(row.id) == entries

    async def test_now_is_read_when_the_payments_are_locked(self, kept: Kept) -> None:
        """Otherwise a batch that waited would write times older than what it reads."""
        row, other = await stored(kept), await stored(kept)
        entered = asyncio.Event()
        times: list[datetime] = []

        async def waits() -> None:
            entered.set()
            async with kept.ledger.batch([row.id]) as batch:
                times.append(batch.now)

        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group, kept.ledger.batch([row.id]) as first:
            group.create_task(waits())
            await entered.wait()
            await asyncio.sleep(0)
            async with kept.ledger.batch([other.id]) as meanwhile:
                times.append(meanwhile.now)
            times.append(first.now)
        between, start, end = times
        assert start <= between <= end

    # -- all or nothing ------------------------------------------------------------------------------------------------

    async def everything(self, kept: Kept, row: Payment, *, stores: bool, leaves: bool, commits: bool) -> None:
        paid = replace(row, status=Status.COMPLETED, version=1, completed_told=True, execute_state="kept")
        async with kept.ledger.batch([row.id]) as batch:
            await batch.reserve(
                [keys(row, transactions=frozenset({"T1"}), sessions=frozenset({"S1"}), order_ref="b-1")]
            )
            if stores:
                fact, change = a_fact(), told(paid, EventType.COMPLETED)
                await batch.store([replace(change, facts=(fact,), entries=(an_entry(),))])
            if leaves:
                raise Left
            if commits:
                await batch.commit()

    @pytest.mark.parametrize("stores", [True, False])
    async def test_a_batch_left_by_an_exception_changes_nothing(self, kept: Kept, stores: bool) -> None:
        row = await stored(kept, order_ref="b-1")
        with pytest.raises(Left):
            await self.everything(kept, row, stores=stores, leaves=True, commits=False)
        await self.nothing_changed(kept, row)

    @pytest.mark.parametrize("stores", [True, False])
    async def test_a_batch_left_without_commit_changes_nothing(self, kept: Kept, stores: bool) -> None:
        row = await stored(kept, order_ref="b-1")
        await self.everything(kept, row, stores=stores, leaves=False, commits=False)
        await self.nothing_changed(kept, row)

    async def nothing_changed(self, kept: Kept, row: Payment) -> None:
        assert await case_of(kept, row) == Case(payment=row)
        assert await kept.events(row.id) == []
        assert await kept.entries(row.id) == []
        other = await stored(kept, order_ref="b-1")
        assert await self.begin(kept, other) == {other.id}
        key = keys(other, transactions=frozenset({"T1"}), sessions=frozenset({"S1"}), order_ref="b-1")
        assert (await reserve(kept, key))[other.id] == TakenKeys()

    async def test_a_batch_that_was_committed_is_there_with_all_that_it_took(self, kept: Kept) -> None:
        row = await stored(kept, order_ref="b-1")
        await self.everything(kept, row, stores=True, leaves=False, commits=True)
        case = await case_of(kept, row)
        assert (case.payment.status, case.facts) == (Status.COMPLETED, (a_fact(),))
        assert [kind for _, kind, _ in await kept.events(row.id)] == [EventType.COMPLETED]
        other = await stored(kept, order_ref="b-1")
        key = keys(other, transactions=frozenset({"T1"}), sessions=frozenset({"S1"}), order_ref="b-1")
        taken_keys = TakenKeys(transactions=frozenset({"T1"}), sessions=frozenset({"S1"}), order=True)
        assert (await reserve(kept, key))[other.id] == taken_keys

    async def test_one_bad_row_fails_the_whole_batch(self, kept: Kept) -> None:
        good, bad = await stored(kept), await stored(kept)
        changes = [
            Change(payment=replace(good, version=1, method="bkash"), facts=(a_fact(),)),
            Change(payment=replace(bad, refunded_amount=Decimal("9999.00"))),
        ]
        with pytest.raises(kept.refusals):
            await store(kept, *changes)
        assert await case_of(kept, good) == Case(payment=good)

    # -- find: within the account of the URL only ----------------------------------------------------------------------

    async def known(self, kept: Kept) -> Payment:
        """A payment with a session, a replaced session and a transaction."""
        row = await stored(kept, reference="order-known")
        key = keys(row, sessions=frozenset({"S-old", "S-new"}), transactions=frozenset({"T1"}))
        async with kept.ledger.batch([row.id]) as batch:
            await batch.reserve([key])
            changed = replace(row, session_id="S-new", aliases=("S-old",), transaction_id="T1", opened=True)
            await batch.store([Change(payment=changed)])
            await batch.commit()
        return row

    NAMES = (
        {"reference": "order-known"},
        {"session_id": "S-new"},
        {"session_id": "S-old"},
        {"transaction_id": "T1"},
        {"session_id": "S-unknown", "reference": "order-known"},
    )

    @pytest.mark.parametrize("named", NAMES, ids=str)
    async def test_a_payment_is_found_by_what_names_it(self, kept: Kept, named: dict[str, str]) -> None:
        row = await self.known(kept)
        claim = a_claim(**named)
        assert dict(await kept.ledger.find([claim])) == {claim.id: row.id}

    @pytest.mark.parametrize("named", NAMES, ids=str)
    async def test_another_accounts_payment_is_not_found(self, kept: Kept, named: dict[str, str]) -> None:
        await self.known(kept)
        assert dict(await kept.ledger.find([a_claim(account="shop-b", **named)])) == {}

    async def test_the_payment_in_the_path_is_found_within_its_account(self, kept: Kept) -> None:
        row = await self.known(kept)
        mine, strange = a_claim(payment_id=row.id), a_claim(payment_id=row.id, account="shop-b")
        assert dict(await kept.ledger.find([mine, strange])) == {mine.id: row.id}

    async def test_the_payment_in_the_path_wins_over_every_other_id(self, kept: Kept) -> None:
        """The payment is named by the path; the ids in the query may be another payment's."""
        other, row = await self.known(kept), await stored(kept)
        claim = a_claim(payment_id=row.id, session_id="S-new", reference=other.reference, transaction_id="T1")
        assert dict(await kept.ledger.find([claim])) == {claim.id: row.id}
        lost = replace(claim, payment_id="pay_99999999999999999999999999")
        assert dict(await kept.ledger.find([lost])) == {}, "nor do they stand in for a path that is not ours"

    async def test_many_claims_are_found_at_once_and_unknown_ones_are_absent(self, kept: Kept) -> None:
        rows = [await stored(kept) for _ in range(3)]
        claims = [a_claim(reference=row.reference) for row in rows]
        found = await kept.ledger.find([*claims, a_claim(reference="order-of-nobody"), a_claim()])
        assert dict(found) == {claim.id: row.id for claim, row in zip(claims, rows, strict=True)}

    # -- admit ---------------------------------------------------------------------------------------------------------

    async def test_a_claim_is_new_once(self, kept: Kept) -> None:
        row, claim = await stored(kept), a_claim()
        assert await admit(kept, claim, home=row) == ["new"]
        assert await admit(kept, claim, a_claim(), home=row) == ["seen", "new"]

    async def test_a_signed_event_is_new_once_whatever_the_claims_id(self, kept: Kept) -> None:
        row = await stored(kept)
        first, second, other = a_signed_claim("E1"), a_signed_claim("E1"), a_signed_claim("E2")
        assert await admit(kept, first, home=row) == ["new"]
        assert await admit(kept, second, other, home=row) == ["repeated", "new"]

    async def test_a_write_with_two_claims_of_one_event_has_lost_and_leaves_neither(self, kept: Kept) -> None:
        row, twins = await stored(kept), [a_signed_claim("E1"), a_signed_claim("E1")]
        assert await admit(kept, *twins, home=row) == ["new", "new"]
        assert set((await kept.ledger.look(twins)).admissions.values()) == {"new"}

    async def test_an_event_id_counts_within_its_account(self, kept: Kept) -> None:
        row, other = await stored(kept), await stored(kept, account="shop-b")
        assert await admit(kept, a_signed_claim("E1"), home=row) == ["new"]
        assert await admit(kept, a_signed_claim("E1", account="shop-b"), home=other) == ["new"]

    async def test_an_unsigned_claim_does_not_use_up_an_event_id(self, kept: Kept) -> None:
        row = await stored(kept)
        assert await admit(kept, a_claim(event_id="E1"), a_claim(event_id="E1"), home=row) == ["new", "new"]
        assert await admit(kept, a_signed_claim("E1"), home=row) == ["new"]
        assert await admit(kept, a_claim(event_id="E1"), home=row) == ["new"]

    async def test_a_claim_about_no_payment_we_know_is_recorded_and_uses_up_no_event_id(self, kept: Kept) -> None:
        """It may come before the payment that it is about."""
        claim = a_signed_claim("E1")
        assert await admit(kept, claim) == ["new"]
        assert await admit(kept, claim) == ["seen"]
        row = await stored(kept)
        assert await admit(kept, a_signed_claim("E1"), home=row) == ["new"]

    # -- reserve: the first keeps it -----------------------------------------------------------------------------------

    async def test_who_reserves_first_keeps_it(self, kept: Kept) -> None:
        first, second = await stored(kept), await stored(kept)
        assert (await reserve(kept, transactions(first, "T1", "T2")))[first.id] == TakenKeys()
        assert (await reserve(kept, transactions(second, "T2", "T3")))[second.id].transactions == {"T2"}
        assert (await reserve(kept, transactions(first, "T1", "T2", "T3")))[first.id].transactions == {"T3"}

    async def test_reserving_again_what_is_ours_is_nothing(self, kept: Kept) -> None:
        row = await stored(kept, order_ref="b-1")
        key = keys(row, transactions=frozenset({"T1"}), sessions=frozenset({"S1"}), order_ref="b-1")
        for _ in range(2):
            assert (await reserve(kept, key))[row.id] == TakenKeys()

    async def test_of_two_in_one_batch_one_keeps_it(self, kept: Kept) -> None:
        rows = [await stored(kept, order_ref="b-1") for _ in range(3)]
        taken_keys = await reserve(kept, *(keys(row, transactions=frozenset({"T1"}), order_ref="b-1") for row in rows))
        assert sorted(bool(taken_keys[row.id].transactions) for row in rows) == [False, True, True]
        assert sorted(taken_keys[row.id].order for row in rows) == [False, True, True]

    async def test_sessions_and_transactions_are_keys_of_their_own(self, kept: Kept) -> None:
        first, second = await stored(kept), await stored(kept)
        await reserve(kept, keys(first, transactions=frozenset({"X"})))
        assert (await reserve(kept, keys(second, sessions=frozenset({"X"}))))[second.id] == TakenKeys()

    async def test_accounts_and_merchants_are_kept_apart(self, kept: Kept) -> None:
        first = await stored(kept, order_ref="b-1")
        second = await stored(kept, order_ref="b-1", account="shop-b")
        third = await stored(kept, order_ref="b-1", account="else-a", merchant="else")
        claimed = {"transactions": frozenset({"T1"}), "sessions": frozenset({"S1"}), "order_ref": "b-1"}
        assert (await reserve(kept, keys(first, **claimed)))[first.id] == TakenKeys()
        assert (await reserve(kept, keys(second, **claimed)))[second.id] == TakenKeys(order=True), "one shop, one order"
        assert (await reserve(kept, keys(third, **claimed)))[third.id] == TakenKeys()

    async def test_where_nobody_names_a_key_nothing_is_anothers(self, kept: Kept) -> None:
        row = await stored(kept)
        async with kept.ledger.batch([row.id]) as batch:
            assert dict(await batch.reserve([])) == {}
            assert (await batch.reserve([keys(row)]))[row.id] == TakenKeys()

    async def test_a_batch_sees_what_it_reserved_itself(self, kept: Kept) -> None:
        row, other = await stored(kept), await stored(kept)
        async with kept.ledger.batch([row.id, other.id]) as batch:
            assert (await batch.reserve([transactions(row, "T1")]))[row.id] == TakenKeys()
            assert (await batch.reserve([transactions(other, "T1")]))[other.id].transactions == {"T1"}

    async def test_two_batches_that_want_one_transaction_at_once_do_not_both_get_it(self, kept: Kept) -> None:
        rows = [await stored(kept, order_ref="b-1") for _ in range(6)]
        wanted = [keys(row, transactions=frozenset({"T1"}), order_ref="b-1") for row in rows]
        async with asyncio.timeout(SECONDS):
            taken_keys = await asyncio.gather(*(reserve(kept, key) for key in wanted))
        won = [one[row.id] for one, row in zip(taken_keys, rows, strict=True)]
        assert sorted(bool(one.transactions) for one in won) == [False, True, True, True, True, True]
        assert sorted(one.order for one in won) == [False, True, True, True, True, True]

    async def test_references_are_looked_up_and_never_taken(self, kept: Kept) -> None:
        owner, other = await stored(kept), await stored(kept)
        elsewhere = await stored(kept, account="shop-b", reference="order-elsewhere")
        named = frozenset({owner.reference, other.reference, elsewhere.reference, "order-of-nobody"})
        for _ in range(2):
            assert (await reserve(kept, keys(other, references=named)))[other.id] == TakenKeys(
                references=frozenset({owner.reference})
            )

    # -- orders that are let go: paid back in full ---------------------------------------------------------------------

    async def pay(self, kept: Kept, row: Payment) -> TakenKeys:
        """Record it as paid: it asks for its order, and is completed even if another payment has the order."""
        async with kept.ledger.batch([row.id]) as batch:
            taken_keys = (await batch.reserve([keys(row, order_ref=row.order_ref)]))[row.id]
            await batch.store([Change(payment=replace(row, status=Status.COMPLETED))])
            await batch.commit()
            return taken_keys

    async def pay_back(self, kept: Kept, *rows: Payment) -> None:
        async with kept.ledger.batch([row.id for row in rows]) as batch:
            await batch.reserve([keys(row, order_ref=row.order_ref, returned=True) for row in rows])
            after = {"status": Status.REFUNDED, "refunded_amount": Decimal("1500.50")}
            await batch.store([Change(payment=replace(row, **after)) for row in rows])
            await batch.commit()

    async def test_an_order_that_is_paid_back_is_the_next_ones_to_pay_or_execute(self, kept: Kept) -> None:
        first, second, third = [await stored(kept, order_ref="b-1") for _ in range(3)]
        assert await self.pay(kept, first) == TakenKeys()
        await self.pay_back(kept, first)
        assert await self.begin(kept, second) == {second.id}
        assert await self.pay(kept, third) == TakenKeys()
        assert await self.pay(kept, second) == TakenKeys(order=True)

    async def test_a_paid_attempt_that_lost_the_order_keeps_it_from_the_next(self, kept: Kept) -> None:
        first, held, third = [await stored(kept, order_ref="b-1") for _ in range(3)]
        await self.pay(kept, first)
        assert await self.pay(kept, held) == TakenKeys(order=True)
        await self.pay_back(kept, first)
        assert await self.begin(kept, third) == frozenset()
        assert (await reserve(kept, keys(third, order_ref="b-1")))[third.id] == TakenKeys(order=True)
        await self.pay_back(kept, held)
        assert await self.begin(kept, third) == {third.id}

    async def test_attempts_paid_back_in_one_batch_free_the_order_together(self, kept: Kept) -> None:
        rows = [await stored(kept, order_ref="b-1") for _ in range(3)]
        for row in rows[:2]:
            await self.pay(kept, row)
        await self.pay_back(kept, *rows[:2])
        assert await self.pay(kept, rows[2]) == TakenKeys()

    async def test_what_one_lets_go_another_of_the_same_batch_takes(self, kept: Kept) -> None:
        first, second = [await stored(kept, order_ref="b-1") for _ in range(2)]
        await self.pay(kept, first)
        wanted = [keys(second, order_ref="b-1"), keys(first, order_ref="b-1", returned=True)]
        assert await reserve(kept, *wanted) == {first.id: TakenKeys(), second.id: TakenKeys()}

    async def test_an_attempt_that_never_had_the_order_frees_nobody_elses(self, kept: Kept) -> None:
        first, second, third = [await stored(kept, order_ref="b-1") for _ in range(3)]
        await self.pay(kept, first)
        await self.pay_back(kept, second)
        assert await self.pay(kept, third) == TakenKeys(order=True)

    async def test_payments_and_refunds_at_once_leave_at_most_one_attempt_with_the_order(self, kept: Kept) -> None:
        """And they do not deadlock, in any order."""
        rows = [[await stored(kept, order_ref=f"b-{n}") for n in range(4)] for _ in range(4)]
        for row in rows[0]:
            await self.pay(kept, row)

        async def together(attempts: list[Payment]) -> None:
            async with kept.ledger.batch([row.id for row in attempts]) as batch:
                wanted = [keys(row, order_ref=row.order_ref, returned=row in rows[0]) for row in attempts]
                taken_keys = await batch.reserve(wanted)
                paid = {"status": Status.COMPLETED}
                back = {"status": Status.REFUNDED, "refunded_amount": Decimal("1500.50")}
                await batch.store(
                    [Change(payment=replace(row, **(back if row in rows[0] else paid))) for row in attempts]
                )
                await batch.commit()
                won.extend(row for row in attempts if row not in rows[0] and not taken_keys[row.id].order)

        won: list[Payment] = []
        mixed = [[rows[0][n], rows[1][(n + 1) % 4], rows[2][(n + 2) % 4], rows[3][(n + 3) % 4]] for n in range(4)]
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(together(attempts) for attempts in mixed))
        by_order = [row.order_ref for row in won]
        assert len(by_order) == len(set(by_order))

    # -- executions: one attempt of an order ---------------------------------------------------------------------------

    async def begin(self, kept: Kept, *rows: Payment) -> frozenset[str]:
        """Those of these payments that begin to execute, by one write on one look."""
        readings = (await kept.ledger.look([], [row.id for row in rows])).readings.values()
        written = await kept.ledger.write(
            [
                Write(reading=one, change=Change(payment=one.case.payment), keys=keys(one.case.payment), executes=True)
                for one in readings
            ]
        )
        return written.done

    async def test_one_attempt_of_an_order_executes_at_a_time(self, kept: Kept) -> None:
        first, second = [await stored(kept, order_ref="b-1") for _ in range(2)]
        alone = await stored(kept)
        assert await self.begin(kept, first, alone) == {first.id, alone.id}
        assert await self.begin(kept, second, alone) == {alone.id}
        assert await self.begin(kept, first) == {first.id}, "its own again"

    async def test_of_several_attempts_in_one_write_one_executes(self, kept: Kept) -> None:
        rows = [await stored(kept, order_ref="b-1") for _ in range(3)]
        assert len(await self.begin(kept, *rows)) == 1

    async def test_the_same_order_of_another_merchant_is_another_order(self, kept: Kept) -> None:
        first = await stored(kept, order_ref="b-1")
        other = await stored(kept, order_ref="b-1", merchant="else", account="else-a")
        assert await self.begin(kept, first, other) == {first.id, other.id}

    async def test_a_freed_order_is_anyones(self, kept: Kept) -> None:
        first, second = [await stored(kept, order_ref="b-1") for _ in range(2)]
        await self.begin(kept, first)
        await store(kept, Change(payment=second, order_freed=True))
        assert await self.begin(kept, second) == frozenset(), "only its own execution is freed"
        await store(kept, Change(payment=first, order_freed=True))
        assert await self.begin(kept, second) == {second.id}

    async def test_when_an_attempt_has_paid_no_other_executes(self, kept: Kept) -> None:
        first, second = [await stored(kept, order_ref="b-1") for _ in range(2)]
        await reserve(kept, keys(first, order_ref="b-1"))
        assert await self.begin(kept, second) == frozenset()

    async def test_an_execution_does_not_keep_another_attempts_money_from_counting(self, kept: Kept) -> None:
        """Which attempt is paid is decided by money alone."""
        first, second = [await stored(kept, order_ref="b-1") for _ in range(2)]
        await self.begin(kept, first)
        assert (await reserve(kept, keys(second, order_ref="b-1")))[second.id] == TakenKeys()
        assert (await reserve(kept, keys(first, order_ref="b-1")))[first.id] == TakenKeys(order=True)

    async def test_two_attempts_at_once_do_not_both_execute(self, kept: Kept) -> None:
        rows = [await stored(kept, order_ref="b-1") for _ in range(6)]
        async with asyncio.timeout(SECONDS):
            begun = await asyncio.gather(*(self.begin(kept, row) for row in rows))
        assert sum(len(one) for one in begun) == 1

    # -- versions and events -------------------------------------------------------------------------------------------

    async def test_an_event_is_kept_byte_for_byte(self, kept: Kept) -> None:
        row = replace(await stored(kept), version=1, opened=True, description="চা ও \u2028 কফি")
        change = told(row, EventType.OPENED)
        assert change.event is not None
        await store(kept, change)
        assert await kept.events(row.id) == [(f"{row.id}.1", EventType.OPENED, change.event.body)]

    async def test_a_version_has_one_event(self, kept: Kept) -> None:
        row = replace(await stored(kept), version=1)
        await store(kept, told(row, EventType.OPENED))
        with pytest.raises(kept.refusals):
            await store(kept, told(row, EventType.HELD))
        assert [kind for _, kind, _ in await kept.events(row.id)] == [EventType.OPENED]

    async def test_completed_is_told_once(self, kept: Kept) -> None:
        row = await stored(kept)
        paid = replace(row, status=Status.COMPLETED, version=1, completed_told=True)
        await store(kept, told(paid, EventType.COMPLETED))
        with pytest.raises(kept.refusals):
            await store(kept, told(replace(paid, version=2), EventType.COMPLETED))
        assert (await case_of(kept, row)).payment == paid

    # -- rows that the tables refuse -----------------------------------------------------------------------------------

    BAD = (
        {"status": Status.FAILED},
        {"status": Status.PENDING},
        {"version": 4},
        {"refunded_amount": Decimal("39.99")},
        {"completed_told": False},
        {"refunded_amount": Decimal("1500.51")},
        {"refunded_amount": Decimal("1500.50")},
        {"status": Status.REFUNDED},
    )

    @pytest.mark.parametrize("wrong", BAD, ids=str)
    async def test_what_would_go_back_or_not_add_up_is_refused(self, kept: Kept, wrong: dict[str, Any]) -> None:
        """SQL repeats that rank only rises."""
        row = replace(await stored(kept), status=Status.COMPLETED, version=5, completed_told=True)
        row = replace(row, refunded_amount=Decimal("40.00"))
        await store(kept, Change(payment=row))
        with pytest.raises(kept.refusals):
            await store(kept, Change(payment=replace(row, **wrong)))
        assert (await case_of(kept, row)).payment == row

    @pytest.mark.parametrize(
        ("accepted", "back", "status", "fits"),
        [
            ("1500.00", "1499.99", Status.COMPLETED, True),
            ("1500.00", "1500.00", Status.REFUNDED, True),
            ("1500.00", "1500.50", Status.REFUNDED, True),
            ("1500.00", "1500.00", Status.COMPLETED, False),
            ("1500.00", "1499.99", Status.REFUNDED, False),
            ("1500.00", "1500.51", Status.REFUNDED, False),
            ("1600.00", "1550.00", Status.COMPLETED, True),
            ("1600.00", "1600.00", Status.REFUNDED, True),
            ("1600.00", "1500.50", Status.REFUNDED, False),
            ("1600.00", "1600.01", Status.REFUNDED, False),
        ],
    )
    async def test_refunds_are_measured_by_what_a_person_accepted(
        self, kept: Kept, accepted: str, back: str, status: Status, fits: bool
    ) -> None:
        """All of it back is refunded, and nothing else is."""
        row = await stored(kept)
        fields = {"accepted_amount": Decimal(accepted), "refunded_amount": Decimal(back), "status": status}
        after = replace(row, **fields)
        if fits:
            await store(kept, Change(payment=after))
        else:
            with pytest.raises(kept.refusals):
                await store(kept, Change(payment=after))
        assert (await case_of(kept, row)).payment == (after if fits else row)

    @pytest.mark.parametrize("field", ["session_id", "transaction_id"])
    async def test_one_id_stands_on_one_payment_of_an_account(self, kept: Kept, field: str) -> None:
        first, second, other = await stored(kept), await stored(kept), await stored(kept, account="shop-b")
        await store(kept, Change(payment=replace(first, **{field: "X"})))
        await store(kept, Change(payment=replace(other, **{field: "X"})))
        with pytest.raises(kept.refusals):
            await store(kept, Change(payment=replace(second, **{field: "X"})))

    # -- concurrency ---------------------------------------------------------------------------------------------------

    async def test_batches_over_one_payment_follow_each_other(self, kept: Kept) -> None:
        row = await stored(kept)

        async def rise() -> None:
            async with kept.ledger.batch([row.id]) as batch:
                payment = batch.cases[row.id].payment
                await asyncio.sleep(0)
                await batch.store([Change(payment=replace(payment, version=payment.version + 1))])
                await batch.commit()

        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(rise() for _ in range(8)))
        assert (await case_of(kept, row)).payment.version == 8

    async def test_overlapping_batches_in_crossed_order_do_not_lock_each_other_out(self, kept: Kept) -> None:
        """A batch locks payments in id order."""
        rows = [await stored(kept, order_ref=f"b-{n}") for n in range(6)]

        async def run(order: Sequence[Payment]) -> None:
            async with kept.ledger.batch([row.id for row in order]) as batch:
                await asyncio.sleep(0)
                await batch.reserve([keys(row, transactions=frozenset({"T1", row.id})) for row in order])
                await batch.reserve([keys(row, order_ref=row.order_ref) for row in order])
                risen = [
                    replace(batch.cases[row.id].payment, step=batch.cases[row.id].payment.step + 1) for row in order
                ]
                await batch.store([Change(payment=one) for one in risen])
                await batch.commit()

        orders = [rows, rows[::-1], rows[2:] + rows[:2], rows[3::-1], rows[1:5], rows[::2] + rows[1::2]]
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(run(order) for order in orders))
        assert (await case_of(kept, rows[2])).payment.step == 6

    async def test_a_batch_over_other_payments_does_not_wait(self, kept: Kept) -> None:
        one, two = await stored(kept), await stored(kept)
        async with asyncio.timeout(SECONDS), kept.ledger.batch([one.id]), kept.ledger.batch([two.id]) as batch:
            await batch.store([Change(payment=replace(two, step=1))])
            await batch.commit()

    # -- limits --------------------------------------------------------------------------------------------------------

    async def test_an_account_that_nobody_asked_about_has_no_allowance(self, kept: Kept) -> None:
        await keep(kept, an_allowance("shop-b"))
        async with kept.ledger.limits(["shop-a", "shop-b"]) as limits:
            assert dict(limits.limits_by_account) == {"shop-b": an_allowance("shop-b")}
        async with kept.ledger.limits([]) as limits:
            assert dict(limits.limits_by_account) == {}

    async def test_an_allowance_is_kept_as_it_was_written_and_written_over(self, kept: Kept) -> None:
        until = NOON + timedelta(microseconds=1)
        owing = an_allowance("shop-a", calls=-2.25, troubles=11, shut_until=until, unknown_by=("pay_1", "pay_2"))
        await keep(kept, owing)
        assert await limits_of(kept, "shop-a") == owing
        opened = replace(owing, calls=0.1, troubles=0, shut_until=None, at=NOON + LEASE)
        await keep(kept, opened)
        assert await limits_of(kept, "shop-a") == opened

    async def test_several_allowances_are_told_and_kept_in_any_order(self, kept: Kept) -> None:
        names = ["shop-c", "shop-a", "shop-b"]
        await keep(kept, *(an_allowance(name, troubles=n) for n, name in enumerate(names)))
        async with kept.ledger.limits(names) as limits:
            assert {name: one.troubles for name, one in limits.limits_by_account.items()} == {
                "shop-c": 0,
                "shop-a": 1,
                "shop-b": 2,
            }

    # -- openings ------------------------------------------------------------------------------------------------------

    async def test_a_reference_has_one_row(self, kept: Kept) -> None:
        first = await kept.ledger.create(a_payment(reference="order-1"), {"a": 1}, LEASE)
        assert isinstance(first, ReadyToOpen)
        assert first.payment.opening_until is not None
        again = await kept.ledger.create(a_payment(reference="order-1"), {"a": 1}, LEASE)
        assert isinstance(again, ReferenceTaken)
        assert (again.payment.id, again.why) == (first.payment.id, "opening")
        elsewhere = await kept.ledger.create(a_payment(reference="order-1", account="shop-b"), {"a": 1}, LEASE)
        assert isinstance(elsewhere, ReadyToOpen)

    async def test_a_row_without_checkout_is_taken_up_again_when_its_lease_is_over(self, kept: Kept) -> None:
        first = await kept.ledger.create(a_payment(reference="order-1"), {"a": {"c": "d"}, "b": [1]}, OVER)
        wanted = a_payment(
            reference="order-1", expires_at=NOON + timedelta(days=1), next_check_at=NOON, schedule="pending"
        )
        again = await kept.ledger.create(wanted, {"b": [1], "a": {"c": "d"}}, LEASE)
        assert isinstance(again, ReadyToOpen)
        assert again.payment.id == first.payment.id
        assert again.payment.expires_at == wanted.expires_at
        assert (again.payment.schedule, again.payment.next_check_at) == ("pending", NOON)
        assert (await case_of(kept, again.payment)).payment == again.payment
        third = await kept.ledger.create(a_payment(reference="order-1"), {"b": [1], "a": {"c": "d"}}, LEASE)
        assert isinstance(third, ReferenceTaken)
        assert third.why == "opening", "the lease was renewed"

    async def test_a_row_without_checkout_is_not_taken_up_for_another_body(self, kept: Kept) -> None:
        first = await kept.ledger.create(a_payment(reference="order-1"), {"a": 1}, OVER)
        again = await kept.ledger.create(a_payment(reference="order-1"), {"a": 2}, LEASE)
        assert again == ReferenceTaken(payment=first.payment, why="other_body", equal=False)

    @pytest.mark.parametrize(
        "learned",
        [
            {"opened": True, "version": 1},
            {"status": Status.COMPLETED, "version": 1},
            {"status": Status.FAILED},
            {"holds": (Hold.UNMAPPED_STATUS,), "version": 1},
        ],
        ids=str,
    )
    async def test_a_row_with_a_checkout_or_a_word_of_the_gateway_is_not_opened_again(
        self, kept: Kept, learned: dict[str, Any]
    ) -> None:
        row = replace(await stored(kept), **learned)
        await store(kept, Change(payment=row))
        again = await kept.ledger.create(a_payment(reference=row.reference), {"a": "body"}, LEASE)
        assert again == ReferenceTaken(payment=row, why="opened", equal=again.equal)

    async def test_a_row_that_the_clock_closed_in_silence_is_opened_again(self, kept: Kept) -> None:
        row = replace(await stored(kept), status=Status.EXPIRED, expired_by_clock_at=NOON)
        await store(kept, Change(payment=row))
        again = await kept.ledger.create(a_payment(reference=row.reference), {"a": "body"}, LEASE)
        assert isinstance(again, ReadyToOpen)
        assert (again.payment.id, again.payment.status) == (row.id, Status.PENDING)

    async def test_of_many_posts_at_once_one_opens(self, kept: Kept) -> None:
        async with asyncio.timeout(SECONDS):
            made = await asyncio.gather(
                *(kept.ledger.create(a_payment(reference="order-1"), {"a": 1}, LEASE) for _ in range(6))
            )
        assert sorted(type(one).__name__ for one in made) == ["ReadyToOpen", *["ReferenceTaken"] * 5]
        assert len({one.payment.id for one in made}) == 1

    async def test_a_discarded_row_is_gone_and_its_reference_free(self, kept: Kept) -> None:
        row = await stored(kept, reference="order-1")
        await store(kept, Change(payment=row, entries=(an_entry(),)))
        await kept.ledger.discard(row.id)
        assert dict(await kept.ledger.find([a_claim(reference="order-1")])) == {}
        async with kept.ledger.batch([row.id]) as batch:
            assert dict(batch.cases) == {}
        assert isinstance(await kept.ledger.create(a_payment(reference="order-1"), {"b": 2}, LEASE), ReadyToOpen)

    async def test_a_row_of_which_a_fact_is_known_is_not_discarded(self, kept: Kept) -> None:
        row = await stored(kept)
        await store(kept, Change(payment=row, facts=(a_fact(),)))
        await kept.ledger.discard(row.id)
        assert (await case_of(kept, row)).facts == (a_fact(),)

    async def test_a_row_of_which_something_was_told_is_not_discarded(self, kept: Kept) -> None:
        """An unverifiable success holds a payment while its checkout is still being opened."""
        row = await stored(kept)
        held = replace(row, version=1, holds=(Hold.UNVERIFIABLE,), unverifiable_at=NOON)
        event = write_event(held, EventType.HELD, NOON, "http://127.0.0.1:8080")
        await store(kept, Change(payment=held, event=event))
        await kept.ledger.discard(row.id)
        assert (await case_of(kept, row)).payment.holds == (Hold.UNVERIFIABLE,)

    async def test_a_row_that_only_claims_named_is_discarded(self, kept: Kept) -> None:
        """A claim alone reveals nothing: our own sweep looks at a row while its opening is in doubt."""
        row = await stored(kept)
        await admit(kept, a_claim(), home=row)
        await kept.ledger.discard(row.id)
        async with kept.ledger.batch([row.id]) as batch:
            assert dict(batch.cases) == {}
