"""Parts of the pages about decisions: the person who acts, a payment's evidence, a preview, and refusals."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime

import htpy as h
from aiohttp import web

from consumers.commands.preview import Preview
from consumers.commands.resolve import ResolutionRefused
from consumers.explain.evidence import Evidence
from schemas.proposals import Origin, Person
from worker.console import elements
from worker.console.elements import Column
from worker.console.evidence_parts import answers_part, field_words
from worker.console.layout import error_page, missing
from worker.console.route_table import ACTING, APPROVING
from worker.console.visit import Visit
from worker.console.wording import WORDING

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]
MISSING = frozenset({"no_such_payment", "no_such_proposal"})
_CHANGES = (Column("decide.what"), Column("decide.before"), Column("decide.after"))


def person_of(visit: Visit) -> Person:
    """The operator as the rules of two people know them: what their role may do, and for which merchants."""
    operator = visit.operator
    return Person(
        origin=Origin(actor=operator.name, via="console", address=visit.address),
        proposes=operator.role in ACTING,
        approves=operator.role in APPROVING,
        merchants=None if operator.merchants is None else frozenset(operator.merchants),
    )


def refusing(handler: Handler) -> Handler:
    """The handler, with a page in words where it raises ResolutionRefused."""

    async def handle(visit: Visit) -> web.StreamResponse:
        try:
            return await handler(visit)
        except ResolutionRefused as refused:
            if refused.code in MISSING:
                return missing(visit)
            return error_page(visit, 409, "refused", f"refused.{refused.code}")

    return handle


def path_id(visit: Visit, name: str, pattern: str) -> str:
    """The id in the path. Raises ResolutionRefused where it cannot be one."""
    given = visit.request.match_info[name]
    if not re.fullmatch(pattern, given, re.ASCII):
        raise ResolutionRefused("no_such_payment", "there is no such id")
    return given


def evidence_part(visit: Visit, found: Evidence) -> h.Node:
    """The newest answers beside what was expected."""
    return h.section[h.h2[visit.say("decide.evidence")], answers_part(visit, found)]


def preview_part(visit: Visit, found: Preview) -> h.Node:
    """The event that will be told, and what changes."""
    if found.already:
        return h.p(".note")[visit.say("decide.already")]
    told = (
        visit.say("decide.no_event")
        if found.event is None
        else visit.say("decide.event", event=found.event, version=found.version)
    )
    rows = [
        (
            field_words(visit, one.field),
            value_words(visit, one.field, one.before),
            value_words(visit, one.field, one.after),
        )
        for one in found.changes
    ]
    accepted = next((one.after for one in found.changes if one.field == "accepted_amount" and one.after), None)
    return h.fragment[
        h.p(".lead")[told],
        h.p(".note")[visit.say("decide.accepted", accepted=accepted, asked=found.asked)] if accepted else None,
        elements.table(visit, visit.say("decide.changes"), _CHANGES, rows, empty=visit.say("decide.already")),
    ]


def value_words(visit: Visit, field: str, value: str | None) -> h.Node:
    """A value of the payment as shops see it, in words where it is one of our words or times."""
    if value is None:
        return visit.say("none")
    key = f"{field}.{value}"
    if field in ("status", "hold") and key in WORDING:
        words = visit.say(key)
        return words if words == value else f"{words} ({value})"
    if field.endswith("_at"):
        return elements.moment(visit, datetime.fromisoformat(value))
    return {"True": visit.say("yes"), "False": visit.say("no")}.get(value, value)
