"""The frame of every page: navigation, search, language, who is signed in; and pages that say what is wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from hashlib import sha256
from time import perf_counter
from types import MappingProxyType

import htpy as h
from aiohttp import web

from worker.console.page_script import SCRIPT
from worker.console.stylesheet import STYLE
from worker.console.visit import Guest, Visit, is_own_path
from worker.console.wording import LANGUAGES, NAMES
from worker.ingress.pages.language import chosen, preferred
from worker.runtime.contacts import is_personal

LANGUAGE_COOKIE = "__Host-language"
AT_ONCE_SECONDS = 0.002
YEAR_SECONDS = 365 * 24 * 3600
NAVIGATION = (
    ("/", "nav.now"),
    ("/find", "nav.find"),
    ("/payments", "nav.payments"),
    ("/held", "nav.held"),
    ("/approvals", "nav.approvals"),
    ("/gateways", "nav.gateways"),
    ("/endpoints", "nav.endpoints"),
    ("/events", "nav.events"),
    ("/dead-letters", "nav.dead"),
    ("/statements", "nav.statements"),
    ("/audit", "nav.audit"),
    ("/settings", "nav.settings"),
)
"""All pages of the menu, in its order. A page is shown there where it has a route that the operator's role may use."""


def _asset(text: str, kind: str) -> str:
    return f"/assets/{sha256(text.encode()).hexdigest()[:16]}.{kind}"


ASSETS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {_asset(STYLE, "css"): (STYLE, "text/css"), _asset(SCRIPT, "js"): (SCRIPT, "text/javascript")}
)
"""The style sheet and the script by their paths, which are named by their hashes."""
_STYLE_PATH, _SCRIPT_PATH = ASSETS

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",  # with no-referrer, a browser would not name our own origin in a POST
    "Vary": "Accept-Language, Cookie",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Signs that turn the direction of the text after them. A buyer or a shop could change with them how our words read."""


class Page(web.Response):
    """A page of ours. `write_text` makes its text bit by bit, so that a long one holds up no callback."""

    def __init__(self, document: h.Element, status: int) -> None:
        super().__init__(status=status, content_type="text/html", charset="utf-8", headers=HEADERS)
        self._document = document

    async def write_text(self) -> None:
        pieces, since = [], perf_counter()
        for piece in self._document.iter_chunks():
            pieces.append(piece)
            if perf_counter() - since > AT_ONCE_SECONDS:
                await asyncio.sleep(0)
                since = perf_counter()
        self.text = _TURNS.sub("\ufffd", "".join(pieces))


def page(
    visit: Visit,
    title: str,
    *content: h.Node,
    status: int = 200,
    refresh: int | None = None,
) -> Page:
    """A page of an operator. `title` is its heading. `refresh`: the script fetches it again after so many seconds."""
    main = h.main("#main", tabindex="-1", data_refresh=refresh, data_stale=visit.say("stale") if refresh else None)[
        h.h1[title], content
    ]
    return _document(visit, title, (_header(visit), h.div(".columns")[_side(visit), main]), status)


def plain_page(guest: Guest, title: str, *content: h.Node, status: int = 200) -> Page:
    """A page for somebody who is not signed in."""
    main = h.main("#main.narrow")[h.h1[title], content]
    return _document(guest, title, (h.header(".bar")[_brand(), _languages(guest)], main), status)


def error_page(guest: Guest, status: int, name: str, key: str | None = None, **values: object) -> Page:
    """A page that says what is wrong, with the words of `error.NAME`, or with those of another key."""
    request, title = guest.request, guest.say(f"error.{name}.title")
    again = h.p[h.a(href=request.path_qs)[guest.say("refresh")]] if status == 503 and request.method == "GET" else None
    words = h.p(".note.bad", role="alert")[guest.say(key or f"error.{name}", **values)]
    content = (words, again, h.p[h.a(href="/")[guest.say("nav.now")]])
    if isinstance(guest, Visit):
        return page(guest, title, content, status=status)
    return plain_page(guest, title, content, status=status)


def missing(guest: Guest) -> Page:
    """The page that says that there is no such page, or that it is about a merchant that is not the operator's."""
    return error_page(guest, 404, "missing")


def see_other(path: str) -> web.Response:
    """The answer that makes the browser open this page of ours, such as after a POST that was done."""
    return web.Response(status=303, headers={"Location": path})


def language_of(request: web.Request) -> str:
    """The language that the person chose here, else the browser's."""
    said = chosen(request.query.get("lang")) or chosen(request.cookies.get(LANGUAGE_COOKIE))
    return said or preferred(request.headers.get("Accept-Language", ""))


def _document(guest: Guest, title: str, body: h.Node, status: int) -> Page:
    document = h.html(lang=guest.language)[
        h.head[
            h.meta(charset="utf-8"),
            h.meta(name="viewport", content="width=device-width,initial-scale=1"),
            h.meta(name="color-scheme", content="light dark"),
            h.title[f"{title} · Payproof"],
            h.link(rel="icon", href="data:,"),
            h.link(rel="stylesheet", href=_STYLE_PATH),
            h.script(src=_SCRIPT_PATH, defer=True),
        ],
        h.body[h.a(".skip", href="#main")[guest.say("skip")], body],
    ]
    answer = Page(document, status)
    answer.headers["Content-Language"] = guest.language
    if said := chosen(guest.request.query.get("lang")):
        answer.set_cookie(LANGUAGE_COOKIE, said, max_age=YEAR_SECONDS, path="/", secure=True, samesite="Lax")
    return answer


def _brand() -> h.Element:
    return h.a(".brand", href="/")["Payproof"]


def _header(visit: Visit) -> h.Element:
    name, role = visit.operator.name, visit.say(f"role.{visit.operator.role}")
    search = (
        h.form(".search", action="/find", method="post", role="search")[
            h.input(type="hidden", name="token", value=visit.form_token),
            h.label(".hidden", for_="q")[visit.say("search")],
            h.input(
                "#q", type="search", name="q", placeholder=visit.say("search"), maxlength="200", autocomplete="off"
            ),
            h.button[visit.say("search.button")],
        ]
        if _may(visit, "/find")
        else None
    )
    return h.header(".bar")[
        _brand(),
        h.details(".menu")[h.summary[visit.say("menu")], h.nav(aria_label=visit.say("menu"))[_links(visit)]],
        search,
        h.a(".who", href="/session", aria_label=visit.say("account", name=name, role=role))[
            name, h.span(".role")[f"({role})"]
        ],
        _languages(visit),
    ]


def _side(visit: Visit) -> h.Element:
    return h.nav(".side", aria_label=visit.say("pages"))[_links(visit)]


def _links(visit: Visit) -> h.Element:
    here = visit.request.path
    return h.ul[
        [
            h.li[h.a(href=path, aria_current="page" if _is_here(here, path) else None)[visit.say(key)]]
            for path, key in NAVIGATION
            if _may(visit, path)
        ]
    ]


def _is_here(here: str, path: str) -> bool:
    return here == path or (path != "/" and here.startswith(f"{path}/"))


def _may(visit: Visit, path: str) -> bool:
    return visit.operator.role in visit.context.menu.get(path, frozenset())


def _languages(guest: Guest) -> h.Element:
    """A link that shows the same page in the other language. An answer to a POST, or of a provider, has none."""
    [other] = [one for one in LANGUAGES if one != guest.language]
    query = {name: value for name, value in guest.request.query.items() if not is_personal(value)} | {"lang": other}
    path = str(guest.request.rel_url.with_query(query))
    if guest.request.method != "GET" or "code" in guest.request.query or not is_own_path(path):
        path = f"/?lang={other}"
    return h.a(".language", href=path, lang=other, hreflang=other)[NAMES[other]]
