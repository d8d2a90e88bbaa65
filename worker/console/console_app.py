"""The console's application, on a listener of its own: never on the public one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import structlog
from aiohttp import web

from consumers.ports.bus import ClaimPublisher
from consumers.ports.unavailable import DatabaseUnavailable, error_name
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
from worker.postgres.console_sessions import end_sessions_of_others
from worker.postgres.database import Database
from worker.runtime.http_listener import guarded

AGAIN_SECONDS = 5.0

log = structlog.get_logger()


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
    app.cleanup_ctx.append(partial(_ending_sessions, operators, database))
    app.on_response_prepare.append(_headed)
    app.on_response_prepare.append(guarded())
    return app


async def _ending_sessions(operators: Operators, database: Database, _: web.Application) -> AsyncIterator[None]:
    """End the sessions of those who are no operators any more, at the start and whenever they were read anew.

    So nobody's session comes back with their lines, also where no request of theirs came in between.
    """

    async def run() -> None:
        while await operators.renewed.wait():
            operators.renewed.clear()
            try:
                ended = await end_sessions_of_others(database, [one.name for one in operators.console.operators])
            except DatabaseUnavailable as error:
                log.warning("operators.sessions_not_ended", error=error_name(error))
                operators.renewed.set()
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                if ended:
                    log.info("operators.sessions_ended", sessions=ended)

    running = asyncio.create_task(run())
    yield
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _unreached(_: web.Request) -> web.StreamResponse:
    """The middleware calls the handler of the table, and never this."""
    raise AssertionError("a request passed by the console's middleware")


async def _headed(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
