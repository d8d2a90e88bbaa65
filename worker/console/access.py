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

from worker.config.console import Operator
from worker.config.operators import credentials_of
from worker.console.console_refusals import Denied, refusal
from worker.console.form_files import read_files
from worker.console.layout import Page, language_of
from worker.console.oidc_flow import used_confirmation
from worker.console.operator_turns import REFUSED_SECONDS, OutOfTurn
from worker.console.page_script import REFRESHES
from worker.console.route_table import KB, OpenRoute, Route
from worker.console.sign_in_form import MOST_KEPT, kept_fields, not_confirmed_page, sign_in_page
from worker.console.visit import ConsoleContext, Guest, Visit, form_token, token_hash
from worker.postgres.console_sessions import LONGEST, ConsoleSession, begin_session, find_session
from worker.runtime.contacts import is_personal
from worker.runtime.peer_addresses import is_in, read_address

COOKIE = "__Host-payproof"
TOKEN_BYTES = 32
Routes = Mapping[tuple[str, str], Route | OpenRoute]

UTF_8 = "utf-8"
"""The encoding of our pages, and so of their forms."""

SLOWEST = 128 * KB
"""In bytes a second: a file that comes more slowly is cut off."""

log = structlog.get_logger()


def entering(context: ConsoleContext, routes: Routes) -> Middleware:
    """The middleware that lets each request through to the handler of its route, or refuses it."""

    @web.middleware
    async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
        del handler  # those of the table are called, and no others
        guest = Guest(request=request, context=context, language=language_of(request), form={})
        known = [guest]
        try:
            async with context.sessions.of(request.cookies.get(COOKIE) or object()):
                return await _written(await _enter(guest, routes, known))
        except OutOfTurn as refused:
            await asyncio.sleep(REFUSED_SECONDS)
            return await _written(refusal(guest, refused))
        except Exception as error:  # noqa: BLE001 - each has its page, and the log has what nobody expected
            return await _written(refusal(known[-1], error))

    return enter


async def _written(answer: web.StreamResponse) -> web.StreamResponse:
    if isinstance(answer, Page):
        await answer.write_text()
    return answer


async def _enter(guest: Guest, routes: Routes, known: list[Guest]) -> web.StreamResponse:
    """`known` gets the visit once it is known whose it is: an error is then told within the console's frame."""
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
        return await _to_sign_in(guest, route)
    operator, token, cookie = found
    known.append(visit_of(guest, operator, token))
    if operator.role not in route.roles:
        raise Denied(403, "role", role=guest.say(f"role.{operator.role}"))
    form = await _form(request, route.max_body) if request.method == "POST" else {}
    if request.method == "POST" and not _is_of(form, token):
        raise Denied(403, "forged")
    async with AsyncExitStack() as turn:
        await turn.enter_async_context(context.turns.of(operator.name))
        visit = visit_of(_with(guest, form), operator, token, turn)
        if route.confirms and (wrong := await _confirmed(visit)) is not None:
            return not_confirmed_page(visit, request.path, wrong)
        if request.method == "POST" and await _session(guest) != found:  # it ended while the form came or waited
            return _sign_in_keeping(guest, route, form)
        answer = await route.handler(visit)
    if cookie:
        set_session(answer, token)
    return answer


async def _confirmed(visit: Visit) -> str | None:
    """None where the operator confirms this act by password, new code or new sign-in. Else the key of what is wrong."""
    given, by_provider = str(visit.form.get("confirm", "")), visit.context.operators.console.oidc is not None
    if by_provider and not given:
        return None if await used_confirmation(visit) else "confirm.elsewhere"
    return None if await visit.context.sign_in.confirmed(visit.operator, given, visit.address) else "confirm.wrong"


async def _session(guest: Guest) -> tuple[Operator, str, bool] | None:
    """The operator, the token of the session, and whether the browser has yet to be told it. None: signed out."""
    request, context = guest.request, guest.context
    named = _proxied(request, context)
    token = request.cookies.get(COOKIE, "")
    if token:
        by_proxy = _by_proxy(request, context)

        def fits(session: ConsoleSession) -> bool:
            operator = context.operators.of_session(session.operator, session.credentials)
            return operator is not None and (named == operator or not by_proxy)

        session = await find_session(context.database, token_hash(token), fits=fits, active=_is_navigation(request))
        if session is not None and (operator := context.operators.named(session.operator)) is not None:
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
    await guest.context.sign_in_record.succeeded(operator, address)
    return token


def set_session(answer: web.StreamResponse, token: str) -> None:
    """Have the browser keep the session, for as long as one may last."""
    seconds = int(LONGEST.total_seconds())
    answer.set_cookie(COOKIE, token, max_age=seconds, path="/", secure=True, httponly=True, samesite="Strict")


async def _form(request: web.Request, most: int) -> Mapping[str, Any]:
    """The fields of a form that a page of ours sent. Raises Denied for any other."""
    if not _from_own_page(request) or (request.charset or UTF_8).lower() != UTF_8:
        raise Denied(403, "forged")
    async with asyncio.timeout(60 + most / SLOWEST):
        if request.content_type == "multipart/form-data":
            return await read_files(request, most)
        try:
            return await request.clone(client_max_size=most).post()
        except (UnicodeError, LookupError):
            raise web.HTTPBadRequest from None


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


def visit_of(guest: Guest, operator: Operator, token: str, turn: AsyncExitStack | None = None) -> Visit:
    """The request as that of this operator, in the session of this token."""
    return Visit(
        request=guest.request,
        context=guest.context,
        language=guest.language,
        form=guest.form,
        operator=operator,
        token=token,
        turn=turn or AsyncExitStack(),
    )


def _with(guest: Guest, form: Mapping[str, Any]) -> Guest:
    return Guest(request=guest.request, context=guest.context, language=guest.language, form=form)


def _is_navigation(request: web.Request) -> bool:
    """Whether a person asked for it: a page that refreshes itself does not keep a session alive.

    The script says that it asks; a browser that knows fetch metadata says so too.
    """
    return REFRESHES not in request.headers and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


async def _to_sign_in(guest: Guest, route: Route) -> web.StreamResponse:
    """Send a person to sign in. What was typed into a form of ours goes with them.

    A link on another site is opened once more from here: with the first request the browser sent no strict cookie.
    """
    request = guest.request
    if request.method != "GET":
        if not _from_own_page(request) or (request.content_length or MOST_KEPT + 1) > MOST_KEPT:
            raise Denied(401, "signed_out")
        return _sign_in_keeping(guest, route, await _form(request, MOST_KEPT))
    if not _is_navigation(request):
        return web.Response(status=401)
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return web.Response(text='<!doctype html><meta http-equiv="refresh" content="0">', content_type="text/html")
    onward = request.path if any(map(is_personal, request.query.values())) else request.path_qs
    ended = "ended=yes&" if COOKIE in request.cookies else ""
    return web.Response(status=303, headers={"Location": f"/sign-in?{ended}next={quote(onward, safe='')}"})


def _sign_in_keeping(guest: Guest, route: Route, form: Mapping[str, Any]) -> web.Response:
    """The form to sign in, with what was typed into this one."""
    kept = kept_fields(form, guest.request.path, confirms=route.confirms)
    return sign_in_page(guest, "/", guest.say("again.kept"), status=401, kept=kept)
