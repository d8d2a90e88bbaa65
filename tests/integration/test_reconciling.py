"""How a statement's lines are judged, what follows from them, and what must not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest

from consumers.commands.resolve import ResolutionRequest, resolve_payment
from consumers.ports.unavailable import BusUnavailable
from consumers.reconciliation.verdicts import Terms
from schemas.callbacks import Claim
from schemas.statements import Line, LineOutcome, Unread
from schemas.words import Hold, Source, Status
from tests.fakes.providers import CANDIDATES, SILENT
from tests.integration.statements import AMOUNT, MONTH, NOON, Books, line, refund
from worker.postgres.database import Database
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.statements.runs import read_run, read_runs
from worker.postgres.statements.young import read_young
from worker.reconciliation.run import AnotherRun

O = LineOutcome  # noqa: E741
RULE = Terms(fee_percent=Decimal("1.5"), grace=0)


class BreaksDown(PostgresBus):
    """A bus that takes some of the claims and then fails."""

    async def publish(self, claims: Sequence[Claim], *, low_priority: bool = False) -> None:
        await super().publish(claims[:3], low_priority=low_priority)
        raise BusUnavailable("gone")


@pytest.fixture
def books(database: Database) -> Books:
    return Books(database)


async def test_a_line_is_found_by_its_transaction_then_its_session_then_its_reference(books: Books) -> None:
    for name in ("a", "b", "c"):
        await books.paid(name)
    lines = [line(2, transaction_id="t-a"), line(3, session_id="s-b"), line(4, reference="c")]
    assert await books.found(lines) == [(2, "matched", "none"), (3, "matched", "none"), (4, "matched", "none")]


async def test_a_replaced_session_still_names_its_payment(books: Books) -> None:
    payment = await books.paid("a")
    await books.database.execute("INSERT INTO sessions VALUES ('shop-a', 's-old', $1)", payment.id)
    assert await books.found([line(2, session_id="s-old")]) == [(2, "matched", "none")]


async def test_another_accounts_payment_is_unknown(books: Books, database: Database) -> None:
    await Books(database, name="shop-b").paid("a")
    assert await books.found([line(2, reference="a", transaction_id="t-a")]) == [(2, "missing_here", "held")]


async def test_money_that_is_unpaid_here_has_the_gateway_asked_and_says_why(books: Books) -> None:
    payment = await books.opened("a")
    assert await books.found([line(2, reference="a", transaction_id="t-a")]) == [(2, "missing_here", "asked")]
    [claim] = await books.queued()
    assert (claim.payment_id, claim.source, claim.said) == (payment.id, Source.OPERATOR, None)
    assert claim.note == "row 2 of the statement may.csv says completed, 1500.50"


async def test_the_transaction_goes_along_where_the_gateway_is_asked_by_one(database: Database) -> None:
    books = Books(database, CANDIDATES.provider.capabilities)
    await books.opened("a", session_id=None)
    await books.opened("b", session_id=None)
    lines = [line(2, reference="a", transaction_id="t-a"), line(3, reference="b")]
    assert await books.found(lines) == [(2, "missing_here", "asked"), (3, "missing_here", "reported")]
    assert await books.asked({"a": {"status": Status.COMPLETED}}) == 1


async def test_where_nobody_can_be_asked_the_line_itself_completes_the_payment(database: Database) -> None:
    books = Books(database, SILENT.provider.capabilities)
    payment = await books.opened("a")
    assert await books.found([line(2, reference="a", transaction_id="t-a")]) == [(2, "missing_here", "recorded")]
    after = await books.payment(payment.id)
    assert (after.status, after.transaction_id, after.completed_at) == (
        Status.COMPLETED,
        "t-a",
        NOON + timedelta(minutes=2),
    )
    assert await books.found([line(2, reference="a", transaction_id="t-a")]) == [(2, "matched", "none")]


async def test_money_of_no_payment_is_held_as_unexpected_and_stays_missing_here(books: Books) -> None:
    lines = [line(2, reference="nobodys", transaction_id="t-1"), line(3, transaction_id="t-2")]
    run = await books.run(lines)
    rows = await books.rows(run)
    assert [(row.outcome, row.next.value) for row in rows] == [(O.MISSING_HERE, "held")] * 2
    held = [await books.payment(row.payment_id or "") for row in rows]
    assert [one.holds for one in held] == [(Hold.UNEXPECTED,)] * 2
    before = await books.kept()
    assert await books.found(lines) == [(2, "missing_here", "reported"), (3, "missing_here", "reported")]
    assert await books.kept() == before


async def test_a_refund_of_money_that_was_unknown_until_this_statement_is_recorded_with_it(books: Books) -> None:
    lines = [
        line(2, transaction_id="t-1"),
        refund(3, "500.00", transaction_id="t-1"),
        refund(4, "1.00", transaction_id="t-1"),
    ]
    run = await books.run(lines)
    [paid, *returned] = await books.rows(run)
    assert (await books.payment(paid.payment_id or "")).refunded_amount == Decimal("501.00")
    assert {row.payment_id for row in returned} == {paid.payment_id}
    before = await books.kept()
    await books.run(lines)
    assert await books.kept() == before


async def test_an_attempt_that_nobody_paid_is_no_money(books: Books) -> None:
    await books.paid("a")
    lines = [
        line(2, reference="nobodys", status=Status.FAILED),
        line(3, reference="a", transaction_id="t-first", status=Status.FAILED),
        line(4, reference="a", transaction_id="t-a"),
    ]
    assert [outcome for _, outcome, _ in await books.found(lines)] == ["matched"] * 3


async def test_amounts_are_compared_by_value(books: Books) -> None:
    await books.paid("a")
    await books.paid("b")
    lines = [line(2, reference="a", amount=Decimal("1500.5")), line(3, reference="b", amount=Decimal("1500.51"))]
    assert await books.found(lines) == [(2, "matched", "none"), (3, "amount_differs", "asked")]
    assert [claim.note for claim in await books.queued()] == ["row 3 of the statement may.csv says completed, 1500.51"]


async def test_an_amount_that_a_person_accepted_is_the_one_compared(books: Books) -> None:
    payment = await books.opened("a")
    await books.answered(payment, Status.COMPLETED, amount=Decimal("1500.00"), transaction_id="t-a")
    wish = ResolutionRequest(status=Status.COMPLETED, actor="rahima", reason="half a taka is no matter")
    await resolve_payment(books.ledger, books.rules, payment.id, wish)
    assert await books.found([line(2, reference="a", amount=Decimal("1500.00"))]) == [(2, "matched", "none")]
    asked = await books.found([line(2, reference="a")], sha256="b" * 64)
    assert asked == [(2, "amount_differs", "asked")]


async def test_another_end_has_the_gateway_asked_unless_its_answer_is_newer_than_the_statement(books: Books) -> None:
    await books.paid("a")
    await books.answered(await books.opened("b"), Status.COMPLETED, NOON + timedelta(days=1))
    await books.answered(await books.opened("c"), Status.FAILED)
    lines = [line(10 + n, reference=name, status=Status.FAILED) for n, name in enumerate("abc")]
    assert await books.found(lines) == [
        (10, "status_differs", "asked"),
        (11, "matched", "none"),
        (12, "matched", "none"),
    ]


async def test_pending_contradicts_nothing(books: Books) -> None:
    await books.paid("a")
    await books.opened("b")
    lines = [line(2 + n, reference=name, status=Status.PENDING) for n, name in enumerate("ab")]
    assert [outcome for _, outcome, _ in await books.found(lines)] == ["matched", "matched"]


async def test_ids_of_two_payments_have_both_asked_about(books: Books) -> None:
    first, second = await books.paid("a"), await books.paid("b")
    run = await books.run([line(2, transaction_id="t-a", reference="b"), line(3, transaction_id="t-b")])
    [row, other] = await books.rows(run)
    assert (row.outcome, other.outcome) == (O.STATUS_DIFFERS, O.MATCHED)
    assert row.why == f"its ids belong to two payments here, {first.id} and {second.id}"
    assert {claim.payment_id for claim in await books.queued()} == {first.id, second.id}


async def test_a_second_transaction_of_a_paid_payment_is_missing_here(books: Books) -> None:
    await books.paid("a")
    lines = [line(2, transaction_id="t-a", reference="a"), line(3, transaction_id="t-again", reference="a")]
    assert await books.found(lines) == [(2, "matched", "none"), (3, "missing_here", "asked")]


async def test_a_session_that_stands_in_for_a_transaction_is_no_second_one(books: Books) -> None:
    await books.paid("a", transaction_id=None)
    assert await books.found([line(2, transaction_id="bank-7", reference="a")]) == [(2, "matched", "none")]


async def test_the_fee_is_what_the_rule_says_rounded_half_up_else_what_was_recorded(books: Books) -> None:
    for name in "abcd":
        await books.paid(name)
    fees = {"a": "22.51", "b": "22.50", "c": "22.5100", "d": None}  # 1.5 % of 1500.50 is 22.5075
    lines = [line(2 + n, reference=name, fee=fee and Decimal(fee)) for n, (name, fee) in enumerate(fees.items())]
    expected = ["matched", "fee_differs", "matched", "matched"]
    run = await books.run(lines, terms=RULE)
    rows = await books.rows(run)
    assert [row.outcome.value for row in rows] == expected
    assert rows[1].why == "a fee of 22.50 there; it should be 22.51"
    assert [outcome for _, outcome, _ in await books.found(lines)] == expected
    fixed = Terms(fee_percent=Decimal("1.5"), fee_fixed=Decimal(5), grace=0)
    assert (await books.run(lines, terms=fixed)).counts[O.FEE_DIFFERS] == 3


async def test_a_line_repeats_an_earlier_one_by_its_transaction_or_where_it_has_none_its_reference(
    books: Books,
) -> None:
    await books.paid("a")
    await books.paid("b")
    lines = [
        line(2, transaction_id="t-a"),
        line(3, transaction_id="t-a", amount=Decimal(7)),
        line(4, reference="b", status=Status.FAILED),
        line(5, reference="b"),
        line(6, reference="b"),
    ]
    rows = await books.rows(await books.run(lines))
    assert [(row.row, row.outcome.value, row.why) for row in rows] == [
        (2, "matched", None),
        (3, "duplicate", "the same transaction as row 2, with another amount"),
        (4, "duplicate", "an attempt that row 5 says was paid"),
        (5, "matched", None),
        (6, "duplicate", "the same as row 5"),
    ]


async def test_refund_lines_are_summed_and_asked_about_once_where_more_went_back_there(books: Books) -> None:
    first, second = await books.paid("a"), await books.paid("b")
    await books.answered(second, Status.COMPLETED, refunded_amount=Decimal("30.00"), transaction_id="t-b")
    lines = [
        refund(2, "10.00", transaction_id="t-a"),
        refund(3, "20.00", transaction_id="t-a"),
        refund(4, "10.00", transaction_id="t-b"),
        refund(5, "20.00", transaction_id="t-b"),
        refund(6, "1.00", transaction_id="nobodys"),
    ]
    rows = await books.rows(await books.run(lines))
    assert [(row.outcome.value, row.next.value) for row in rows if row.row is not None] == [
        ("status_differs", "asked"),
        ("status_differs", "asked"),
        ("matched", "none"),
        ("matched", "none"),
        ("missing_here", "reported"),
    ]
    assert rows[0].why == "30.00 went back there by this statement, and 0.00 by what is known here"
    assert [claim.payment_id for claim in await books.queued()] == [first.id]


async def test_a_payment_that_no_line_names_is_missing_there_but_for_the_grace(books: Books) -> None:
    await books.paid("a", NOON)
    await books.paid("b", NOON + timedelta(hours=1))
    await books.paid("c", NOON + timedelta(days=9, hours=12))
    await books.paid("before", NOON - timedelta(days=1))
    await books.opened("unpaid")
    lines = [line(2, reference="a", at=NOON), line(3, reference="elsewhere", at=NOON + timedelta(days=10))]
    run = await books.run(lines, terms=Terms())
    [missing] = await books.rows(run, O.MISSING_THERE)
    assert (missing.row, missing.reference, missing.here, missing.next.value) == (None, "b", AMOUNT, "reported")
    whole = await books.run(lines, since=MONTH[0], until=MONTH[1])
    assert [row.reference for row in await books.rows(whole, O.MISSING_THERE)] == ["before", "b", "c"]


async def test_payments_within_the_grace_are_counted_apart(books: Books) -> None:
    await books.paid("a", NOON)
    await books.paid("missing", NOON + timedelta(hours=1))
    for reference, hours in (("young", 216 + 12), ("younger", 216 + 20), ("after", 241)):
        await books.paid(reference, NOON + timedelta(hours=hours))
    named = await books.paid("named", NOON + timedelta(hours=216 + 13))
    lines = [
        line(2, reference="a", at=NOON),
        line(3, reference="named", at=NOON + timedelta(hours=216 + 13)),
        line(4, reference="elsewhere", at=NOON + timedelta(days=10)),
    ]
    run = await books.run(lines, terms=Terms())
    assert named.id in [row.payment_id for row in await books.rows(run, O.MATCHED)]
    young = await read_young(books.database, run, Terms().grace)
    assert (young.rows, young.here) == (2, 2 * AMOUNT)
    assert (await read_young(books.database, run, 0)).rows == 0


async def test_neither_a_refund_nor_an_attempt_shows_that_the_money_came(books: Books) -> None:
    await books.paid("a")
    await books.paid("b")
    lines = [
        line(2, reference="a", transaction_id="t-first", status=Status.FAILED),
        refund(3, "1.00", transaction_id="t-b"),
    ]
    run = await books.run(lines, since=MONTH[0], until=MONTH[1])
    assert [row.reference for row in await books.rows(run, O.MISSING_THERE)] == ["a", "b"]


async def test_a_statement_without_times_misses_nothing(books: Books) -> None:
    await books.paid("a")
    run = await books.run([line(2, reference="nobodys", at=None)])
    assert (run.since, run.until, O.MISSING_THERE in run.counts) == (None, None, False)


async def test_what_cannot_be_read_is_kept_with_its_reason(books: Books) -> None:
    [row] = await books.rows(await books.run([Unread(row=7, why="Amount is no money", text="x\0,\ud800")]))
    assert (row.row, row.outcome, row.why) == (7, O.UNREADABLE, "Amount is no money: x\ufffd,?")


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
async def test_a_line_whose_ids_are_no_text_is_unreadable_and_its_neighbours_are_not(books: Books, text: str) -> None:
    await books.paid("a")
    rows = await books.rows(await books.run([line(2, reference="a"), line(3, reference=text)]))
    assert [(row.outcome.value, row.why) for row in rows] == [
        ("matched", None),
        ("unreadable", "reference has no text that can be kept"),
    ]


async def test_the_same_file_twice_changes_nothing_and_asks_nobody_again(books: Books) -> None:
    await books.opened("a")
    await books.paid("b")
    lines = [line(2, reference="a"), line(3, reference="b", amount=Decimal(7)), line(4, reference="new")]
    assert [step for _, _, step in await books.found(lines)] == ["asked", "asked", "held"]
    before = await books.kept()
    assert [step for _, _, step in await books.found(lines)] == ["asked", "asked", "reported"]
    assert await books.kept() == before
    answers = {"a": {"status": Status.PENDING}, "b": {"status": Status.COMPLETED}}
    assert await books.asked(answers) == 2
    before = await books.kept()
    assert [step for _, _, step in await books.found(lines)] == ["reported"] * 3
    assert await books.kept() == before


async def test_overlapping_exports_ask_about_a_line_once_wherever_it_stands(books: Books) -> None:
    await books.opened("a")
    await books.opened("b")
    at = NOON + timedelta(hours=2)
    await books.run([line(2, reference="a", at=at)], sha256="1" * 64)
    await books.run([line(2, reference="b"), line(3, reference="a", at=at)], sha256="2" * 64)
    assert sorted(claim.note or "" for claim in await books.queued()) == [
        "row 2 of the statement may.csv says completed, 1500.50",
        "row 2 of the statement may.csv says completed, 1500.50",
    ]


async def test_a_line_that_says_something_else_now_is_asked_about_again(books: Books) -> None:
    await books.opened("a")
    await books.run([line(2, reference="a", status=Status.FAILED)])
    await books.run([line(2, reference="a", status=Status.COMPLETED)])
    assert len(await books.queued()) == 2


async def test_a_dry_run_shows_the_same_and_changes_nothing(books: Books) -> None:
    await books.opened("a")
    await books.paid("b")
    lines = [line(2, reference="a"), line(3, reference="new"), line(4, reference="b", amount=Decimal(7))]
    before = await books.kept()
    first = await books.run(lines, dry_run=True)
    assert await books.kept() == before
    dry = await books.rows(first)
    run = await books.run(lines)
    assert [(row.outcome, row.next) for row in await books.rows(run)] == [(row.outcome, row.next) for row in dry]
    assert [one.id for one in await read_runs(books.database)] == [run.id]
    assert (run.seen_before, (await books.run(lines)).seen_before) == (False, True)


async def test_a_statement_that_fits_nothing_here_sets_nothing_going(books: Books) -> None:
    lines = [line(2 + n, reference=f"other-{n}") for n in range(150)]
    before = await books.kept()
    run = await books.run(lines)
    assert run.stopped is not None
    assert run.stopped.startswith("150 of 150 lines differ")
    assert await books.kept() == before
    assert {row.next.value for row in await books.rows(run)} == {"reported"}
    assert (await books.run(lines, however_many=True)).stopped is None
    assert len(await books.database.fetch("SELECT FROM payments WHERE hold = 'unexpected'")) == 150


async def test_an_error_in_the_middle_of_the_file_leaves_nothing(books: Books) -> None:
    await books.opened("a")

    def broken() -> Iterator[Line]:
        yield line(2, reference="a")
        for row in range(3, 12_000):
            yield line(row, reference=f"x{row}")
        raise ValueError("row 12000: the file ends here")

    before = await books.kept()
    with pytest.raises(ValueError, match="row 12000"):
        await books.run(broken())
    assert (await books.kept(), await read_runs(books.database)) == (before, [])
    assert await books.found([line(2, reference="a")]) == [(2, "missing_here", "asked")]


async def test_a_second_run_of_an_account_is_refused_while_one_is_at_work(books: Books, database: Database) -> None:
    go, begun = asyncio.Event(), asyncio.Event()

    async def slowly() -> object:
        begun.set()
        await go.wait()
        yield line(2, reference="a")

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        first = group.create_task(books.run(slowly()))  # type: ignore[arg-type]
        await begun.wait()
        with pytest.raises(AnotherRun, match="another statement of shop-a is being reconciled"):
            await books.run([line(2, reference="a")])
        assert (await Books(database, name="shop-b").run([line(2, reference="a")])).finished_at is not None
        go.set()
    assert first.result().finished_at is not None


async def test_a_run_ended_while_it_reads_leaves_nothing_and_lets_the_next_one_in(books: Books) -> None:
    begun = asyncio.Event()

    async def forever() -> object:
        for row in range(2, 20_000):
            yield line(row, reference=f"x{row}")
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(books.run(forever()))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await read_runs(books.database) == []
    assert (await books.run([line(2, reference="a")])).finished_at is not None


async def test_a_run_that_ends_half_way_is_seen_and_the_same_file_run_again_does_the_rest(books: Books) -> None:
    for number in range(8):
        await books.opened(f"a{number}")
    lines = [line(2 + number, reference=f"a{number}") for number in range(8)]
    bus, books.bus = books.bus, BreaksDown(books.database)
    with pytest.raises(BusUnavailable):
        await books.run(lines)
    books.bus = bus
    [unfinished] = await read_runs(books.database)
    assert (unfinished.finished_at, unfinished.counts[O.MISSING_HERE]) == (None, 8)
    run = await books.run(lines)
    assert [one.id for one in await read_runs(books.database)] == [run.id]
    claims = await books.queued()
    assert len({claim.payment_id for claim in claims}) == len(claims) == 8


async def test_a_process_killed_before_anything_followed_is_made_good_by_the_next(books: Books, dsn: str) -> None:
    payment = await books.opened("a")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.dying", dsn), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    async with asyncio.timeout(60):
        assert await child.stdout.readline() == b"judged\n"
        child.kill()
        await child.wait()
    assert [run.finished_at for run in await read_runs(books.database)] == [None]
    assert await books.queued() == []
    async with asyncio.timeout(30):  # until the server has noticed the lost client
        while True:
            with suppress(AnotherRun):
                assert (await books.run([line(2, reference="a")])).finished_at is not None
                break
            await asyncio.sleep(0.05)
    assert [claim.payment_id for claim in await books.queued()] == [payment.id]


async def test_what_a_run_comes_to(books: Books) -> None:
    await books.paid("a")
    run = await books.run([line(2, reference="a"), Unread(row=3, why="no", text="")])
    assert run.sums[O.MATCHED].amount == AMOUNT
    assert await read_run(books.database, "rec_none") is None
