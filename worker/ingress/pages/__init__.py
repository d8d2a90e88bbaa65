"""The pages a returning buyer may see: one small document each, English or Bangla, that asks for nothing else.

The one thing to get wrong: what is put on them. The shop's name, the reference and the addresses are escaped where they
are written, nothing of a request is shown, and there is nothing about the buyer to show. Each page fits in the first
ten packets of a connection, so that on a slow link it is there after one round trip; compressing it would gain nothing.
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
    """How a Content-Security-Policy names an inline script or style: by the hash of the very text."""
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src {_named(STYLE)}; script-src {_named(SCRIPT)}; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    # Not same-origin: a shop that opened the checkout in a window of its own would lose hold of it here, half-way.
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
    """Render a page by its name. `own_path`, which has a query, shows it again: in the other language by its link."""
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
    """The page as HTML. All but the language and the name may be a stranger's text."""
    labels = LANGUAGES[language]
    head, main = _told(language, name)
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
def _told(language: str, name: str) -> tuple[bytes, bytes]:
    """What a page tells everyone: the beginning of its head, and of its main part."""
    words = LANGUAGES[language].pages[name]
    head = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{words.title}</title><link rel="icon" href="data:,">'
    )
    main = f'<main>{icon(name)}<h1>{words.title}</h1><p role="status">{words.state}</p><p>{words.next}</p>'
    return head.encode(), main.encode()


def language_of(request: web.Request) -> str:
    """The language chosen on a page of ours, else the browser's."""
    return chosen(request.query.get("lang")) or preferred(request.headers.get("Accept-Language", ""))


def outcome_name(payment: Glance) -> str:
    """The page for a payment as it stands, after all waiting."""
    if payment.hold is not None:
        return "held"
    return "pending" if payment.status is Status.PENDING else payment.status.value


def _other_language(language: str, path: str) -> str:
    [other] = LANGUAGES.keys() - {language}
    link = f'<a lang="{other}" hreflang="{other}" href="{escape(path)}&amp;lang={other}">'
    return f"<footer>{link}{LANGUAGES[other].own_name}</a></footer>"
