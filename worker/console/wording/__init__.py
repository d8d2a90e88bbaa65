"""Every text of the console, in English and in Bangla. Each group of pages has a file of its own here.

An entry is `"key": ("English", "Bangla")`. Both may name values in braces, the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from worker.console.wording.books_wording import BOOKS
from worker.console.wording.decide_wording import DECIDE
from worker.console.wording.evidence_wording import EVIDENCE
from worker.console.wording.find_wording import FIND
from worker.console.wording.frame_wording import FRAME
from worker.console.wording.hooks_wording import HOOKS
from worker.console.wording.now_wording import NOW
from worker.console.wording.oidc_wording import OIDC

LANGUAGES = ("en", "bn")
NAMES = {"en": "English", "bn": "বাংলা"}
WORDING: Mapping[str, tuple[str, str]] = MappingProxyType(
    {**FRAME, **NOW, **FIND, **EVIDENCE, **DECIDE, **HOOKS, **BOOKS, **OIDC}
)


def say(language: str, key: str, **values: object) -> str:
    """The text of this key. Raises KeyError for an unknown key, and for a value that is missing."""
    text = WORDING[key][LANGUAGES.index(language)]
    return text.format(**values) if values else text
