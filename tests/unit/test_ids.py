"""A payment's id cannot be guessed, and ids of one week sort together."""

from __future__ import annotations

import re
import time
from functools import partial

from schemas.shown import PAYMENT_ID
from worker.runtime.ids import new_payment_id

WEEK_SECONDS = 7 * 86_400


def test_ids_of_a_later_week_come_after_those_of_an_earlier_one() -> None:
    made = [new_payment_id(partial(float, week * WEEK_SECONDS + 1)) for week in range(2950, 3050) for _ in range(3)]
    assert [name[:6] for name in made] == sorted(name[:6] for name in made)
    assert len({name[:6] for name in made}) == 100
    assert all(re.fullmatch(PAYMENT_ID, name) for name in made)


def test_an_id_of_any_time_has_its_shape() -> None:
    for moment in (0.0, time.time(), 1296 * WEEK_SECONDS - 1, 1296 * WEEK_SECONDS, 4e9):
        assert re.fullmatch(PAYMENT_ID, new_payment_id(partial(float, moment)))


def test_of_an_id_all_but_the_week_is_random() -> None:
    """At least 120 random bits: 24 characters out of 36 are 124 bits."""
    made = {new_payment_id()[6:] for _ in range(2_000)}
    assert len(made) == 2_000
    assert {len(signs) for signs in made} == {24}
    for place in range(24):
        assert len({signs[place] for signs in made}) == 36, place
