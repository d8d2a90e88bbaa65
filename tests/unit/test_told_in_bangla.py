"""Every sentence that explains a payment has a Bangla form: those of all scenarios of `test_explaining`, and all that
stand in a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import asdict

from consumers.explain.difference import difference
from consumers.explain.explain import Explanation
from consumers.explain.hold_words import HOLD_CAUSES, TO_DO
from consumers.explain.next_steps import SCHEDULES
from consumers.explain.snapshot import PaymentSnapshot
from consumers.money.rule_names import OF_HOLDS
from consumers.reconciliation.verdicts import VERDICTS, VerdictFields
from tests.unit import test_explaining
from worker.console.told_sentences import in_bangla
from worker.console.wording import WORDING
from worker.console.wording.timeline_wording import TIMELINE
from worker.console.wording.told_wording import EXPLAINED

_BANGLA_DIGITS = re.compile("[\u09e6-\u09ef]")
_ENGLISH = re.compile(r"\b(because|asked|and|which|answered|rose|expected)\b")


def scenarios() -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each test of `test_explaining` with the arguments of each of its cases."""
    for name, function in vars(test_explaining).items():
        if not name.startswith("test_"):
            continue
        cases: list[dict[str, Any]] = [{}]
        for mark in getattr(function, "pytestmark", []):
            names = mark.args[0].split(",") if isinstance(mark.args[0], str) else list(mark.args[0])
            rows = [row if len(names) > 1 else (row,) for row in mark.args[1]]
            cases = [case | dict(zip(map(str.strip, names), row, strict=True)) for case in cases for row in rows]
        yield from ((function, case) for case in cases)


def test_every_sentence_of_every_scenario_is_told_in_bangla(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = set[str]()
    explain = test_explaining.explain_payment

    def listening(snapshot: PaymentSnapshot) -> Explanation:
        told = explain(snapshot)
        sentences.add(told.paid)
        sentences.add(difference(snapshot))
        sentences.update(line.words for line in told.story)
        sentences.update(plan.words for plan in told.plans)
        if told.evidence is not None:
            sentences.update((told.evidence.why, told.evidence.to_do, *told.evidence.others))
        return told

    monkeypatch.setattr(test_explaining, "explain_payment", listening)
    for function, case in scenarios():
        function(**case)
    sentences.discard("")
    assert len(sentences) > 100
    assert [one for one in sorted(sentences) if in_bangla(one) is None] == []
    assert [told for one in sentences if (told := in_bangla(one)) and _ENGLISH.search(told)] == []


@pytest.mark.parametrize("table", [HOLD_CAUSES, TO_DO, OF_HOLDS, SCHEDULES], ids=["why", "to do", "rules", "schedules"])
def test_every_sentence_of_a_table_is_told_in_bangla(table: dict[Any, str]) -> None:
    assert [words for words in table.values() if in_bangla(words) is None] == []


def test_why_a_row_differs_is_told_in_bangla() -> None:
    some = Decimal("5.00")
    fields = VerdictFields(
        status="completed",
        status_here="pending",
        amount=some,
        amount_here=some,
        refunds=some,
        refunded_here=some,
        fee=some,
        fee_due=some,
        payment_id="pay_1",
        other_payment_id="pay_2",
        first_row=7,
    )
    said = [one.says.format_map(asdict(fields)) for one in VERDICTS.values() if one.says not in ("", "{words}")]
    assert [words for words in said if in_bangla(words) is None] == []


def test_a_persons_words_stay_as_they_are() -> None:
    assert in_bangla("rahim resolved it as failed: the buyer is completed.") == (
        "rahim সিদ্ধান্ত দিয়েছেন ব্যর্থ: the buyer is completed।"
    )
    assert in_bangla("a sentence that nobody knows") is None
    assert in_bangla("a; " * 100_000) is None
    assert in_bangla(f"abida resolved it as failed: {'(evidence: ' * 60}.") is not None


def test_the_console_has_one_kind_of_digits() -> None:
    """Amounts, counts and times are written with ASCII digits, and so is every number in a text."""
    texts = [words[1] for words in WORDING.values()] + [*EXPLAINED.values(), *TIMELINE.values()]
    assert [text for text in texts if _BANGLA_DIGITS.search(text)] == []
