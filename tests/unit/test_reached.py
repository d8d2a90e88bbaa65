"""The tests that `deploy/dev quick` runs for a change: every unit test that it can break, the nearest first."""

from __future__ import annotations

from tests.reached import reached


def test_a_rule_reaches_the_tests_that_import_it_directly_or_through_others() -> None:
    found = reached(["consumers/money/matching.py"])
    assert "tests/unit/test_any_order.py" in found
    assert "tests/unit/test_addresses.py" not in found


def test_those_that_import_it_themselves_come_first() -> None:
    found = reached(["worker/console.py"])
    assert found[0] == "tests/unit/test_lines.py"
    assert len(found) > 1


def test_a_test_reaches_itself_first() -> None:
    assert reached(["tests/unit/test_any_order.py"])[0] == "tests/unit/test_any_order.py"


def test_a_helper_of_the_tests_reaches_those_that_use_it() -> None:
    found = reached(["tests/fakes/drive.py"])
    assert "tests/unit/test_candidates.py" in found
    assert "tests/unit/test_addresses.py" not in found


def test_a_file_that_is_no_module_reaches_the_tests_that_read_it() -> None:
    assert "tests/unit/test_providers.py" in reached(["tests/fixtures/ipay/fields.json"])
    assert "tests/unit/test_runbook.py" in reached(["deploy/runbook.md"])


def test_several_files_reach_what_each_of_them_reaches_once() -> None:
    files = ["consumers/money/matching.py", "tests/fakes/drive.py"]
    found = reached(files)
    assert set(found) == {test for file in files for test in reached([file])}
    assert len(found) == len(set(found))


def test_the_simulated_months_are_left_out() -> None:
    assert not [test for test in reached(["consumers/money/fold.py"]) if "simulation" in test]
