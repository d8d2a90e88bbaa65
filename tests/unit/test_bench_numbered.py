"""The ids of the benchmark's payments: as random as real ids, and each names its payment to a reader."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from statistics import correlation

import pytest

from tests.bench.gateway import answer
from tests.bench.hits import hit
from tests.bench.numbered import (
    GATEWAYS,
    OLDEST,
    PER_WEEK,
    claim,
    claim_id,
    event_id,
    number_in,
    payment_id,
    reference,
    session_id,
    transaction_id,
)

MADE = (payment_id, reference, session_id, transaction_id, event_id, claim_id)
NUMBERS = range(10_000_001, 10_002_001)


@pytest.mark.parametrize("made", MADE)
def test_ids_of_payments_that_follow_each_other_are_in_no_order(made: object) -> None:
    """An index that grows at its end alone would hide the cost of a shop's own index."""
    assert callable(made)
    ids = [made(n) for n in NUMBERS]
    ranks = {name: rank for rank, name in enumerate(sorted(ids))}
    assert len(ranks) == len(NUMBERS)
    assert abs(correlation(list(NUMBERS), [ranks[name] for name in ids])) < 0.1


def test_no_two_kinds_of_ids_are_in_the_same_order() -> None:
    orders = [sorted(NUMBERS, key=made) for made in MADE]
    assert all(one != other for nth, one in enumerate(orders) for other in orders[:nth])


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("n", [1, 10_000_001, 5_009_999_999])
def test_the_number_of_an_id_is_read_back(made: object, n: int) -> None:
    assert callable(made)
    assert number_in(made(n)) == n


def test_payments_of_a_week_stand_together_and_new_ones_last() -> None:
    numbers = [OLDEST + week * PER_WEEK + n for week in range(40) for n in (0, PER_WEEK // 2, PER_WEEK - 1)]
    weeks = [payment_id(n)[4:6] for n in numbers]
    assert weeks == sorted(weeks)
    assert len(set(weeks)) == 40
    assert payment_id(1)[4:6] > weeks[-1]


def test_a_payment_has_an_id_of_payproofs_shape() -> None:
    assert re.fullmatch("pay_[0-9a-z]{26}", payment_id(10_000_001))
    assert re.fullmatch("[0-9a-f]{32}", claim_id(10_000_001))


@pytest.mark.parametrize("n", [30_000_000, 30_000_001, 30_000_002])
def test_the_claim_the_hit_and_the_gateways_answer_are_of_one_payment(n: int) -> None:
    told = claim(n, datetime(2026, 11, 21, tzinfo=UTC))
    gateway = GATEWAYS[n % 3]
    asked = told.session_id or told.transaction_id or session_id(n)
    found = answer(f"/{gateway}/{asked}")
    assert found is not None
    assert found[0] == gateway
    assert found[1] == n
    assert reference(n).encode() in found[2]
    assert told.reference in {reference(n), None}
    assert told.payment_id in {payment_id(n), None}
    assert {name for name in (told.session_id, told.transaction_id, payment_id(n)) if name} & {
        word.decode() for word in re.findall(rb"(?:pay_|ses-|txn-)\w{26}", hit("mixed", n, at=1_700_000_000))
    }
