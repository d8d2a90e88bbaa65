"""What every ledger promises of unexpected payments; `test_ledger.py` runs it against each implementation."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

import pytest
from msgspec.structs import replace

from consumers.commands.adopt import NotAdopted, adopt
from consumers.commands.open_payment import CheckoutStore
from consumers.commands.reopen import ReadyToOpen, ReferenceTaken
from consumers.reconciliation.statement_facts import StatementEntry, StatementSource, record_lines
from consumers.reconciliation.unexpected import PaymentOfLine, UnexpectedPayments, UnmatchedLine, record_unexpected
from consumers.rules import Rules
from schemas.changes import Change
from schemas.checks import Checks
from schemas.payments import Payment
from schemas.statements import Line
from schemas.words import Hold, Status
from tests.fakes.providers import ACCOUNTS, PLAIN, SILENT
from tests.integration.conformance_ledger import LEASE, NOON, SECONDS, Kept, a_claim, a_payment, case_of, keys, store

RULES = Rules(accounts={one.id: one for one in ACCOUNTS}, checks=Checks(), public_url="https://pay.example")
MARCH = StatementSource(account=SILENT.id, name="march.csv", newest=NOON + timedelta(hours=1))


class Both(CheckoutStore, UnexpectedPayments, Protocol):
    """Both ports, as one ledger has them."""


@dataclass(frozen=True)
class Books:
    ledger: Both
    kept: Kept


def new_id() -> str:
    return f"pay_{secrets.randbelow(10**26):026d}"


def a_line(row: int = 2, **fields: Any) -> Line:
    given: dict[str, Any] = {
        "row": row,
        "kind": "payment",
        "status": Status.COMPLETED,
        "word": "PAID",
        "amount": Decimal("1500.50"),
        "transaction_id": f"T{row}",
        "reference": f"theirs-{row}",
        "at": NOON,
    }
    return Line(**(given | fields))


async def find(books: Books, *lines: Line) -> list[PaymentOfLine]:
    unmatched = [UnmatchedLine(line=line) for line in lines]
    return await record_unexpected(books.ledger, RULES, SILENT, MARCH, unmatched, new_id)


async def one_found(books: Books, **fields: Any) -> Payment:
    (found,) = await find(books, a_line(**fields))
    return await payment(books, found.payment_id)


async def payment(books: Books, payment_id: str) -> Payment:
    async with books.ledger.batch([payment_id]) as batch:
        return batch.cases[payment_id].payment


def wanted(**fields: Any) -> Payment:
    return a_payment(**({"account": SILENT.id, "merchant": SILENT.merchant} | fields))


class UnexpectedConformance:
    """Subclasses supply the fixtures `kept` and `books`, which stand on the same ledger."""

    # -- rows that are found -------------------------------------------------------------------------------------------

    async def test_rows_are_inserted_where_their_reference_is_free(self, books: Books) -> None:
        taken = a_payment(reference="taken")
        assert isinstance(await books.ledger.create(taken, {}, LEASE), ReadyToOpen)
        rows = [a_payment(reference="free"), a_payment(reference="taken"), a_payment(reference="free")]
        async with books.ledger.inserted(rows) as batch:
            assert set(batch.cases) == {rows[0].id}
            await batch.store([Change(payment=replace(rows[0], version=1))])
            await batch.commit()
        assert (await payment(books, rows[0].id)).version == 1

    async def test_rows_stay_only_when_stored(self, books: Books) -> None:
        row = a_payment(reference="free")
        async with books.ledger.inserted([row]) as batch:
            assert set(batch.cases) == {row.id}
        async with books.ledger.batch([row.id]) as batch:
            assert dict(batch.cases) == {}
        assert isinstance(await books.ledger.create(a_payment(reference="free"), {}, LEASE), ReadyToOpen)

    async def test_a_row_that_is_withdrawn_leaves_nothing(self, books: Books) -> None:
        gone, stays = a_payment(reference="gone"), a_payment(reference="stays")
        async with books.ledger.inserted([gone, stays]) as batch:
            await batch.reserve([keys(gone, transactions=frozenset({"T1"}), sessions=frozenset({"S1"}))])
            await batch.withdraw([gone.id])
            assert set(batch.cases) == {stays.id}
            await batch.reserve([keys(stays, transactions=frozenset({"T2"}))])
            await batch.store([Change(payment=stays)])
            await batch.commit()
        claims = [a_claim(reference="gone"), a_claim(transaction_id="T1"), a_claim(session_id="S1")]
        stayed = a_claim(transaction_id="T2")
        assert dict(await books.ledger.find([*claims, stayed])) == {stayed.id: stays.id}

    async def test_who_holds_a_session_is_told_within_the_account(self, books: Books) -> None:
        found = await one_found(books, session_id="S-9")
        holder = await books.ledger.holder(SILENT.id, "S-9")
        assert holder == found
        assert await books.ledger.holder("shop-b", "S-9") is None
        assert await books.ledger.holder(SILENT.id, "S-none") is None

    # -- money that nobody announced -----------------------------------------------------------------------------------

    async def test_it_is_read_back_as_it_was_found(self, books: Books) -> None:
        found = await one_found(books, session_id="S-9", fee=Decimal("22.5075"))
        assert (found.status, found.holds, found.version) == (Status.COMPLETED, (Hold.UNEXPECTED,), 1)
        assert (found.reference, found.session_id, found.transaction_id) == ("theirs-2", "S-9", "T2")
        assert (found.fee, found.next_check_at) == (Decimal("22.5075"), None)
        case = await case_of(books.kept, found)
        assert [fact.row.name for fact in case.facts if fact.row] == ["march.csv"]
        assert [kind for _, kind, _ in await books.kept.events(found.id)] == ["payment.held"]
        assert [kind for kind, _, _ in await books.kept.entries(found.id)] == ["answer", "decision", "event"]

    async def test_the_same_file_again_changes_nothing(self, books: Books) -> None:
        lines = [a_line(row) for row in range(2, 30)]
        first = await find(books, *lines)
        assert all(one.new for one in first)
        cases = [await payment(books, one.payment_id) for one in first]
        again = await find(books, *lines)
        assert again == [replace(one, new=False) for one in first]
        assert [await payment(books, one.payment_id) for one in again] == cases
        assert {len(await books.kept.events(one.payment_id)) for one in again} == {1}

    @pytest.mark.parametrize("rows", [range(2, 40), range(39, 1, -1)], ids=["same order", "crossed order"])
    async def test_runs_at_once_make_one_payment_of_each_line(self, books: Books, rows: Sequence[int]) -> None:
        """Two exports of the same days, with and without our references, and each in its own order."""
        there = [a_line(row) for row in range(2, 40)]
        bare = [a_line(row, reference=None) for row in rows]
        async with asyncio.timeout(SECONDS):
            runs = await asyncio.gather(*(find(books, *lines) for lines in (there, bare, there, bare[::-1])))
        homes = [{one.row: one.payment_id for one in run} for run in runs]
        assert homes[0] == homes[1] == homes[2] == homes[3]
        assert len(set(homes[0].values())) == 38
        made = [one.row for run in runs for one in run if one.new]
        assert sorted(made) == list(range(2, 40))
        for payment_id in homes[0].values():
            assert (await payment(books, payment_id)).holds == (Hold.UNEXPECTED,)

    async def test_rows_of_known_payments_are_facts(self, books: Books) -> None:
        row = wanted()
        assert isinstance(await books.ledger.create(row, {}, LEASE), ReadyToOpen)
        said = [StatementEntry(payment_id=row.id, line=a_line(7, reference=row.reference))]
        for outcome in ("recorded", "known"):
            (recorded,) = await record_lines(books.ledger, RULES, MARCH, said)
            assert recorded.outcome == outcome
        after = await payment(books, row.id)
        assert (after.status, after.transaction_id, after.version) == (Status.COMPLETED, "T7", 1)
        assert recorded.payment == after
        (fact,) = (await case_of(books.kept, row)).facts
        assert fact.row is not None
        assert (fact.row.name, fact.row.row) == ("march.csv", 7)

    # -- adopted -------------------------------------------------------------------------------------------------------

    async def test_a_post_meets_what_is_unexpected(self, books: Books) -> None:
        found = await one_found(books)
        met = await books.ledger.create(wanted(reference=found.reference), {"a": 1}, LEASE)
        assert met == ReferenceTaken(payment=found, why="unexpected", equal=False)

    async def test_what_is_adopted_is_read_back_as_announced(self, books: Books) -> None:
        found = await one_found(books, reference=None)
        shop = wanted(
            reference="order-7831",
            order_ref="basket",
            amount=Decimal("1500.50"),
            description="Two saris",
            metadata={"কী": "মান"},
            return_url="https://shop.example/thanks",
            failure_url="https://shop.example/failed",
            cancel_url="https://shop.example/cancelled",
            session_id="S-9",
        )
        adopted = await adopt(books.ledger, RULES, found.id, shop, {"body": "b"})
        assert isinstance(adopted, Payment)
        assert adopted == await payment(books, found.id)
        for name in ("reference", "order_ref", "description", "metadata", "return_url", "failure_url", "cancel_url"):
            assert getattr(adopted, name) == getattr(shop, name)
        assert (adopted.id, adopted.merchant, adopted.account) == (found.id, found.merchant, found.account)
        assert (adopted.status, adopted.holds, adopted.session_id) == (Status.COMPLETED, (), "S-9")
        assert [kind for _, kind, _ in await books.kept.events(found.id)] == ["payment.held", "payment.completed"]
        old, new = (
            a_claim(account=SILENT.id, reference=found.reference),
            a_claim(account=SILENT.id, reference="order-7831"),
        )
        assert dict(await books.ledger.find([old, new])) == {new.id: found.id}

    async def test_a_reference_that_another_payment_has_adopts_nothing(self, books: Books) -> None:
        found = await one_found(books)
        other = wanted(reference="order-7831")
        assert isinstance(await books.ledger.create(other, {}, LEASE), ReadyToOpen)
        made = await adopt(books.ledger, RULES, found.id, wanted(reference="order-7831"), {})
        assert isinstance(made, NotAdopted)
        assert (made.code, made.payment_id) == ("reference_used", other.id)
        assert await payment(books, found.id) == found

    async def test_of_many_who_adopt_at_once_one_does(self, books: Books) -> None:
        found = await one_found(books)
        shops = [wanted(reference=found.reference, order_ref=f"o-{n}") for n in range(6)]
        async with asyncio.timeout(SECONDS):
            made = await asyncio.gather(*(adopt(books.ledger, RULES, found.id, shop, {}) for shop in shops))
        (won,) = [one for one in made if isinstance(one, Payment)]
        assert await payment(books, found.id) == won
        assert {one.code for one in made if isinstance(one, NotAdopted)} == {"reference_used"}
        assert len(await books.kept.events(found.id)) == 2

    async def test_a_line_and_an_adoption_that_want_the_same_keys_do_not_wait_crosswise(self, books: Books) -> None:
        """References are locked before sessions, in either case."""
        for number in range(10):
            ids = {"reference": f"order-{number}", "session_id": f"S-{number}"}
            found = await one_found(books, row=100 + number, reference=None)
            async with asyncio.timeout(SECONDS):
                line = a_line(200 + number, **ids)
                lines, adopted = await asyncio.gather(
                    find(books, line), adopt(books.ledger, RULES, found.id, wanted(**ids), {})
                )
            home = lines[0].payment_id
            assert (home == found.id) == isinstance(adopted, Payment)

    async def test_an_order_that_is_paid_already_holds_what_is_adopted(self, books: Books) -> None:
        paid = wanted(order_ref="basket")
        assert isinstance(await books.ledger.create(paid, {}, LEASE), ReadyToOpen)
        await record_lines(
            books.ledger, RULES, MARCH, [StatementEntry(payment_id=paid.id, line=a_line(9, reference=None))]
        )
        found = await one_found(books)
        adopted = await adopt(books.ledger, RULES, found.id, wanted(reference="theirs-2", order_ref="basket"), {})
        assert isinstance(adopted, Payment)
        assert (adopted.status, adopted.holds) == (Status.COMPLETED, (Hold.DUPLICATE_FOR_ORDER,))

    @pytest.mark.parametrize("amount", ["1500.49", "1500.51", "0.01"])
    async def test_another_amount_holds_what_is_adopted(self, books: Books, amount: str) -> None:
        found = await one_found(books)
        shop = wanted(reference=found.reference, amount=Decimal(amount))
        adopted = await adopt(books.ledger, RULES, found.id, shop, {})
        assert isinstance(adopted, Payment)
        assert (adopted.holds, adopted.amount) == ((Hold.AMOUNT_MISMATCH,), Decimal(amount))
        assert adopted == await payment(books, found.id)

    async def test_money_that_went_back_is_adopted_as_such_and_as_no_other_amount(self, books: Books) -> None:
        found = await one_found(books, status=Status.REFUNDED)
        for amount in (Decimal("1500.49"), Decimal("2000.00")):
            refused = await adopt(books.ledger, RULES, found.id, wanted(reference=found.reference, amount=amount), {})
            assert isinstance(refused, NotAdopted)
        adopted = await adopt(books.ledger, RULES, found.id, wanted(reference=found.reference), {})
        assert isinstance(adopted, Payment)
        assert (adopted.status, adopted.refunded_amount, adopted.holds) == (Status.REFUNDED, Decimal("1500.50"), ())

    async def test_a_payment_that_was_announced_is_not_adopted(self, books: Books) -> None:
        row = wanted()
        assert isinstance(await books.ledger.create(row, {}, LEASE), ReadyToOpen)
        await store(books.kept, Change(payment=replace(row, version=1, holds=(Hold.UNVERIFIABLE,))))
        assert isinstance(await adopt(books.ledger, RULES, row.id, wanted(reference=row.reference), {}), NotAdopted)
        assert isinstance(await adopt(books.ledger, RULES, new_id(), wanted(), {}), NotAdopted)

    async def test_plain_is_an_account_that_can_be_asked(self, books: Books) -> None:
        row = a_payment(account=PLAIN.id)
        assert isinstance(await books.ledger.create(row, {}, LEASE), ReadyToOpen)
        about = replace(MARCH, account=PLAIN.id)
        (recorded,) = await record_lines(books.ledger, RULES, about, [StatementEntry(payment_id=row.id, line=a_line())])
        assert recorded.outcome == "ask"
