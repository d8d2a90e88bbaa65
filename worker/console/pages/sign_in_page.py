"""Sign-in, sign-out, and the operator's own sessions."""

from __future__ import annotations

import htpy as h
from aiohttp import web

from worker.console.access import COOKIE, new_session, set_session, visit_of
from worker.console.acted import acted
from worker.console.elements import Column, form, moment, table
from worker.console.layout import ASSETS, missing, page, see_other
from worker.console.sign_in import TooManyFailures
from worker.console.sign_in_form import kept_again, kept_form, sign_in_page
from worker.console.visit import Guest, Visit, is_own_path, token_hash
from worker.postgres.console_sessions import end_session, end_sessions, sessions_of

_FOREVER = "public, max-age=31536000, immutable"
_SESSION_COLUMNS = (Column("session.since"), Column("session.seen"), Column("session.address"))


async def asset(guest: Guest) -> web.StreamResponse:
    """The style sheet or the script. Their paths are named by their hashes, so a browser may keep them."""
    found = ASSETS.get(guest.request.path)
    if found is None:
        return missing(guest)
    return web.Response(text=found[0], content_type=found[1], charset="utf-8", headers={"Cache-Control": _FOREVER})


async def show_sign_in(guest: Guest) -> web.StreamResponse:
    query = guest.request.query
    ended = guest.say("sign_in.ended") if "ended" in query else None
    return sign_in_page(guest, query.get("next", "/"), ended)


async def sign_in(guest: Guest) -> web.StreamResponse:
    """Begin a session, and go on to the page that was wanted, or to the form that was sent when none was open."""
    given = {name: str(guest.form.get(name, "")) for name in ("name", "password", "code", "next")}
    context, onward, kept = guest.context, given["next"], kept_again(guest.form)
    try:
        operator = await context.sign_in.operator(
            given["name"].strip(), given["password"], given["code"].strip(), guest.address
        )
    except TooManyFailures as slowed:
        seconds = max(1, round(slowed.seconds + 0.5))
        answer = sign_in_page(guest, onward, guest.say("sign_in.slow", seconds=seconds), status=429, kept=kept)
        answer.headers["Retry-After"] = str(seconds)
        return answer
    except TimeoutError:
        return sign_in_page(guest, onward, guest.say("sign_in.busy"), status=503, kept=kept)
    if operator is None:
        return sign_in_page(guest, onward, guest.say("sign_in.wrong"), status=403, kept=kept)
    token = await new_session(guest, operator)
    to = kept_form(visit_of(guest, operator, token), guest.form)
    to = to or see_other(onward if is_own_path(onward) else "/")
    set_session(to, token)
    return to


async def show_sessions(visit: Visit) -> web.StreamResponse:
    found = await sessions_of(visit.database, visit.operator.name)
    rows = [(moment(visit, one.created_at), moment(visit, one.seen_at), one.address) for one in found]
    return page(
        visit,
        visit.say("session"),
        h.p[visit.say("account", name=visit.operator.name, role=visit.say(f"role.{visit.operator.role}"))],
        table(visit, visit.say("session.table"), _SESSION_COLUMNS, rows, empty=visit.say("none")),
        h.p(".quiet")[visit.say("session.explain")],
        form(visit, "/sign-out", h.button[visit.say("sign_out")], kind="inline"),
        form(visit, "/sign-out-everywhere", h.button(".second")[visit.say("sign_out.everywhere")], kind="inline"),
    )


async def sign_out(visit: Visit) -> web.StreamResponse:
    await acted(visit, "operator.signed_out")
    await end_session(visit.database, token_hash(visit.token))
    return _signed_out()


async def sign_out_everywhere(visit: Visit) -> web.StreamResponse:
    await acted(visit, "operator.signed_out_everywhere")
    await end_sessions(visit.database, visit.operator.name)
    return _signed_out()


def _signed_out() -> web.Response:
    answer = see_other("/sign-in")
    answer.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
    return answer
