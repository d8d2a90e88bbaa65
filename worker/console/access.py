"""Who may do what in the console: the one place where a request becomes a visit. What is not allowed here is refused.

The handlers of the route table are called from here alone. A change needs a POST from a page of ours: the browser names
the page's origin, and the form has its session's token.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from consumers.ports.unavailable import DatabaseUnavailable, error_name
from worker.config.console import Operator
from worker.config.operators import credentials_of
from worker.console.form_files import read_files
from worker.console.layout import Page, error_page, language_of
from worker.console.operator_turns import REFUSED_SECONDS, OutOfTurn
from worker.console.route_table import KB, OpenRoute, Route
from worker.console.sign_in import TooManyFailures
from worker.console.visit import ConsoleContext, Guest, Visit, form_token, token_hash
from worker.postgres.console_sessions import LONGEST, begin_session, find_session
from worker.postgres.driver_errors import StatementTooLong
from worker.postgres.pools import READ_SECONDS
from worker.runtime.peer_addresses import is_in, read_address

COOKIE = "__Host-payproof"
TOKEN_BYTES = 32
Routes = Mapping[tuple[str, str], Route | OpenRoute]

SLOWEST = 128 * KB
"""In bytes a second: a file that comes more slowly is cut off."""

RETRY_AFTER = "5"

log = structlog.get_logger()


class Denied(Exception):
    """The request is refused, with a page of this status: see `error_page`."""

    def __init__(self, status: int, name: str, key: str | None = None, **values: object) -> None:
        super().__init__(name)
        self.status, self.name, self.key, self.values = status, name, key, values


def entering(context: ConsoleContext, routes: Routes) -> Middleware:
    """The middleware that lets each request through to the handler of its route, or refuses it."""

    @web.middleware
    async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
        del handler  # those of the table are called, and no others
        guest = Guest(request=request, context=context, language=language_of(request), form={})
        try:
            async with context.sessions.of(request.cookies.get(COOKIE) or object()):
                return await _written(await _enter(guest, routes))
        except OutOfTurn as refused:
            await asyncio.sleep(REFUSED_SECONDS)
            return await _written(_refusal(guest, refused))
        except Exception as error:  # noqa: BLE001 - each has its page, and the log has what nobody expected
            return await _written(_refusal(guest, error))

    return enter


async def _written(answer: web.StreamResponse) -> web.StreamResponse:
    if isinstance(answer, Page):
        await answer.write_text()
    return answer


def _refusal(guest: Guest, error: Exception) -> web.StreamResponse:
    """The page that says why the request was not answered."""
    match error:
        case Denied():
            return error_page(guest, error.status, error.name, error.key, **error.values)
        case web.HTTPBadRequest():
            return error_page(guest, 400, "forged")
        case web.HTTPRequestEntityTooLarge():
            return error_page(guest, 413, "too_large")
        case TooManyFailures():
            answer = error_page(guest, 429, "confirm", "sign_in.slow", seconds=_whole(error.seconds))
            answer.headers["Retry-After"] = str(_whole(error.seconds))
            return answer
        case OutOfTurn():
            log.warning("console.out_of_turn", why=str(error))
            answer = error_page(guest, 429, "turns")
            answer.headers["Retry-After"] = RETRY_AFTER
            return answer
        case StatementTooLong():
            log.warning("console.too_long", path=guest.request.path)
            return error_page(guest, 503, "too_long", seconds=READ_SECONDS)
        case DatabaseUnavailable() | TimeoutError():
            log.warning("console.unavailable", error=error_name(error))
            return error_page(guest, 503, "unavailable")
    log.error("console.failed", exc_info=error)
    return error_page(guest, 500, "failed")


async def _enter(guest: Guest, routes: Routes) -> web.StreamResponse:
    request, context = guest.request, guest.context
    resource = request.match_info.route.resource
    route = routes.get((request.method, resource.canonical)) if resource is not None else None
    if route is None or "\0" in request.path:
        raise Denied(404, "missing")
    if isinstance(route, OpenRoute):
        form = await _form(request, route.max_body) if request.method == "POST" else {}
        return await route.handler(_with(guest, form))
    if not context.operators.console.operators:
        raise Denied(503, "no_operators")
    if (found := await _session(guest)) is None:
        return _to_sign_in(request)
    operator, token, cookie = found
    if operator.role not in route.roles:
        raise Denied(403, "role", role=guest.say(f"role.{operator.role}"))
    form = await _form(request, route.max_body) if request.method == "POST" else {}
    if request.method == "POST" and not _is_of(form, token):
        raise Denied(403, "forged")
    async with AsyncExitStack() as turn:
        await turn.enter_async_context(context.turns.of(operator.name))
        visit = Visit(
            request=request,
            context=context,
            language=guest.language,
            form=form,
            operator=operator,
            token=token,
            turn=turn,
        )
        if route.confirms and not await context.sign_in.confirmed(operator, str(form.get("confirm", ""))):
            raise Denied(403, "confirm", "confirm.wrong")
        answer = await route.handler(visit)
    if cookie:
        set_session(answer, token)
    return answer


async def _session(guest: Guest) -> tuple[Operator, str, bool] | None:
    """The operator, the token of the session, and whether the browser has yet to be told it. None: signed out."""
    request, context = guest.request, guest.context
    named = _proxied(request, context)
    token = request.cookies.get(COOKIE, "")
    if token:
        session = await find_session(context.database, token_hash(token), active=_is_navigation(request))
        operator = context.operators.named(session.operator) if session is not None else None
        fits = operator is not None and session is not None and credentials_of(operator) == session.credentials
        if operator is not None and fits and (named == operator or not _by_proxy(request, context)):
            return operator, token, False
    if named is not None and request.method == "GET":
        return named, await new_session(guest, named), True
    return None


def _proxied(request: web.Request, context: ConsoleContext) -> Operator | None:
    """The operator whom an identity proxy names. Its header is believed from the connection's own peer alone."""
    proxy = context.operators.console.proxy
    if proxy is None or not _by_proxy(request, context):
        return None
    named = request.headers.getall(proxy.header, [])
    return context.operators.named(named[0].strip()) if len(named) == 1 else None


def _by_proxy(request: web.Request, context: ConsoleContext) -> bool:
    """Whether the request came by the identity proxy. Then the session is that of the operator whom it names."""
    proxy, peer = context.operators.console.proxy, read_address(request.remote or "")
    return proxy is not None and peer is not None and is_in(peer, proxy.networks)


async def new_session(guest: Guest, operator: Operator) -> str:
    """Begin a session of this operator. Returns its token."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    database, address = guest.context.database, guest.address
    await begin_session(database, token_hash(token), operator.name, credentials_of(operator), address)
    return token


def set_session(answer: web.StreamResponse, token: str) -> None:
    """Have the browser keep the session, for as long as one may last."""
    seconds = int(LONGEST.total_seconds())
    answer.set_cookie(COOKIE, token, max_age=seconds, path="/", secure=True, httponly=True, samesite="Strict")


async def _form(request: web.Request, most: int) -> Mapping[str, Any]:
    """The fields of a form that a page of ours sent. Raises Denied for any other."""
    if not _from_own_page(request):
        raise Denied(403, "forged")
    async with asyncio.timeout(60 + most / SLOWEST):
        if request.content_type == "multipart/form-data":
            return await read_files(request, most)
        return await request.clone(client_max_size=most).post()


def _from_own_page(request: web.Request) -> bool:
    origin, site = request.headers.getall("Origin", []), request.headers.get("Sec-Fetch-Site", "same-origin")
    try:
        parts = urlsplit(origin[0]) if len(origin) == 1 else None
    except ValueError:
        return False
    own = parts is not None and parts.scheme in ("http", "https") and parts.netloc.lower() == request.host.lower()
    return own and site == "same-origin"


def _is_of(form: Mapping[str, Any], token: str) -> bool:
    given = form.get("token")
    return isinstance(given, str) and secrets.compare_digest(given.encode(), form_token(token).encode())


def _with(guest: Guest, form: Mapping[str, Any]) -> Guest:
    return Guest(request=guest.request, context=guest.context, language=guest.language, form=form)


def _is_navigation(request: web.Request) -> bool:
    """Whether a person asked for it: a page that refreshes itself does not keep a session alive."""
    return request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


def _to_sign_in(request: web.Request) -> web.StreamResponse:
    """Send a person to sign in.

    A link on another site is opened once more from here: with the first request the browser sent no strict cookie.
    """
    if request.method != "GET":
        raise Denied(401, "signed_out")
    if not _is_navigation(request):
        return web.Response(status=401)
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return web.Response(text='<!doctype html><meta http-equiv="refresh" content="0">', content_type="text/html")
    return web.Response(status=303, headers={"Location": f"/sign-in?next={quote(request.path_qs, safe='')}"})


def _whole(seconds: float) -> int:
    return max(1, round(seconds + 0.5))
