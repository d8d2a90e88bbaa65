"""The console's texts: each is in both languages, with the same values, and every key that a page names is there."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from worker.console import wording
from worker.console.layout import NAVIGATION

ROOM = Path(wording.__file__).parents[1]
NAMED = re.compile(r"""(?:\bsay|Column|text_field|facts)\(\s*(?:visit,\s*|guest,\s*)?"([a-z][a-z_0-9.]*)\"""")


def values(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", sorted(wording.WORDING))
def test_each_text_is_in_both_languages_with_the_same_values(key: str) -> None:
    english, bangla = wording.WORDING[key]
    assert english.strip()
    assert bangla.strip()
    assert values(english) == values(bangla)
    assert not re.search("[\u0980-\u09ff]", english)


def test_every_key_that_a_page_names_has_its_words() -> None:
    named = {
        (path.name, key) for path in sorted(ROOM.rglob("*.py")) for key in NAMED.findall(path.read_text("utf-8"))
    } | {("layout.py", key) for _, key in NAVIGATION}
    assert len(named) > 20
    assert sorted((file, key) for file, key in named if key not in wording.WORDING) == []


def test_no_key_is_in_two_files() -> None:
    keys = [
        key
        for path in sorted((ROOM / "wording").glob("*_wording.py"))
        for key in re.findall(r'^    "([^"]+)": \(', path.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(keys) == len(set(keys))
