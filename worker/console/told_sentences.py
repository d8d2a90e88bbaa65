"""Sentences that `payproof explain` tells too, on a page: in the person's language, with times and money as elsewhere.

They come in English. A sentence that has no Bangla form yet stays English, and says so by its `lang`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

import htpy as h

from worker.console.elements import moment, taka
from worker.console.visit import Guest
from worker.console.wording import WORDING
from worker.console.wording.row_wording import ROWS
from worker.console.wording.timeline_wording import TIMELINE
from worker.console.wording.told_wording import EXPLAINED

_ALL = {**EXPLAINED, **TIMELINE, **ROWS}
_FIELD = re.compile(r"\{(\w+)\}")
_LONGEST = 800
"""Of a text that is looked up: a person's long evidence stays as it is."""
_MOST_PARTS = 8
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}Z"
_SHOWN = re.compile(rf"(?<![0-9A-Za-z])({_TIME}|[0-9]+\.[0-9]{{2}} BDT)(?![0-9A-Za-z])", re.ASCII)
_NAME = re.compile(r"[a-z]+[._][a-z]", re.ASCII)
_OWN_WORDS = ("status", "hold", "field")


def told(visit: Guest, sentence: str) -> h.Element:
    """The sentence in the person's language. Its first letter is made a capital, but not that of a name."""
    said = in_bangla(sentence) if visit.language == "bn" else None
    words = said or sentence
    if not _NAME.match(words):
        words = words[:1].upper() + words[1:]
    parts = [_shown(visit, part) for part in _SHOWN.split(words)]
    return h.span(lang="en" if said is None and visit.language != "en" else None)[parts]


@lru_cache(2000)
def in_bangla(text: str) -> str | None:
    """The text in Bangla; None where no form fits it. Several sentences are told one after the other."""
    if text in _EXACT or len(text) > _LONGEST:
        return _EXACT.get(text)
    for begins, ends, form, bangla in _FORMS:
        fits = text.startswith(begins) and text.endswith(ends)
        if fits and (found := form.fullmatch(text)) and (made := _filled(bangla, found.groupdict())):
            return made
    if text.count(". ") + text.count("; ") > _MOST_PARTS:
        return None
    for mark, joined in ((". ", " "), ("; ", "; ")):
        for place in (one.start() for one in re.finditer(re.escape(mark), text)):
            first = text[: place + 1] if mark == ". " else text[:place]
            before, after = in_bangla(first), in_bangla(text[place + 2 :])
            if before and after:
                return f"{before}{joined}{after}"
    return None


def _filled(bangla: str, found: dict[str, str]) -> str | None:
    """The Bangla form with its fields; None where a phrase among them has no form, so that another may fit."""
    made = {}
    for name, text in found.items():
        if name.startswith("_"):
            said = in_bangla(text) or (text if _is_value(text) else None)
        elif name.startswith("any_"):
            said = in_bangla(text) or text
        elif name.startswith("list_"):
            said = ", ".join(in_bangla(one) or one for one in text.split(", "))
        else:
            said = text
        if said is None:
            return None
        made[name] = said
    return bangla.format_map(made)


def _is_value(text: str) -> bool:
    """Whether it is no phrase but one word, an amount or an id, which is the same in every language."""
    return " " not in text or re.fullmatch(r"[0-9.]+ [A-Z]{3}", text, re.ASCII) is not None


def _forms() -> Iterator[tuple[str, str, re.Pattern[str], str]]:
    """How a text of the form begins and ends, the form, and the Bangla."""
    for english, bangla in _ALL.items():
        if _FIELD.search(english):
            parts = _FIELD.split(english)
            made = [
                re.escape(part) if place % 2 == 0 else f"(?P<{part}>{_PATTERNS.get(part, '.+?')})"
                for place, part in enumerate(parts)
            ]
            yield parts[0], parts[-1], re.compile("".join(made), re.DOTALL), bangla


def _exact() -> Iterator[tuple[str, str]]:
    for key, words in WORDING.items():
        section, _, name = key.partition(".")
        if section in _OWN_WORDS:
            yield name.replace("_", " ") if section == "field" else name, words[1]
    for english, bangla in _ALL.items():
        if not _FIELD.search(english):
            yield english, bangla


_PATTERNS = {
    "time": _TIME,
    "http": "[0-9]{3}",
    "id": r"\S+",
    "list_change": "[^()]+?",
    "_word": "(?:as|since) .+",
    "_source": "A webhook of the gateway|A notification in the gateway's name|A browser that came back",
    "any_said": r"\S+",
    "_what": r"what happened(?: about \w+ \S+)?|to take the money \(Execute\)",
    "_field": "status|amount|currency|reference|session|transaction|refunded",
    "any_answered": "[^;]+?",
    "any_expected": "[^;]+?",
}
"""Of fields that would else take too much, or too little, of a sentence."""
_FORMS = tuple(_forms())
_EXACT = dict(_exact())


def _shown(visit: Guest, part: str) -> h.Node:
    if re.fullmatch(_TIME, part):
        return moment(visit, datetime.strptime(part, "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC))
    if re.fullmatch(r"[0-9]+\.[0-9]{2} BDT", part, re.ASCII):
        return taka(visit, Decimal(part.removesuffix(" BDT")))
    return part
