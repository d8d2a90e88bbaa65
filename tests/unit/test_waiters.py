"""What a waiting browser learns of its payment: from this process the whole of it, from others that it changed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from schemas.payments import Payment
from schemas.words import Status
from worker.ingress.waiters import PaymentWaiters

NOON = datetime(2026, 5, 17, 6, tzinfo=UTC)


def payment(version: int, status: Status, payment_id: str = "pay_1") -> Payment:
    return Payment(
        id=payment_id,
        merchant="shop",
        account="shop-a",
        provider="fake",
        reference="order-1",
        amount=Decimal("10.00"),
        currency="BDT",
        version=version,
        status=status,
        opened_at=NOON,
        expires_at=NOON,
    )


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
async def test_of_two_commits_the_newer_is_told_however_they_are_heard(order: tuple[int, int]) -> None:
    waiters, status = PaymentWaiters(), {2: Status.COMPLETED, 3: Status.REFUNDED}
    with waiters.of("pay_1") as changing:
        for version in order:
            waiters.tell(payment(version, status[version]))
        told = await changing.change()
    assert told is not None
    assert (told.version, told.status) == (3, Status.REFUNDED)


async def test_all_who_wait_are_told_and_nobody_else() -> None:
    waiters = PaymentWaiters()
    with waiters.of("pay_1") as first, waiters.of("pay_1") as second, waiters.of("pay_2") as other:
        waiters.tell(payment(2, Status.FAILED))
        told = [await first.change(), await second.change()]
        assert [one and one.status for one in told] == [Status.FAILED] * 2
        assert not other.changed.is_set()


async def test_a_notice_tells_nothing_but_that_it_changed() -> None:
    waiters = PaymentWaiters()
    with waiters.of("pay_1") as changing:
        waiters.notify(["pay_1"])
        assert await changing.change() is None
        waiters.notify_all()
        assert await changing.change() is None


async def test_a_commit_is_told_once() -> None:
    """Later changes may come from another process, so the waiter has to look."""
    waiters = PaymentWaiters()
    with waiters.of("pay_1") as changing:
        waiters.tell(payment(2, Status.PENDING))
        waiters.notify(["pay_1"])
        assert await changing.change() is not None
        assert not changing.changed.is_set()
        waiters.notify(["pay_1"])
        assert await changing.change() is None


async def test_what_nobody_waits_for_is_not_kept() -> None:
    waiters = PaymentWaiters()
    waiters.tell(payment(2, Status.COMPLETED))
    with waiters.of("pay_1") as changing:
        assert not changing.changed.is_set()
        assert changing.told is None
