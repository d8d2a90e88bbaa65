"""Leases, deadlines and spacings: today's values, and that a set whose parts do not fit is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import asdict

from consumers.timing import TIMING, Timing
from schemas.words import QuestionKind

TODAY = {
    "request_deadline": 10,
    "status_deadline": 25,
    "execute_deadline": 38,
    "last_word": 1,
    "execute_begins_within": 5,
    "status_lease": 30,
    "execute_lease": 40,
    "execute_spacing": 2,
    "execute_again": 60,
    "half_open_lease": 40,
    "token_lease": 15,
    "open_deadline": 40,
    "opening_lease": 45,
    "tracking_lease": 10,
    "idempotency_lease": 60,
    "claim_lease": 40,
    "delivery_deadline": 15,
    "delivery_lease": 30,
    "expedite_spread": 60,
    "verify_wait": 35,
    "drain": 45,
}

MISFITS = [
    ({"status_lease": 26}, "a status question ends before another worker may ask it"),
    ({"execute_lease": 39}, "an Execute ends before it no longer counts as under way"),
    ({"execute_begins_within": 38}, "an Execute that began has time for its reply"),
    ({"execute_again": 40}, "a second Execute follows only when the first has ended"),
    ({"execute_spacing": 60}, "an Execute that did not run comes again before one in doubt"),
    ({"half_open_lease": 39}, "a second probe follows only when the first has ended"),
    ({"half_open_lease": 45, "status_lease": 46}, "a second probe follows only when the first has ended"),
    ({"token_lease": 10}, "a token is granted before another process asks for one"),
    ({"opening_lease": 40}, "a checkout is open before another POST may open it"),
    ({"tracking_lease": 46}, "a POST without a gateway takes no longer than one with"),
    ({"idempotency_lease": 45}, "an opening ends before its Idempotency-Key is free"),
    ({"claim_lease": 39}, "a question ends before its claim is another worker's"),
    ({"claim_lease": 50, "status_deadline": 49, "status_lease": 99, "half_open_lease": 99, "verify_wait": 99},
     "a question ends before its claim is another worker's"),
    ({"delivery_lease": 15}, "an attempt ends before another worker may send the event"),
    ({"expedite_spread": 30}, "a delivery that is being sent is not sent early as well"),
    ({"verify_wait": 26}, "an operator waits until the question has ended"),
    ({"drain": 39}, "a process that ends waits for the Execute that is under way"),
]  # fmt: skip


def test_they_are_what_operators_know() -> None:
    assert {name: value.total_seconds() for name, value in asdict(TIMING).items()} == TODAY


@pytest.mark.parametrize(("seconds", "sentence"), MISFITS)
def test_a_set_that_does_not_fit_is_refused_with_the_sentence_that_does_not_hold(
    seconds: dict[str, float], sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"^does not hold: {sentence}$"):
        Timing(**{name: timedelta(seconds=value) for name, value in seconds.items()})


def test_every_sentence_that_does_not_hold_is_said() -> None:
    with pytest.raises(ValueError, match=r"^does not hold: a status question [^;]*; an operator waits [^;]*$"):
        Timing(status_lease=timedelta(seconds=25), verify_wait=timedelta(0))


def test_a_question_has_the_times_of_its_kind() -> None:
    assert TIMING.deadline(QuestionKind.STATUS) == TIMING.status_deadline
    assert TIMING.deadline(QuestionKind.EXECUTE) == TIMING.execute_deadline
    assert TIMING.lease(QuestionKind.STATUS) == TIMING.status_lease
    assert TIMING.lease(QuestionKind.EXECUTE) == TIMING.execute_lease


def test_every_time_of_a_set_can_be_a_tenth_of_what_it_is() -> None:
    assert Timing(**{name: value / 10 for name, value in asdict(TIMING).items()}).drain == TIMING.drain / 10


def test_a_post_that_calls_no_gateway_may_have_as_long_as_one_that_does() -> None:
    assert Timing(tracking_lease=TIMING.opening_lease).tracking_lease == TIMING.opening_lease
