"""Where a file is can be told from its name alone, and no merge is left half done."""

from __future__ import annotations

import re
from pathlib import Path

from tests.house import production_files, shared_file_names

ROOT = Path(__file__).parents[2]
_CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>) ", re.MULTILINE)


def test_no_two_files_of_production_code_have_the_same_name() -> None:
    assert shared_file_names(production_files(ROOT)) == {}


def test_no_document_has_the_marks_of_a_merge() -> None:
    pages = [page for page in ROOT.rglob("*.md") if "node_modules" not in page.parts]
    assert [page.name for page in pages if _CONFLICT.search(page.read_text(encoding="utf-8"))] == []
