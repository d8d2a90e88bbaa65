"""Which of our two languages a browser prefers (RFC 9110, section 12.5.4); English if it does not say."""

from __future__ import annotations

import re
from functools import lru_cache

from worker.ingress.pages.page_words import LANGUAGES

_RANGE = re.compile(
    r"\s*([a-z]{1,8}|\*)(?:-[a-z0-9-]*)?\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?\s*", re.ASCII
)


def chosen(said: str | None) -> str | None:
    """The language if it is one of ours, else None."""
    return said if said in LANGUAGES else None


@lru_cache(100)
def preferred(accept_language: str) -> str:
    """The language of the highest quality; of equals the first named. Unreadable parts are ignored."""
    best: dict[str, float] = {}
    for part in accept_language.lower().split(","):
        found = _RANGE.fullmatch(part)
        if found is not None:
            best.setdefault(found[1], float(found[2] or 1))
    other = best.pop("*", 0.0)
    named = [(best[language], language) for language in best if language in LANGUAGES]
    rest = [(other, language) for language in LANGUAGES if language not in best]
    quality, language = max([*named, *rest], key=lambda ranked: ranked[0], default=(0.0, "en"))
    return language if quality > 0 else "en"
