"""Sign-in, sign-out, and the operator's own sessions."""

from __future__ import annotations

from urllib.parse import quote

import htpy as h
from aiohttp import web

from worker.console.access import COOKIE, new_session, set_session
from worker.console.acted import acted
from worker.console.elements import Column, form, moment, table
from worker.console.layout import ASSETS, error_page, missing, page, plain_page, see_other
from worker.console.sign_in import TooManyFailures
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
    return _sign_in_page(guest, guest.request.query.get("next", "/"))


async def sign_in(guest: Guest) -> web.StreamResponse:
    given = {name: str(guest.form.get(name, "")) for name in ("name", "password", "code", "next")}
    context, onward = guest.context, given["next"]
    try:
        operator = await context.sign_in.operator(
            given["name"].strip(), given["password"], given["code"].strip(), guest.address
        )
    except TooManyFailures as slowed:
        seconds = max(1, round(slowed.seconds + 0.5))
        answer = _sign_in_page(guest, onward, guest.say("sign_in.slow", seconds=seconds), status=429)
        answer.headers["Retry-After"] = str(seconds)
        return answer
    except TimeoutError:
        return _sign_in_page(guest, onward, guest.say("sign_in.busy"), status=503)
    if operator is None:
        return _sign_in_page(guest, onward, guest.say("sign_in.wrong"), status=403)
    to = see_other(onward if is_own_path(onward) else "/")
    set_session(to, await new_session(guest, operator))
    return to


def _sign_in_page(guest: Guest, onward: str, wrong: str | None = None, *, status: int = 200) -> web.Response:
    if not guest.context.operators.console.operators:
        return error_page(guest, 503, "no_operators")
    fields = (
        ("name", "sign_in.name", "text", "username"),
        ("password", "sign_in.password", "password", "current-password"),
        ("code", "sign_in.code", "text", "one-time-code"),
    )
    console, own = guest.context.operators.console, onward if is_own_path(onward) else "/"
    inputs = [
        (
            h.label(for_=name)[guest.say(key)],
            h.input(
                f"#{name}",
                type=kind,
                name=name,
                required=True,
                autocomplete=known_as,
                autocapitalize="none",
                inputmode="numeric" if name == "code" else None,
                maxlength="1000",
            ),
        )
        for name, key, kind, known_as in fields
    ]
    onward_field = h.input(type="hidden", name="next", value=own)
    by_password = console.oidc is None or any(one.password is not None for one in console.operators)
    return plain_page(
        guest,
        guest.say("sign_in"),
        h.p(".note.bad", role="alert")[wrong] if wrong else None,
        console.oidc is not None
        and h.p[
            h.a(".button", href=f"/sign-in/oidc?next={quote(own, safe='')}")[
                guest.say("oidc.sign_in", host=console.oidc.host)
            ]
        ],
        by_password
        and h.form(".stacked.card", method="post", action="/sign-in")[
            onward_field, inputs, h.button[guest.say("sign_in")]
        ],
        status=status,
    )


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
