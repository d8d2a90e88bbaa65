"""The frame of every page: head, style, the shop's name, and the headers that let nothing else run.

Browsers apply `form-action` to redirects as well, and the answer to an order is a redirect to the gateway's checkout,
on any host.
"""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from worker.playground.shop.pages.markup import Html, html

_HERE = Path(__file__).parent


def _asset(name: str) -> Html:
    return Html(_HERE.joinpath(name).read_text(encoding="utf-8"))


_STYLE = _asset("shop.css")
SCRIPTS = {name: _asset(name) for name in ("again.js", "catalogue.js", "live.js")}
LOOK_AGAIN = ("again.js", "live.js")
_DOCUMENT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><a class="skip" href="#main">To the content</a>
<header><a class="brand" href="/">Sreemangal Tea</a><span>a demo shop: no real money moves here</span>
<nav><a href="/">New order</a><a href="/orders">Orders</a></nav></header>
<main id="main" tabindex="-1">{body}{again}</main>{script}</body></html>
"""


def shop_page(title: str, body: Html, *, script: str | None = None, status: int = 200) -> web.Response:
    """`script` is one of SCRIPTS. A page that looks again by itself has a link for browsers without scripts."""
    document = html(
        _DOCUMENT,
        title=title,
        style=_STYLE,
        body=body,
        script="" if script is None else html("<script>{code}</script>", code=SCRIPTS[script]),
        again=Html(_AGAIN) if script in LOOK_AGAIN else "",
    )
    return respond(document, status=status, policy=_policy(script))


def respond(document: Html, *, status: int = 200, policy: str = "default-src 'none'") -> web.Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=document, status=status, content_type="text/html", headers=headers)


_AGAIN = '<noscript><p><a class="button" href="">Look again</a></p></noscript>'


def _policy(script: str | None) -> str:
    run = f"script-src {_hash(SCRIPTS[script])}; connect-src 'self'; " if script else ""
    return (
        f"default-src 'none'; style-src {_hash(_STYLE)}; {run}form-action 'self' http: https:; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
