"""Budgets and gateways that have stopped answering: which payment may ask now, and when the others come again."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from consumers.checks.limits import (
    ACCOUNT_BREAKER,
    SOON,
    SPREAD,
    CallBudget,
    CountedReply,
    count_replies,
    forgetful,
    needs_lock,
    new_limits,
    refilled,
    would_change,
)
from consumers.ports.call_limits import AccountLimits
from consumers.ports.reply import Reply
from consumers.timing import TIMING
from schemas.answers import Answer, Executed, ForeignTransaction, Inconclusive, Question, QuestionOutcome, Trouble
from schemas.words import Status
from tests.fakes.clock import NOON

SECOND = timedelta(seconds=1)
PAID = Answer(status=Status.COMPLETED, word="PAID")
AWAY = Inconclusive(trouble=Trouble.NO_REPLY, detail="silent")
UNKNOWN = Inconclusive(trouble=Trouble.NOT_FOUND, detail="unknown")


def reply(
    outcome: QuestionOutcome,
    calls: int = 1,
    asked_at: datetime = NOON,
    *,
    about: str = "p",
    claimed: bool = False,
    tells_unknown: bool = True,
) -> CountedReply:
    made = Reply(
        payment_id=about, question=Question(), asked_at=asked_at, answered_at=asked_at, outcome=outcome, calls=calls
    )
    return CountedReply(reply=made, issued=not claimed, claimed=claimed, tells_unknown=tells_unknown)


def asked(asking: CallBudget, times: int) -> list[datetime | None]:
    return [asking.acquire(f"pay_{number}") for number in range(times)]


def shut(troubles: int, now: datetime = NOON, retry_after: float | None = None) -> AccountLimits:
    outcome = Inconclusive(trouble=Trouble.RATE_LIMITED, detail="slow down", retry_after=retry_after)
    return count_replies(new_limits("a", None, now), None, [reply(outcome)] * troubles, now)


def test_an_account_without_a_budget_asks_as_often_as_it_likes() -> None:
    assert asked(CallBudget(new_limits("a", None, NOON), None, NOON), 1000) == [None] * 1000


def test_two_seconds_of_the_budget_may_be_used_at_once_and_then_as_time_brings() -> None:
    asking = CallBudget(new_limits("a", 5.0, NOON), 5.0, NOON)
    times = asked(asking, 13)
    assert times[:10] == [None] * 10
    assert times[10:] == [NOON + SECOND / 5, NOON + 2 * SECOND / 5, NOON + 3 * SECOND / 5]
    later = NOON + SECOND
    assert asked(CallBudget(asking.limits, 5.0, later), 6)[:6] == [None] * 5 + [later + SECOND / 5]


def test_a_budget_below_one_a_second_asks_one_at_a_time() -> None:
    asking = CallBudget(new_limits("a", 0.1, NOON), 0.1, NOON)
    assert asked(asking, 2) == [None, NOON + 10 * SECOND]


def test_who_waits_for_the_budget_waits_for_what_is_missing_of_a_call() -> None:
    half = AccountLimits(account="a", calls=0.5, at=NOON)
    assert asked(CallBudget(half, 1.0, NOON), 2) == [NOON + SECOND / 2, NOON + 3 * SECOND / 2]


@pytest.mark.parametrize("rate", [1e-9, 1e-300, 5e-324])
def test_however_small_a_budget_is_who_waits_for_it_comes_again_within_a_day(rate: float) -> None:
    asking = CallBudget(new_limits("a", rate, NOON), rate, NOON)
    assert asked(asking, 2) == [None, NOON + timedelta(days=1)]


def test_an_account_that_nobody_asked_about_has_its_burst_and_without_a_budget_nothing_to_count() -> None:
    assert new_limits("a", 5.0, NOON) == AccountLimits(account="a", calls=10.0, at=NOON)
    assert new_limits("a", None, NOON) == AccountLimits(account="a", calls=0.0, at=NOON)


def test_time_is_counted_once() -> None:
    used = AccountLimits(account="a", calls=0.0, at=NOON)
    later = refilled(used, 5.0, NOON + SECOND)
    assert later == AccountLimits(account="a", calls=5.0, at=NOON + SECOND)
    assert refilled(later, 5.0, NOON + SECOND) == refilled(later, 5.0, NOON) == later


def test_nothing_is_saved_up_beyond_the_burst() -> None:
    assert refilled(new_limits("a", 5.0, NOON), 5.0, NOON + timedelta(days=9)).calls == 10


def test_calls_beside_the_one_counted_are_paid_for_afterwards() -> None:
    asking = CallBudget(new_limits("a", 1.0, NOON), 1.0, NOON)
    assert asked(asking, 2) == [None, None]
    owing = count_replies(asking.limits, 1.0, [reply(PAID, calls=3)], NOON)
    assert owing.calls == -2
    assert asked(CallBudget(owing, 1.0, NOON + 2 * SECOND), 1) == [NOON + 3 * SECOND]


def test_each_reply_pays_for_its_own_extra_calls_and_one_without_any_for_none() -> None:
    used = AccountLimits(account="a", calls=0.0, at=NOON)
    assert count_replies(used, 5.0, [reply(PAID), reply(PAID, calls=3), reply(PAID, calls=2)], NOON).calls == -3
    assert count_replies(used, 5.0, [reply(PAID)], NOON + SECOND).calls == 5


def test_workers_take_turns_where_there_is_a_budget_or_a_gateway_to_probe() -> None:
    assert needs_lock(None, 5.0)
    assert needs_lock(new_limits("a", 5.0, NOON), 5.0)
    assert not needs_lock(None, None)
    assert not needs_lock(shut(ACCOUNT_BREAKER.threshold - 1), None)
    assert needs_lock(shut(ACCOUNT_BREAKER.threshold), None)


def test_a_healthy_account_is_touched_only_by_what_changes_it() -> None:
    healthy = new_limits("a", 5.0, NOON)
    assert not would_change(healthy, 5.0, [reply(PAID)])
    assert not would_change(healthy, None, [reply(PAID, calls=2)])
    assert not would_change(None, None, [])
    assert would_change(healthy, 5.0, [reply(PAID), reply(PAID, calls=2)])
    assert would_change(None, None, [reply(PAID), reply(AWAY)])
    assert would_change(shut(1), None, [reply(PAID)])


def test_a_gateway_that_answers_now_and_then_is_asked_on() -> None:
    account_limits = new_limits("a", None, NOON)
    for _ in range(50):
        account_limits = count_replies(
            account_limits, None, [reply(AWAY)] * (ACCOUNT_BREAKER.threshold - 1) + [reply(PAID)], NOON
        )
    assert (account_limits.troubles, account_limits.shut_until) == (0, None)


def test_a_gateway_that_does_not_know_an_id_has_answered() -> None:
    assert count_replies(new_limits("a", None, NOON), None, [reply(UNKNOWN)] * 50, NOON).troubles == 0


def test_one_trouble_fewer_does_not_shut_it() -> None:
    assert (shut(ACCOUNT_BREAKER.threshold - 1).troubles, shut(ACCOUNT_BREAKER.threshold - 1).shut_until) == (
        ACCOUNT_BREAKER.threshold - 1,
        None,
    )


def test_so_many_in_a_row_without_an_answer_shut_it_for_longer_each_time() -> None:
    pauses = [(shut(ACCOUNT_BREAKER.threshold + more).shut_until or NOON) - NOON for more in range(8)]
    assert pauses == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16, 30, 30, 30)]


def test_a_gateway_that_names_a_pause_gets_it_within_bounds() -> None:
    assert shut(ACCOUNT_BREAKER.threshold, retry_after=20).shut_until == NOON + 20 * SECOND
    assert shut(ACCOUNT_BREAKER.threshold, retry_after=3600).shut_until == NOON + ACCOUNT_BREAKER.pauses.longest


def test_while_it_is_shut_everyone_comes_again_after_it_and_not_all_at_once() -> None:
    times = asked(CallBudget(shut(ACCOUNT_BREAKER.threshold), None, NOON), 100)
    assert all(at is not None and NOON + SECOND <= at <= NOON + 3 * SECOND for at in times)
    assert len(set(times)) == 100
    assert max(at for at in times if at) - min(at for at in times if at) > SPREAD / 2


def test_however_long_it_is_shut_who_is_turned_away_is_due_again_soon_for_any_answer_opens_it() -> None:
    probing = CallBudget(shut(ACCOUNT_BREAKER.threshold + 9), None, NOON + ACCOUNT_BREAKER.pauses.longest)
    assert asked(probing, 1) == [None]
    times = asked(probing, 100)
    assert all(at is not None and SOON <= at - probing.now <= SOON + SPREAD for at in times)


def test_when_the_pause_is_over_one_question_probes_and_its_answer_opens_it() -> None:
    later = NOON + 2 * SECOND
    asking = CallBudget(shut(ACCOUNT_BREAKER.threshold), None, later)
    times = asked(asking, 3)
    assert times[0] is None
    assert all(at is not None and at > later for at in times[1:])
    opened = count_replies(asking.limits, None, [reply(PAID)], later)
    assert asked(CallBudget(opened, None, later), 50) == [None] * 50


def test_an_answerless_question_of_before_lets_no_other_in_beside_the_probe() -> None:
    later = NOON + 2 * SECOND
    asking = CallBudget(shut(ACCOUNT_BREAKER.threshold), None, later)
    assert asked(asking, 1) == [None]
    straggling = count_replies(asking.limits, None, [reply(AWAY)], later + SECOND)
    assert straggling.shut_until == later + TIMING.half_open_lease
    assert asked(CallBudget(straggling, None, later + 20 * SECOND), 1) != [None]
    probed = count_replies(asking.limits, None, [reply(AWAY, asked_at=later)], later + SECOND)
    assert probed.shut_until == later + 3 * SECOND, "the probe's own is the next pause"


def test_what_execute_and_its_query_brought_counts_by_the_query() -> None:
    troubled = count_replies(new_limits("a", None, NOON), None, [reply(Executed(reply="none", then=AWAY))], NOON)
    assert troubled.troubles == 1
    assert count_replies(troubled, None, [reply(Executed(reply="other", then=PAID))], NOON).troubles == 0


def test_a_worker_takes_on_no_more_of_an_account_than_it_has_room_for() -> None:
    times = asked(CallBudget(new_limits("a", None, NOON), None, NOON, room=2), 3)
    assert times[:2] == [None, None]
    assert times[2] is not None
    assert ACCOUNT_BREAKER.pauses.first <= times[2] - NOON <= ACCOUNT_BREAKER.pauses.first + SPREAD


def unknown(*payments: str) -> AccountLimits:
    return count_replies(new_limits("a", None, NOON), None, [reply(UNKNOWN, about=one) for one in payments], NOON)


def test_five_answers_not_found_in_a_row_over_two_payments_are_the_gateways_fault() -> None:
    assert forgetful(unknown("p", "p", "p", "p", "q"))
    assert not forgetful(unknown("p", "q", "r", "s"))
    assert not forgetful(unknown("p", "p", "p", "p", "p", "p")), "one payment proves nothing about the others"
    assert forgetful(unknown("p", "p", "p", "p", "p", "q"))
    assert would_change(None, None, [reply(UNKNOWN)])


def test_another_answer_ends_the_row_and_trouble_does_not() -> None:
    row = unknown("p", "q", "r", "s", "t")
    assert not forgetful(count_replies(row, None, [reply(PAID)], NOON))
    assert forgetful(count_replies(row, None, [reply(AWAY)], NOON))
    assert would_change(row, None, [reply(PAID)])


def test_an_id_that_only_a_claim_gave_us_says_nothing_of_the_gateways_memory() -> None:
    row = unknown("p", "q", "r", "s")
    for outcome in (ForeignTransaction(why="not_found"), ForeignTransaction(why="other_payment"), UNKNOWN):
        assert count_replies(row, None, [reply(outcome, claimed=True)], NOON).unknown_by == row.unknown_by


def test_replies_that_say_nothing_about_their_payments_shut_no_account_and_open_a_shut_one() -> None:
    """Else ten open checkouts of a gateway that answers `[]` until they are paid would delay every buyer who paid."""
    nothing = Inconclusive(trouble=Trouble.UNDOCUMENTED, detail="an empty list")
    before = new_limits("a", None, NOON)
    assert count_replies(before, None, [reply(nothing)] * 50, NOON) == before
    found = count_replies(shut(ACCOUNT_BREAKER.threshold), None, [reply(nothing)], NOON)
    assert (found.troubles, found.shut_until) == (0, None)


@pytest.mark.parametrize("trouble", list(Trouble))
def test_what_is_answered_about_such_an_id_is_no_trouble_of_the_account_but_for_silence_and_5xx(
    trouble: Trouble,
) -> None:
    """Otherwise a stranger could open the account's breaker by made-up ids."""
    outcome = Inconclusive(trouble=trouble, detail="about an id of a claim")
    found = count_replies(new_limits("a", None, NOON), None, [reply(outcome, claimed=True)] * 50, NOON)
    assert (found.troubles > 0) == (trouble in (Trouble.NO_REPLY, Trouble.SERVER_ERROR))


@pytest.mark.parametrize("trouble", list(Trouble))
def test_where_no_form_of_not_found_is_documented_an_unreadable_reply_is_no_trouble_of_the_account(
    trouble: Trouble,
) -> None:
    """It may be that form. Then every checkout that nobody paid would help to keep the paid ones waiting."""
    outcome = reply(Inconclusive(trouble=trouble, detail="no format that is known"), tells_unknown=False)
    quiet = (Trouble.UNREADABLE, Trouble.NOT_FOUND, Trouble.UNDOCUMENTED)
    assert (count_replies(new_limits("a", None, NOON), None, [outcome] * 50, NOON).troubles == 0) == (trouble in quiet)
    away = shut(ACCOUNT_BREAKER.threshold)
    assert (count_replies(away, None, [outcome], NOON).troubles == 0) == (trouble in quiet), "and its gateway is back"


def test_but_about_an_id_of_a_claim_it_does_not_even_say_that_the_gateway_is_back() -> None:
    unread = Inconclusive(trouble=Trouble.UNREADABLE, detail="about an id of a claim")
    away = shut(ACCOUNT_BREAKER.threshold)
    assert count_replies(away, None, [reply(unread, claimed=True, tells_unknown=False)], NOON).troubles == away.troubles


def test_nor_does_it_open_an_account_that_is_shut() -> None:
    unread = Inconclusive(trouble=Trouble.UNREADABLE, detail="about an id of a claim")
    assert (
        count_replies(shut(ACCOUNT_BREAKER.threshold), None, [reply(unread, claimed=True)], NOON).troubles
        == ACCOUNT_BREAKER.threshold
    )


def test_an_execute_that_we_were_too_late_to_send_says_nothing_of_its_gateway() -> None:
    late = reply(Executed(reply="not_sent", then=AWAY), calls=0)
    troubled = shut(ACCOUNT_BREAKER.threshold - 1)
    assert count_replies(troubled, None, [late], NOON).troubles == ACCOUNT_BREAKER.threshold - 1
    without_token = reply(Executed(reply="not_sent", then=AWAY), calls=1)
    assert count_replies(troubled, None, [without_token], NOON).troubles == ACCOUNT_BREAKER.threshold
