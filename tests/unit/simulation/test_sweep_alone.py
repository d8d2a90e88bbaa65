"""Every return and every webhook lost: payments that can be asked about by our own ids end by the sweep alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.words import Status
from tests.unit.simulation.waiting import row, simulate

FEW = 20
HOUR = 3600.0


@pytest.mark.parametrize("minute", [1, 8, 14])
@pytest.mark.parametrize("wanted", [Status.COMPLETED, Status.FAILED])
def test_what_happens_while_the_checkout_lives_is_known_within_twelve_minutes(minute: int, wanted: Status) -> None:
    ended = simulate(minute, wanted, payments=FEW)
    assert {(one.account, one.status) for one in ended} == {
        (name, wanted) for name in ("ipay", "onepaybd", "payparse", "shadhinpay")
    }
    assert max(row(ended)) < 12 * 60


@pytest.mark.parametrize("minute", [25, 3 * 60])
def test_what_is_paid_after_the_checkout_ended_is_known_within_hours(minute: int) -> None:
    """iPay is closed by then, and looked at an hour and a day after; the others are still asked."""
    ended = simulate(minute, Status.COMPLETED, payments=FEW)
    assert {one.status for one in ended} == {Status.COMPLETED}
    assert max(row(ended)) < 25 * HOUR


def test_nothing_stays_open_where_nobody_ever_pays() -> None:
    """iPay's pending proves that the payment was not paid; the others are asked for a week and handed to a person."""
    ended = simulate(0, Status.PENDING, payments=FEW, lifetime=timedelta(minutes=30))
    assert {one.status for one in ended if one.account == "ipay"} == {Status.EXPIRED}
    assert {one.status for one in ended if one.account != "ipay"} == {Status.PENDING}
    assert {one.hold for one in ended if one.account != "ipay"} == {"unresolved"}
