"""A route of the console: its path, the roles that may use it, and the function that answers.

No route is served that is not in the table of `worker.console.console_routes`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web
from msgspec import Struct

from schemas.words import OperatorRole
from worker.console.visit import Guest, Visit

KB = 1024
EVERYBODY = frozenset(OperatorRole)
ACTING = frozenset({OperatorRole.OPERATOR, OperatorRole.APPROVER})
APPROVING = frozenset({OperatorRole.APPROVER})
REVEALING = frozenset({OperatorRole.AUDITOR})
EXAMINING = ACTING | REVEALING
"""Who decides and who audits may see what may hold a buyer's data: a file of evidence, and a shop's answers."""


def may_act(visit: Visit) -> bool:
    """Whether the operator's role verifies, notes, sends again, replays, uploads and proposes."""
    return visit.operator.role in ACTING


def may_examine(visit: Visit) -> bool:
    """Whether the operator's role sees files of evidence and what endpoints answered."""
    return visit.operator.role in EXAMINING


class Route(Struct, frozen=True, kw_only=True):
    """`path` is as aiohttp writes it. With `confirms`, the form's field `confirm` has the password or a new code.

    `max_body` is in bytes.
    """

    method: Literal["GET", "POST"]
    path: str
    roles: frozenset[OperatorRole]
    handler: Callable[[Visit], Awaitable[web.StreamResponse]]
    confirms: bool = False
    max_body: int = 64 * KB


class OpenRoute(Struct, frozen=True, kw_only=True):
    """A route that needs no sign-in."""

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[Guest], Awaitable[web.StreamResponse]]
    max_body: int = 16 * KB
