"""The table of the console's routes: the only ones that are served, each with the roles that may use it."""

from __future__ import annotations

from worker.console.oidc_flow import CALLBACK
from worker.console.pages import gateways_page, now_page, oidc_page, settings_page, sign_in_page
from worker.console.pages.books_routes import BOOKS
from worker.console.pages.decide_routes import DECIDE
from worker.console.pages.find_routes import FIND
from worker.console.pages.hooks_routes import HOOKS
from worker.console.route_table import EVERYBODY, OpenRoute, Route
from worker.console.sign_in_form import MOST_KEPT

ROUTES: tuple[Route | OpenRoute, ...] = (
    OpenRoute(method="GET", path="/assets/{name}", handler=sign_in_page.asset),
    OpenRoute(method="GET", path="/sign-in", handler=sign_in_page.show_sign_in),
    OpenRoute(method="POST", path="/sign-in", handler=sign_in_page.sign_in, max_body=4 * MOST_KEPT),
    OpenRoute(method="GET", path="/sign-in/oidc", handler=oidc_page.begin_sign_in),
    OpenRoute(method="GET", path=CALLBACK, handler=oidc_page.come_back),
    Route(method="GET", path="/confirm", roles=EVERYBODY, handler=oidc_page.begin_confirmation),
    Route(method="GET", path="/session", roles=EVERYBODY, handler=sign_in_page.show_sessions),
    Route(method="POST", path="/sign-out", roles=EVERYBODY, handler=sign_in_page.sign_out),
    Route(method="POST", path="/sign-out-everywhere", roles=EVERYBODY, handler=sign_in_page.sign_out_everywhere),
    Route(method="GET", path="/", roles=EVERYBODY, handler=now_page.show_now),
    Route(method="GET", path="/gateways", roles=EVERYBODY, handler=gateways_page.show_gateways),
    Route(method="GET", path="/settings", roles=EVERYBODY, handler=settings_page.show_settings),
    *FIND,
    *DECIDE,
    *HOOKS,
    *BOOKS,
)
