"""The story of a payment: every hold, schedule and kind of entry has its words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest

from consumers.explaining import explain
from schemas.payments import Entry, Payment, ScheduleName
from schemas.words import EntryKind, Hold, Status

AT = datetime(2026, 11, 20, 10, 45, tzinfo=UTC)


def story(*entries: tuple[EntryKind, dict[str, Any]], **fields: Any) -> list[str]:
    payment = Payment(
        **{
            "id": "pay_00000000000000000000000000",
            "merchant": "shop",
            "account": "shop-ipay",
            "provider": "ipay",
            "reference": "order-1",
            "amount": Decimal("1500.50"),
            "currency": "BDT",
            "opened_at": AT,
            "expires_at": AT + timedelta(minutes=15),
            "version": 1,
            **fields,
        }
    )
    return [
        sentence for _, sentence in explain(payment, [Entry(kind=kind, at=AT, data=data) for kind, data in entries])
    ]


def claim(**said: Any) -> tuple[EntryKind, dict[str, Any]]:
    return EntryKind.CLAIM, {"source": "return", "authenticity": "unsigned", "verdict": "asks", **said}


@pytest.mark.parametrize("hold", Hold)
def test_every_hold_says_why_and_who_lifts_it(hold: Hold) -> None:
    *_, standing, following = story(holds=(hold,))
    assert standing.startswith(f"It stands at pending, held as {hold}: ")
    assert ("Nobody is told anything more" in standing) is not hold.waiting
    assert ("a later answer lifts" in following) is hold.waiting
    assert "payproof payments resolve" in following


@pytest.mark.parametrize("schedule", get_args(ScheduleName))
def test_every_schedule_says_when_it_looks_again_and_why(schedule: str) -> None:
    assert story(schedule=schedule, next_check_at=AT)[-1].startswith(
        "Next: we look again at 2026-11-20 10:45:00Z, because "
    )


def test_what_needs_no_more_looks_says_so() -> None:
    assert story(status=Status.COMPLETED)[-1] == "Next: nothing; it is settled."
    assert story()[-1] == "Next: nothing until a claim comes in."


def test_a_claim_is_told_with_whether_it_can_be_believed() -> None:
    told = story(
        claim(said="success"),
        claim(source="webhook", authenticity="signed", verdict="repeated"),
        claim(source="operator"),
        claim(source="sweep", verdict="due"),
    )
    assert told[1:5] == [
        "A browser that came back said success. Anyone could have sent it, so we ask the gateway.",
        "A webhook of the gateway named this payment. It is signed, and nothing is asked: repeated.",
        "A person, or the shop's API, wants it looked at, so we ask the gateway.",
        "Our own schedule says that it is time to look.",
    ]


def test_no_answer_is_told_to_mean_nothing_for_the_money() -> None:
    told = story(
        (EntryKind.QUESTION, {"question": "status", "transaction_asked": "txn1"}),
        (EntryKind.ANSWER, {"seconds": 0.25, "inconclusive": "server_error", "detail": "HTTP 500"}),
        (EntryKind.ANSWER, {"seconds": 0.25, "refused": "other_payment"}),
    )
    assert told[1:4] == [
        "We asked the gateway about transaction txn1.",
        "No answer after 0.250 s: server_error (HTTP 500). That means nothing for the money.",
        "The gateway knows it as another payment's (after 0.250 s); the claim is refused.",
    ]
