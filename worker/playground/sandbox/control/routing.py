"""A route of the control API, described where it is defined, and the handler that reads, answers and refuses.

The statuses of a refusal: 400 for a request that cannot be read, 404 for an unknown session, 409 for an action that the
session does not allow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct, field

from worker.playground.sandbox.background import HTTP
from worker.playground.sandbox.control.read_request import WrongControl, read_control, read_control_body
from worker.playground.sandbox.sandbox import SANDBOX, Sandbox
from worker.playground.sandbox.simulated_gateway import Impossible


class Refused(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reason of a refusal. `field` names the wrong field or parameter, where there is one."""

    error: str
    field: str | None = None


class Asked(Struct, frozen=True, kw_only=True):
    """The input of a route beside the sandbox. `said` is its body or query, as the route's Struct.

    `root` is the sandbox's own address as the client reaches it.
    """

    said: Any
    http: Any
    root: str


class Route(Struct, frozen=True, kw_only=True):
    """One method of one path. `example` is a body or query that works, for the page."""

    method: str
    path: str
    name: str
    summary: str
    answers: type[Struct]
    do: Callable[[Sandbox, Asked], Awaitable[Struct]]
    body: type[Struct] | None = None
    query: type[Struct] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    problems: frozenset[int] = frozenset()

    @property
    def refusals(self) -> list[int]:
        reads = self.body is not None or self.query is not None
        return sorted(self.problems | ({400} if reads else set()))


def handler(route: Route) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        sandbox = request.app[SANDBOX]
        status = 200
        try:
            said = await _said(route, request)
            answer: Struct = await route.do(
                sandbox, Asked(said=said, http=request.app[HTTP], root=sandbox.root(request))
            )
        except WrongControl as wrong:
            status, answer = 400, Refused(error=str(wrong), field=wrong.field)
        except LookupError as error:
            status, answer = 404, Refused(error=str(error.args[0]))
        except Impossible as error:
            status, answer = 409, Refused(error=str(error))
        sandbox.queued.set()
        return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")

    return handle


async def _said(route: Route, request: web.Request) -> Struct | None:
    if route.body is not None:
        return read_control_body(await request.read(), route.body)
    if route.query is not None:
        return read_control({name: value for name, value in request.query.items() if value}, route.query, texts=True)
    return None
