"""The pages that a returning buyer may see: small documents in English or Bangla that load no other file.

The shop's name, the reference and the URLs are escaped. No text of a request and nothing about the buyer is shown. Each
page fits in the first ten packets of a connection, so on a slow link it needs one round trip, and compression would
gain nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from html import escape

from aiohttp import web
from multidict import CIMultiDict

from schemas.payments import Glance
from schemas.words import Status
from worker.ingress.pages.again import SCRIPT, Again
from worker.ingress.pages.drawing import STYLE, icon
from worker.ingress.pages.language import chosen, preferred
from worker.ingress.pages.page_words import LANGUAGES


def _named(text: str) -> str:
    """The name of an inline script or style in a Content-Security-Policy: the hash of its text."""
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src {_named(STYLE)}; script-src {_named(SCRIPT)}; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    # Not same-origin: a shop that opened the checkout in a new window would lose its reference to that window here.
    "Cross-Origin-Opener-Policy": "unsafe-none",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_HEADERS = {
    language: CIMultiDict({**HEADERS, "Content-Language": language, "Content-Type": "text/html; charset=utf-8"})
    for language in LANGUAGES
}
_STYLE = f"<style>{STYLE}</style></head>".encode()
_SCRIPT = f"<script>{SCRIPT}</script>".encode()


def buyer_page(
    request: web.Request,
    name: str,
    *,
    status: int = 200,
    shop: str | None = None,
    shop_link: str | None = None,
    reference: str | None = None,
    again: Again | None = None,
    own_path: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Render a page by its name, in the browser's language.

    `own_path` is the path, with a query, that shows this page again; a link to it changes the language. It may be a `?`
    alone: the browser's own path. `again`: the page looks again by itself.
    """
    language = language_of(request)
    html = page_html(
        language, name, shop=shop, shop_link=shop_link, reference=reference, again=again, own_path=own_path
    )
    answer = web.Response(body=html, status=status, headers=_HEADERS[language])
    answer.headers.update(headers or {})
    return answer


def page_html(
    language: str,
    name: str,
    *,
    shop: str | None = None,
    shop_link: str | None = None,
    reference: str | None = None,
    again: Again | None = None,
    own_path: str | None = None,
) -> bytes:
    """The page as HTML. The texts of the shop and the request are escaped, because a stranger may have written them."""
    labels = LANGUAGES[language]
    head, main = _fixed_parts(language, name)
    header = f"<header><bdi>{escape(shop)}</bdi></header>" if shop else ""
    link = f'<a href="{escape(shop_link)}">{labels.back}</a>' if shop_link else ""
    named = f'<p class="reference">{labels.reference}: <bdi>{escape(reference)}</bdi></p>' if reference else ""
    other = _other_language(language, own_path) if own_path else ""
    refresh, attributes = (again.refresh(), again.attributes(labels.lost)) if again else ("", "")
    return b"".join(
        (
            head + refresh.encode() + _STYLE,
            f"<body{attributes}>{header}".encode() + main,
            f"{link}{named}</main>{other}".encode(),
            (_SCRIPT if again else b"") + b"</body></html>",
        )
    )


@lru_cache(100)
def _fixed_parts(language: str, name: str) -> tuple[bytes, bytes]:
    """The parts of a page that are the same for all buyers: the beginning of its head, and of its main part."""
    words = LANGUAGES[language].pages[name]
    head = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{words.title}</title><link rel="icon" href="data:,">'
    )
    main = f'<main>{icon(name)}<h1>{words.title}</h1><p role="status">{words.state}</p><p>{words.next}</p>'
    return head.encode(), main.encode()


def language_of(request: web.Request) -> str:
    """The language that the buyer chose on one of our pages, else the browser's."""
    return chosen(request.query.get("lang")) or preferred(request.headers.get("Accept-Language", ""))


def outcome_name(payment: Glance) -> str:
    """The name of the page for a payment as it stands, when the wait is over."""
    if payment.hold is not None:
        return "held"
    return "pending" if payment.status is Status.PENDING else payment.status.value


def _other_language(language: str, path: str) -> str:
    [other] = LANGUAGES.keys() - {language}
    link = f'<a lang="{other}" hreflang="{other}" href="{escape(path)}&amp;lang={other}">'
    return f"<footer>{link}{LANGUAGES[other].own_name}</a></footer>"
