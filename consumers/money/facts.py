"""Record an answer as one of a payment's Facts, and keep their number small.

A gateway that makes up an id for each answer would add a Fact with each. So from MOST_FACTS on, an answer that differs
from a Fact in its ids alone, and changes nothing in the fold, only renews the times of that Fact.

Nothing that the fold uses may be lost that way: how an answer fits, which money it names, and when it was first and
last given.
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
"""Most payments have a handful. Up to so many, every different answer is kept, so that people can see it."""


def recorded_as(case: Case, fact: Fact, always: frozenset[AnswerField], most: int = MOST_FACTS) -> Fact:
    """Returns the Fact to record: `fact` itself, or a known Fact of the case that it is merged into."""
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
    """The effect of a Fact in the fold: equal for two Facts that differ only in which wrong or unknown id they name.

    Returns its mismatches without the given values, and then all other fields that the fold uses.
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
    """Whether the Fact adds no money: it is unpaid, its transaction is in `alike`, or `alike` has two and is held."""
    if not fact.answer.paid:
        return True
    transactions = transactions_of(payment, [*alike, fact])
    others = {transactions[one.key] for one in alike}
    return transactions[fact.key] in others or len(others) > 1
