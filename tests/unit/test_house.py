"""Where a file is can be told from its name alone."""

from __future__ import annotations

from pathlib import Path

from tests.house import production_files, shared_file_names

ROOT = Path(__file__).parents[2]


def test_no_two_files_of_production_code_have_the_same_name() -> None:
    assert shared_file_names(production_files(ROOT)) == {}
