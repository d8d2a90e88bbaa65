"""The form to sign in, and a form that is sent once more: what was typed outlives the session that ended meanwhile.

What was typed travels in hidden fields of the pages themselves. Secrets do not, and a file is chosen again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import htpy as h
from aiohttp import web

from worker.console.elements import confirm_field, facts, form
from worker.console.form_files import FormFile
from worker.console.layout import error_page, page, plain_page
from worker.console.visit import Guest, Visit, is_own_path

MOST_KEPT = 64 * 1024
"""In bytes: a form that is larger is not kept."""
_KEPT, _FILE = "kept.", "kept_file."
_SECRETS = ("token", "confirm", "password", "code", "next")
_FIELDS = (
    ("name", "sign_in.name", "text", "username"),
    ("password", "sign_in.password", "password", "current-password"),
    ("code", "sign_in.code", "text", "one-time-code"),
)
_SHOWN = (
    ("status", "decide.status"),
    ("reason", "decide.reason"),
    ("evidence", "approvals.evidence"),
    ("note", "payment.note"),
    ("words", "books.note"),
    ("why", "approvals.why"),
)
"""Fields that a person sees again, with the key of their label."""


def sign_in_page(
    guest: Guest, onward: str, wrong: str | None = None, *, status: int = 200, kept: h.Node = None
) -> web.Response:
    """`onward`: the page of ours that is opened afterwards. `kept`: see `kept_fields`."""
    if not guest.context.operators.console.operators:
        return error_page(guest, 503, "no_operators")
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
        for name, key, kind, known_as in _FIELDS
    ]
    console, own = guest.context.operators.console, onward if is_own_path(onward) else "/"
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
            onward_field, kept, inputs, h.button[guest.say("sign_in")]
        ],
        status=status,
    )


def kept_fields(form_fields: Mapping[str, Any], action: str, *, confirms: bool) -> h.Fragment:
    """Hidden fields with what the form had, and where it was to go."""
    texts = {f"{_KEPT}{name}": value for name, value in form_fields.items() if isinstance(value, str)}
    files = {f"{_FILE}{name}": value.name for name, value in form_fields.items() if isinstance(value, FormFile)}
    secret = {f"{_KEPT}{name}" for name in _SECRETS}
    kept = {name: value for name, value in {**texts, **files}.items() if value and name not in secret}
    return _hidden({**kept, "again": action, "confirms": "yes" if confirms else ""})


def kept_again(given: Mapping[str, Any]) -> h.Node:
    """The same hidden fields once more, from a form to sign in that had them; nothing where it had none."""
    names = [name for name in given if name.startswith((_KEPT, _FILE)) or name in ("again", "confirms")]
    return _hidden({name: str(given[name]) for name in names}) if given.get("again") else None


def kept_form(visit: Visit, given: Mapping[str, Any]) -> web.Response | None:
    """The page that sends the kept form again, for its operator to look at; None where nothing was kept."""
    action = str(given.get("again", ""))
    if not is_own_path(action):
        return None
    fields = {name.removeprefix(_KEPT): str(value) for name, value in given.items() if name.startswith(_KEPT)}
    files = [name.removeprefix(_FILE) for name in given if name.startswith(_FILE)]
    words = h.p(".note.fine", role="status")[visit.say("again.signed_in")]
    return _again(visit, visit.say("again.title"), action, fields, files, words, confirms=bool(given.get("confirms")))


def not_confirmed_page(visit: Visit, action: str, wrong: str) -> web.Response:
    """The act is not confirmed: the same form, with all that was typed, asks for it again. `wrong`: the key of why."""
    fields = {name: value for name, value in visit.form.items() if isinstance(value, str) and name not in _SECRETS}
    files = [name for name, value in visit.form.items() if isinstance(value, FormFile) and value.name]
    words = h.p(".note.bad", role="alert")[visit.say(wrong)]
    return _again(visit, visit.say("error.confirm.title"), action, fields, files, words, confirms=True, status=403)


def _again(
    visit: Visit,
    title: str,
    action: str,
    fields: Mapping[str, str],
    files: Iterable[str],
    words: h.Node,
    *,
    confirms: bool,
    status: int = 200,
) -> web.Response:
    shown = [(key, _value(visit, name, fields[name])) for name, key in _SHOWN if fields.get(name)]
    chosen = [
        (h.label(for_=f"again-{name}")[visit.say("again.file")], h.input(f"#again-{name}", type="file", name=name))
        for name in files
    ]
    confirmation = confirm_field(visit, action) if confirms else None
    return page(
        visit,
        title,
        words,
        facts(visit, *shown) if shown else None,
        form(
            visit,
            action,
            _hidden(fields),
            chosen,
            confirmation,
            h.button[visit.say("again.send")],
            files=bool(chosen),
        ),
        h.p[h.a(href="/")[visit.say("nav.now")]],
        status=status,
    )


def _value(visit: Visit, name: str, value: str) -> str:
    return visit.say(f"status.{value}") if name == "status" else value


def _hidden(fields: Mapping[str, str]) -> h.Fragment:
    return h.fragment[[h.input(type="hidden", name=name, value=value) for name, value in fields.items()]]
