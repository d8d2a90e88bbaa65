"""The meaning of a verdict on a line: its outcome, its words, and what may follow from it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from consumers.reconciliation.verdicts import (
    ALWAYS_FOLLOWED,
    LONGEST_NAME_IN_NOTE,
    VERDICTS,
    Terms,
    Verdict,
    VerdictFields,
    sentence,
    statement_claim,
    too_many,
    too_many_words,
)
from schemas.statements import Line, LineOutcome, StatementMap
from schemas.words import Authenticity, Source, Status
from worker.postgres.statements.verdict_sql import VERDICT

FOUND = VerdictFields(
    status="completed",
    status_here="pending",
    amount=Decimal("10.00"),
    amount_here=Decimal("11.00"),
    refunds=Decimal("3.00"),
    refunded_here=Decimal("0.00"),
    fee=Decimal("0.15"),
    fee_due=Decimal("0.20"),
    payment_id="pay_a",
    other_payment_id="pay_b",
    first_row=2,
    words="Amount is no money",
)


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_meaning_and_its_words_can_be_said(verdict: Verdict) -> None:
    said = sentence(verdict, FOUND)
    assert (said is None) == (verdict is Verdict.SAME)
    assert "None" not in (said or "")


def test_the_server_finds_no_verdict_that_has_no_meaning() -> None:
    found = set(re.findall(r"(?:THEN|ELSE) '(\w+)'", VERDICT))
    assert found | {"unreadable", "absent"} == {verdict.value for verdict in VERDICTS}


def test_every_outcome_is_some_verdicts() -> None:
    assert {meaning.outcome for meaning in VERDICTS.values()} == set(LineOutcome)


def test_nothing_is_held_but_money_of_no_payment_and_nothing_asked_about_what_agrees() -> None:
    assert [verdict for verdict, meaning in VERDICTS.items() if meaning.step == "hold"] == [Verdict.UNKNOWN]
    agreeing = {LineOutcome.MATCHED, LineOutcome.DUPLICATE, LineOutcome.FEE_DIFFERS}
    assert not [meaning for meaning in VERDICTS.values() if meaning.outcome in agreeing and meaning.step == "ask"]


@pytest.mark.parametrize(
    ("to_follow", "lines", "stops"),
    [
        (ALWAYS_FOLLOWED, ALWAYS_FOLLOWED, False),
        (ALWAYS_FOLLOWED + 1, ALWAYS_FOLLOWED + 1, True),
        (500, 1_000, False),
        (501, 1_000, True),
    ],
)
def test_few_differences_never_stop_a_run_and_most_of_a_long_file_does(to_follow: int, lines: int, stops: bool) -> None:
    assert too_many(to_follow, lines) is stops


def test_a_run_that_was_stopped_says_what_differed_and_that_nothing_was_done() -> None:
    assert too_many_words(501, 1_000) == (
        "501 of 1000 lines differ from what is known here; that looks like another account's statement or a column "
        "read wrongly, so nobody was asked and nothing was recorded"
    )


def test_an_account_is_judged_by_what_its_map_says_of_fees_and_grace() -> None:
    columns = StatementMap(amount="Amount", fee_percent=Decimal("1.5"), fee_fixed=Decimal(2), grace=60.0)
    assert Terms.of(columns) == Terms(fee_percent=Decimal("1.5"), fee_fixed=Decimal(2), grace=60.0)


def test_a_claim_says_where_it_comes_from_and_nothing_of_the_outcome() -> None:
    line = Line(row=7, kind="payment", status=Status.COMPLETED, word="OK", amount=Decimal(5), transaction_id="t-1")
    now = datetime(2026, 5, 17, tzinfo=UTC)
    made = statement_claim(line, "x" * 200, id="c", account="a", provider="p", payment_id="pay_a", received_at=now)
    assert (made.source, made.authenticity, made.said) == (Source.OPERATOR, Authenticity.UNSIGNED, None)
    assert made.transaction_id == "t-1"
    assert made.note == f"row 7 of the statement {'x' * LONGEST_NAME_IN_NOTE}… says completed, 5.00"
    whole = statement_claim(
        line, "x" * LONGEST_NAME_IN_NOTE, id="c", account="a", provider="p", payment_id="pay_a", received_at=now
    )
    assert whole.note == f"row 7 of the statement {'x' * LONGEST_NAME_IN_NOTE} says completed, 5.00"
