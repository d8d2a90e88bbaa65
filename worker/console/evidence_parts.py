"""Evidence of a held payment: what each answer says beside what was expected. What differs has a sign and a word."""

from __future__ import annotations

import htpy as h

from consumers.explain.evidence import Answered, Evidence
from worker.console.elements import Column, table
from worker.console.told_sentences import in_bangla, told
from worker.console.visit import Visit
from worker.console.wording import WORDING
from worker.runtime.zone import DHAKA

DIFFERS = "≠"
_COLUMNS = (
    Column("evidence.field"),
    Column("evidence.answered"),
    Column("evidence.expected"),
    Column("evidence.asked"),
)


def answers_part(visit: Visit, found: Evidence) -> h.Node:
    """A table of each answer, and sentences about other payments."""
    return [
        [_answer(visit, one) for one in found.answers] or h.p(".quiet")[visit.say("evidence.none")],
        h.ul[[h.li[told(visit, sentence)] for sentence in found.others]] if found.others else None,
    ]


def field_words(visit: Visit, field: str) -> str:
    """The field of a payment in words; its own name where there are none."""
    return visit.say(f"field.{field}") if f"field.{field}" in WORDING else field


def _answer(visit: Visit, answered: Answered) -> h.Renderable:
    differs = h.span(".badge.stop.differs")[f"{DIFFERS}\u2002{visit.say('evidence.differs')}"]
    rows = [
        (
            field_words(visit, one.what),
            h.fragment[_value(visit, one.answered), (" ", differs) if one.differs else None],
            _value(visit, one.expected),
            one.asked or "",
        )
        for one in answered.compared
    ]
    by = answered.by or visit.say("evidence.gateway")
    at = f"{answered.last_at.astimezone(DHAKA):%Y-%m-%d %H:%M:%S}"
    return table(visit, visit.say("evidence.answer", by=by, at=at), _COLUMNS, rows, empty="")


def _value(visit: Visit, text: str | None) -> str:
    if text is None:
        return visit.say("none")
    return (in_bangla(text) if visit.language == "bn" else None) or text
