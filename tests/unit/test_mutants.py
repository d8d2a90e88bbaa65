"""Which survivors of the mutation tests count as accepted, and how they are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.mutants.accepted import Change, accepted, changed, outlived, unnamed
from tests.mutants.tool import Found, place_of
from tests.mutants.workspace import ROOT, fast_tests, rules
from tests.quickest import ENDLESS_SECONDS, TOLD, pytest_collection_modifyitems

DIFF = """\
# consumers.checks.limits.x_silent__mutmut_3: survived
--- consumers/checks/limits.py
+++ consumers/checks/limits.py
@@ -1,3 +1,3 @@
 def silent(allowance):
     \"\"\"Whether its gateway has stopped answering.\"\"\"
-    return allowance.troubles >= TROUBLES
+    return allowance.troubles > TROUBLES
"""
CHANGE = Change(
    "consumers/checks/limits.py",
    "silent",
    ("return allowance.troubles >= TROUBLES",),
    ("return allowance.troubles > TROUBLES",),
)
ENTRY = """
[[survivor]]
module = "consumers/checks/limits.py"
function = "silent"
was = "return allowance.troubles >= TROUBLES"
becomes = "  return allowance.troubles > TROUBLES"
reason = "{reason}"
"""


def entries(tmp_path: Path, reason: str = "nobody can see the difference") -> Path:
    path = tmp_path / "accepted.toml"
    path.write_text(ENTRY.format(reason=reason))
    return path


def test_a_mutant_is_named_by_what_it_changes_and_not_by_its_number() -> None:
    assert changed("consumers/checks/limits.py", "silent", DIFF) == CHANGE
    assert changed("consumers/checks/limits.py", "silent", DIFF.replace("mutmut_3", "mutmut_9")) == CHANGE


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("consumers.checks.limits.x_silent__mutmut_12", "silent"),
        ("consumers.checks.limits.x__spread__mutmut_1", "_spread"),
        ("consumers.checks.limits.xǁAskingǁadmit__mutmut_3", "Asking.admit"),
        ("consumers.checks.limits.xǁAskingǁ__post_init____mutmut_3", "Asking.__post_init__"),
    ],
)
def test_module_and_function_are_read_off_a_mutants_name(name: str, function: str) -> None:
    assert place_of(name) == ("consumers/checks/limits.py", function)


def test_a_survivor_that_nobody_named_is_told(tmp_path: Path) -> None:
    assert unnamed([CHANGE], accepted(entries(tmp_path))) == []
    assert unnamed([CHANGE], []) == [CHANGE]


def test_a_name_that_stands_for_nothing_any_more_is_told_where_its_module_was_tested(tmp_path: Path) -> None:
    named = accepted(entries(tmp_path))
    assert outlived([], named, ["consumers/checks/limits.py"]) == [CHANGE]
    assert outlived([], named, ["consumers/money/fold.py"]) == []


def test_nothing_is_accepted_without_a_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without a reason"):
        accepted(entries(tmp_path, reason=" "))


def test_what_no_test_reaches_and_what_is_no_clear_verdict_has_survived() -> None:
    verdicts = {"a": "killed", "b": "timeout", "c": "survived", "d": "no tests", "e": "suspicious", "f": "not checked"}
    found = Found(verdicts)
    assert (found.survivors, found.unchecked) == (["c", "d", "e"], 1)


class Item(Struct):
    nodeid: str
    bounds: list[float] = []

    def add_marker(self, marker: pytest.MarkDecorator) -> None:
        assert marker.name == "timeout"
        self.bounds.extend(marker.args)


def test_mutants_are_shown_to_the_quickest_tests_first_and_to_no_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    items: list[Any] = [Item("slow"), Item("long"), Item("quick"), Item("new")]
    pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == ["slow", "long", "quick", "new"], "nothing is known of them yet"
    TOLD.write_text('{"duration_by_test": {"slow": 0.2, "long": 9.0, "quick": 0.001}}')
    pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == ["new", "quick", "slow"]
    assert [item.bounds for item in items] == [[ENDLESS_SECONDS]] * 3, "a mutant may not end"
    alone: list[Any] = [Item("long")]
    pytest_collection_modifyitems(alone)
    assert [item.nodeid for item in alone] == ["long"], "where there is no other, it runs"


def test_the_modules_that_stand_in_the_file_of_survivors_are_rules_and_every_rule_has_tests() -> None:
    assert {one.module for one in accepted()} <= set(rules())
    assert "consumers/money/fold.py" in rules()
    assert "consumers/explain/explain.py" not in rules()
    assert "tests/unit/test_lifecycle.py" in fast_tests()
    assert all((ROOT / name).is_file() for name in (*rules(), *fast_tests()))


def test_what_is_accepted_stands_in_the_rules_as_it_was() -> None:
    """Otherwise its reason is about lines that are gone, and the mutants of the new lines have no entry."""
    gone = [
        one.change.shown() for one in accepted() if any(line not in lines_in(one.module) for line in one.change.was)
    ]
    assert gone == []


def lines_in(module: str) -> str:
    """The text of a module with each run of blanks and line ends as one blank, as a diff may join lines."""
    return " ".join((ROOT / module).read_text("utf-8").split())
