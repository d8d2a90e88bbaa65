"""The control API under `/_control`: a test, a demo or a developer acts there for buyers, gateways and time.

`GET /_control` describes it on one page, `GET /_control/openapi.json` for machines; both are made from the table of
routes. A route is described where it is defined, in the `ROUTES` of its noun's module.
"""

from __future__ import annotations

from aiohttp import web

from worker.playground.sandbox.control import (
    buyers,
    description,
    script_routes,
    sns_routes,
    time,
    trouble_routes,
    webhook_routes,
    whole,
)
from worker.playground.sandbox.control.routing import Route, handler

ROUTES: tuple[Route, ...] = (
    *buyers.ROUTES,
    *script_routes.ROUTES,
    *trouble_routes.ROUTES,
    *webhook_routes.ROUTES,
    *sns_routes.ROUTES,
    *time.ROUTES,
    *whole.ROUTES,
)


def control_routes() -> list[web.RouteDef]:
    return [
        *(web.route(route.method, route.path, handler(route)) for route in ROUTES),
        *description.described_routes(ROUTES),
    ]
