"""An order is paid once: paid means paid and not refunded in full.

An attempt that was first seen paid while another had the order is held, and the winner's refund does not lift that;
only a person does. The order is free for attempts that are first seen paid after the refund.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest

from consumers.account import Account
from schemas.payments import Payment
from schemas.words import Hold, QuestionKind, Said, Source, Status
from tests.fakes.drive import AMOUNT, Drive, at_once, says
from tests.fakes.providers import CANDIDATES, EXECUTING, PLAIN, PROVING
from tests.unit.test_execute import EXECUTE, kinds, onepaybd
from tests.unit.test_lifecycle import Bench

COMPLETED, FAILED, PENDING, REFUNDED = Status.COMPLETED, Status.FAILED, Status.PENDING, Status.REFUNDED
ORDER = "basket-9"


class Attempts(Bench):
    """Attempts of one order, each paid by a transaction of its own."""

    def attempt(self, account: Account | None = None) -> str:
        return at_once(self.drive.open(account or self.account, order_ref=ORDER))

    def answers(self, payment_id: str, status: Status, asked: float) -> Payment:
        return self.says(payment_id, status, asked, transaction_id=f"T-{payment_id[-3:]}")

    def look_again(self, payment_id: str) -> Payment:
        """Fold it once more, without new knowledge."""
        at_once(self.drive.hit(payment_id, source=Source.OPERATOR))
        return self.drive.payment(payment_id)

    def unheld(self, *payments: str) -> list[str]:
        found = [self.drive.payment(one) for one in payments]
        return [one.id for one in found if one.status is COMPLETED and one.hold is None]


@pytest.fixture
def bench() -> Attempts:
    return Attempts()


def test_paid_again_after_a_full_refund_is_paid(bench: Attempts) -> None:
    first, second = bench.attempt(), bench.attempt()
    bench.answers(first, COMPLETED, 10)
    bench.answers(first, REFUNDED, 20)
    after = bench.answers(second, COMPLETED, 30)
    assert (after.status, after.hold) == (COMPLETED, None)
    assert bench.told(second) == ["completed"]
    assert bench.look_again(first).hold is None, "it had the order, and let it go"


def test_a_partial_refund_frees_nothing(bench: Attempts) -> None:
    first, second = bench.attempt(), bench.attempt()
    bench.answers(first, COMPLETED, 10)
    bench.says(first, COMPLETED, 20, transaction_id=f"T-{first[-3:]}", refunded_amount=AMOUNT - 1)
    assert bench.answers(second, COMPLETED, 30).hold is Hold.DUPLICATE_FOR_ORDER


def test_an_attempt_first_seen_refunded_takes_no_order(bench: Attempts) -> None:
    first, second = bench.attempt(), bench.attempt()
    assert bench.answers(first, REFUNDED, 10).hold is None
    assert bench.answers(second, COMPLETED, 20).hold is None


def test_an_attempt_first_seen_refunded_is_no_duplicate(bench: Attempts) -> None:
    first, second = bench.attempt(), bench.attempt()
    bench.answers(first, COMPLETED, 10)
    after = bench.answers(second, REFUNDED, 20)
    assert (after.status, after.hold) == (REFUNDED, None)


def test_a_duplicate_is_not_lifted_by_the_refund_of_the_other(bench: Attempts) -> None:
    first, second = bench.attempt(), bench.attempt()
    bench.answers(first, COMPLETED, 10)
    bench.answers(second, COMPLETED, 20)
    bench.answers(first, REFUNDED, 30)
    assert bench.look_again(second).hold is Hold.DUPLICATE_FOR_ORDER
    assert bench.answers(second, COMPLETED, 40).hold is Hold.DUPLICATE_FOR_ORDER
    assert bench.told(second) == ["held"]
    assert bench.resolve(second, COMPLETED).hold is None
    assert bench.look_again(second).hold is None


def test_a_duplicate_that_is_refunded_itself_is_lifted_by_a_person_too(bench: Attempts) -> None:
    first, second = bench.attempt(), bench.attempt()
    bench.answers(first, COMPLETED, 10)
    bench.answers(second, COMPLETED, 20)
    after = bench.answers(second, REFUNDED, 30)
    assert (after.status, after.hold) == (REFUNDED, Hold.DUPLICATE_FOR_ORDER)
    assert bench.resolve(second, REFUNDED).hold is None
    assert bench.drive.payment(first).hold is None


def test_a_paid_duplicate_keeps_the_order_when_the_first_is_refunded(bench: Attempts) -> None:
    """Two were paid and the first was refunded: a third paid attempt would be the second paid one."""
    first, second, third, fourth = (bench.attempt() for _ in range(4))
    bench.answers(first, COMPLETED, 10)
    bench.answers(second, COMPLETED, 20)
    bench.answers(first, REFUNDED, 30)
    assert bench.answers(third, COMPLETED, 40).hold is Hold.DUPLICATE_FOR_ORDER
    bench.resolve(second, COMPLETED)
    assert bench.unheld(first, second, third) == [second]
    bench.answers(second, REFUNDED, 50)
    bench.answers(third, REFUNDED, 60)
    assert bench.answers(fourth, COMPLETED, 70).hold is None


def test_a_person_who_says_refunded_frees_the_order(bench: Attempts) -> None:
    first, second = bench.attempt(), bench.attempt()
    bench.answers(first, COMPLETED, 10)
    bench.answers(first, FAILED, 20)
    bench.resolve(first, REFUNDED)
    assert bench.answers(second, COMPLETED, 30).hold is None


def test_a_refund_and_the_next_payment_in_one_transaction(bench: Attempts) -> None:
    first, second = bench.attempt(), bench.attempt()
    bench.answers(first, COMPLETED, 10)
    bench.record(
        bench.reply(first, REFUNDED, 20, transaction_id="T-001"),
        bench.reply(second, COMPLETED, 20, transaction_id="T-2"),
    )
    assert bench.unheld(first, second) == [second]


def test_the_order_is_one_at_all_gateways(bench: Attempts) -> None:
    accounts = (PLAIN, CANDIDATES, PROVING)
    first, second, third = (bench.attempt(account) for account in accounts)
    bench.answers(first, COMPLETED, 10)
    assert bench.says(second, COMPLETED, 20, by="T-second").hold is Hold.DUPLICATE_FOR_ORDER
    bench.answers(first, REFUNDED, 30)
    bench.says(second, REFUNDED, 40, by="T-second")
    assert bench.answers(third, COMPLETED, 50).hold is None


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_any_order_at_most_one_attempt_is_paid_and_unheld(bench: Attempts, order: tuple[int, ...]) -> None:
    first, second = bench.attempt(), bench.attempt()
    facts = [(first, COMPLETED, 10), (first, REFUNDED, 20), (second, COMPLETED, 30), (second, COMPLETED, 40)]
    for place in order:
        bench.answers(*facts[place])
        assert len(bench.unheld(first, second)) <= 1
    assert bench.drive.payment(first).status is REFUNDED
    assert bench.drive.payment(second).status is COMPLETED


def test_money_that_does_not_fit_takes_no_order(bench: Attempts) -> None:
    """Nor does it prevent an order from being freed."""
    first, second, third = (bench.attempt() for _ in range(3))
    bench.answers(first, COMPLETED, 10)
    assert bench.says(second, COMPLETED, 20, amount=Decimal("1.00"), transaction_id="T2").hold is Hold.AMOUNT_MISMATCH
    bench.answers(first, REFUNDED, 30)
    assert bench.answers(third, COMPLETED, 40).hold is None


# -- Execute -----------------------------------------------------------------------------------------------------------


async def test_after_a_full_refund_the_next_attempt_executes() -> None:
    drive = Drive(says(COMPLETED))
    first = await drive.open(PLAIN, order_ref=ORDER)
    second = await drive.open(EXECUTING, order_ref=ORDER)
    await drive.hit(first, source=Source.OPERATOR)
    drive.gateway = says(REFUNDED)
    await drive.hit(first, source=Source.OPERATOR)
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.hit(second, Said.SUCCESS)
    await drive.wait(3)
    payment = drive.payment(second)
    assert (payment.status, payment.hold) == (COMPLETED, None)


async def test_while_a_duplicate_is_paid_nothing_is_executed() -> None:
    drive = Drive(says(COMPLETED))
    first, held = [await drive.open(PLAIN, order_ref=ORDER) for _ in range(2)]
    third = await drive.open(EXECUTING, order_ref=ORDER)
    for one in (first, held):
        await drive.hit(one, source=Source.OPERATOR)
    drive.gateway = says(REFUNDED)
    await drive.hit(first, source=Source.OPERATOR)
    assert drive.payment(held).hold is Hold.DUPLICATE_FOR_ORDER
    drive.gateway = onepaybd("completed", COMPLETED)
    await drive.hit(third, Said.SUCCESS)
    await drive.wait(60)
    assert EXECUTE not in kinds(drive, third)


async def test_a_wish_and_a_paid_payment_that_is_looked_at_again_are_asked_in_one_batch() -> None:
    """The paid payment's transaction and order are its own already, and stay so."""
    drive = Drive(says(COMPLETED))
    paid = await drive.open(PLAIN, order_ref="basket-8")
    wishing = await drive.open(EXECUTING, order_ref=ORDER)
    await drive.hit(paid, source=Source.OPERATOR)
    questions = await drive.take(drive.claim(paid, source=Source.OPERATOR), drive.claim(wishing, Said.SUCCESS))
    assert {one.expected.payment_id: one.question.kind for one in questions} == {
        paid: QuestionKind.STATUS,
        wishing: EXECUTE,
    }


async def test_an_answer_that_another_gateways_attempt_is_paid_stops_the_next_execute() -> None:
    """Both are on their way at once: the first write decides, and money that came counts all the same."""
    drive = Drive(says(COMPLETED))
    first = await drive.open(PLAIN, order_ref=ORDER)
    second = await drive.open(EXECUTING, order_ref=ORDER)
    paying = await drive.take(drive.claim(first, source=Source.OPERATOR))
    executing = await drive.take(drive.claim(second, Said.SUCCESS))
    assert [one.question.kind for one in executing] == [QuestionKind.EXECUTE], "the other's money is not known yet"
    await drive.answer(paying)
    assert drive.payment(first).hold is None
    drive.gateway = onepaybd("none", None)
    await drive.answer(executing)
    await drive.wait(300)
    assert kinds(drive, second).count(EXECUTE) == 1, "in doubt, and not executed again beside a paid attempt"
    drive.gateway = says(COMPLETED)
    await drive.hit(second, source=Source.OPERATOR)
    payment = drive.payment(second)
    assert (payment.status, payment.hold) == (COMPLETED, Hold.DUPLICATE_FOR_ORDER)
