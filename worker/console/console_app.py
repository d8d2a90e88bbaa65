"""The console's application, on a listener of its own: never on the public one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from consumers.ports.bus import ClaimPublisher
from schemas.words import SignInOutcome
from worker.config import Config, rules_of
from worker.config.operators import Operators
from worker.console.access import entering
from worker.console.console_routes import ROUTES
from worker.console.layout import HEADERS
from worker.console.operator_turns import AT_ONCE, LINE, OF_A_SESSION, WAIT_SECONDS, Turns
from worker.console.route_table import Route
from worker.console.sign_in import SignIn
from worker.console.sign_in_record import SignInRecord
from worker.console.visit import HEAVY_AT_ONCE, HEAVY_LINE, HEAVY_WAIT_SECONDS, ConsoleContext
from worker.ingress.rate_limits import RateLimits
from worker.postgres.database import Database
from worker.runtime.http_listener import guarded


def console_app(
    config: Config,
    operators: Operators,
    database: Database,
    claims: ClaimPublisher,
    count_sign_in: Callable[[SignInOutcome], object] = lambda _: None,
) -> web.Application:
    """`database` is the console's own small pool. `count_sign_in` is called with how each sign-in ended."""
    record = SignInRecord(database, count_sign_in)
    menu = {one.path: one.roles for one in ROUTES if isinstance(one, Route) and one.method == "GET"}
    context = ConsoleContext(
        config=config,
        rules=rules_of(config),
        operators=operators,
        database=database,
        claims=claims,
        sign_in=SignIn(operators, database, record),
        sign_in_record=record,
        senders=RateLimits(config.settings.trusted_proxies),
        sessions=Turns(OF_A_SESSION),
        turns=Turns(AT_ONCE, WAIT_SECONDS, LINE),
        heavy=asyncio.Semaphore(HEAVY_AT_ONCE),
        looks=asyncio.Semaphore(1),
        heavy_turns=Turns(1, HEAVY_WAIT_SECONDS, HEAVY_LINE),
        menu=menu,
        providers=[],
    )
    app = web.Application(middlewares=[entering(context, {(one.method, one.path): one for one in ROUTES})])
    for one in ROUTES:
        app.router.add_route(one.method, one.path, _unreached)
    app.on_response_prepare.append(_headed)
    app.on_response_prepare.append(guarded())
    return app


async def _unreached(_: web.Request) -> web.StreamResponse:
    """The middleware calls the handler of the table, and never this."""
    raise AssertionError("a request passed by the console's middleware")


async def _headed(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
