"""The form of a decision's first step: as it is shown, and as it is read."""

from __future__ import annotations

from collections.abc import Sequence

import htpy as h

from consumers.commands.resolve import ResolutionRequest
from schemas.payments import Payment
from schemas.request_shape import Wrong
from schemas.requests import RESOLUTION
from schemas.words import Status
from worker.console import elements
from worker.console.route_table import may_act
from worker.console.visit import Visit


def decision_form(visit: Visit, payment: Payment, wrong: Sequence[Wrong]) -> h.Node:
    """The form of step one, for those who may propose. What was chosen before stays chosen."""
    if not may_act(visit):
        return h.p(".note")[visit.say("decide.reads")]
    problems = {one.field: one.message for one in wrong}

    def problem(name: str) -> h.Node:
        return h.p(".stop", id=f"{name}-wrong", lang="en")[problems[name]] if name in problems else None

    def described(name: str) -> dict[str, str]:
        return {"aria_describedby": f"{name}-wrong", "aria_invalid": "true"} if name in problems else {}

    offered = [status for status in Status if status.rank >= payment.status.rank]
    choices = [
        h.label(".choice")[
            h.input(type="radio", name="status", value=one, required=True, checked=visit.field("status") == one),
            h.span[h.b[visit.say(f"status.{one}")], h.span(".quiet")[f" – {visit.say(f'decide.means.{one}')}"]],
        ]
        for one in offered
    ]
    return h.section[
        h.h2[visit.say("decide.step_one")],
        elements.form(
            visit,
            f"/held/{payment.id}/preview",
            h.fieldset[h.legend[visit.say("decide.status")], choices, problem("status")],
            h.label(for_="reason")[visit.say("decide.reason")],
            h.textarea("#reason", name="reason", required=True, maxlength="500", **described("reason"))[
                visit.field("reason")
            ],
            problem("reason"),
            h.label(for_="evidence")[visit.say("decide.text")],
            h.textarea("#evidence", name="evidence", maxlength="3800", **described("evidence"))[
                visit.field("evidence")
            ],
            problem("evidence"),
            elements.text_field(visit, "decide.transaction", "transaction_id", visit.field("transaction_id")),
            problem("transaction_id"),
            h.button[visit.say("decide.see")],
        ),
    ]


def read_form(visit: Visit) -> ResolutionRequest | list[Wrong]:
    """What was chosen, or what is wrong with the form."""
    names = ("status", "reason", "evidence", "transaction_id")
    given = {name: value for name in names if (value := visit.field(name).replace("\r\n", "\n"))}
    wrong: list[Wrong] = []
    found = RESOLUTION.read({**given, "actor": visit.operator.name}, wrong)
    return wrong or ResolutionRequest(**{**found, "status": Status(found["status"])})
