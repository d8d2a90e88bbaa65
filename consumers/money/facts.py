"""How an answer becomes one of a payment's Facts, and why those stay few.

A gateway that makes up an id for each answer would bring a Fact with each. So from some number on, an answer that
differs from a Fact in its ids alone, and changes nothing in the fold, is counted as that Fact said again.

The one thing to get wrong: forgetting. What the fold looks at is kept: how an answer fits, what money it names, and
when it was first and last said.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from consumers.money.matching import (
    Mismatch,
    first_said,
    measure_of,
    mismatches,
    same_money,
    transactions_of,
)
from schemas.answers import Fact
from schemas.payments import Case, Payment, TakenKeys
from schemas.words import AnswerField

MOST_FACTS = 50
"""Most payments have a handful. Up to so many, each answer is kept as it was, so that people can see it."""


def recorded_as(case: Case, fact: Fact, always: frozenset[AnswerField], most: int = MOST_FACTS) -> Fact:
    """The Fact to record: new, or merged with its equal or with one that comes to the same in the fold."""
    known = {one.key: one for one in case.facts}
    if fact.key in known:
        return known[fact.key].merged(fact)
    if len(known) < most:
        return fact
    resolved_keys = case.resolutions[-1].settled if case.resolutions else frozenset()
    weight = _weight(case, fact, always)
    alike = [
        one
        for one in case.facts
        if one.key not in resolved_keys
        and one.row is None
        and first_said(one) < first_said(fact)
        and _weight(case, one, always) == weight
    ]
    if any(one.unreadable for one in weight[0]):
        alike = [one for one in alike if same_money(one.answer, fact.answer, case.payment)]
    if not alike or not _money_is_known(case.payment, fact, alike):
        return fact
    again = min(alike, key=first_said)
    return replace(
        again,
        last_asked_at=max(again.last_asked_at, fact.last_asked_at),
        last_answered_at=max(again.last_answered_at, fact.last_answered_at),
    )


def _weight(case: Case, fact: Fact, always: frozenset[AnswerField]) -> tuple[frozenset[Mismatch], tuple[Any, ...]]:
    """What a Fact comes to in the fold: equal for two that differ only in which wrong or unknown id they name.

    First how it differs from what must fit, then all else.
    """
    answer = fact.answer
    found = mismatches(fact, case.payment, TakenKeys(), always, measure_of(case, TakenKeys(), always))
    mismatches_found = frozenset(replace(one, given=None) for one in found)
    rest = (answer.status, fact.transaction_asked, None if found else answer.session_id)
    if not answer.paid:
        return mismatches_found, rest
    money = (answer.amount, answer.currency, answer.refunded_amount)
    return mismatches_found, (*rest, *money, bool(answer.transaction_id))


def _money_is_known(payment: Payment, fact: Fact, alike: list[Fact]) -> bool:
    """Whether a paid Fact adds no money: its transaction is one of theirs, or theirs are two, so it is held already."""
    if not fact.answer.paid:
        return True
    transactions = transactions_of(payment, [*alike, fact])
    others = {transactions[one.key] for one in alike}
    return transactions[fact.key] in others or len(others) > 1
