"""The control API's description of itself: the page at `/_control`, and the OpenAPI document beside it.

Nothing is described here by hand. Routes, scripts and credentials come from their tables.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from aiohttp import web

from worker.playground.sandbox.announcing import how_to_set, webhook_url
from worker.playground.sandbox.control.control_openapi import DOCUMENT, PAGE, document
from worker.playground.sandbox.control.routing import Route
from worker.playground.sandbox.control.script_routes import scripts_of
from worker.playground.sandbox.sandbox import SANDBOX, Sandbox
from worker.playground.sandbox.sandbox_config import CREDENTIALS, GATEWAYS

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = (
    "body{margin:0;font:1.0625rem/1.6 system-ui,sans-serif;background:#f6f7f9;color:#1c2430}"
    "main{max-width:46rem;margin:0 auto;padding:1.5rem 1.25rem 4rem}h1{font-size:1.5rem;line-height:1.25}"
    "h2{font-size:1.2rem;margin:2.5rem 0 .5rem}dt{font-weight:600;margin-top:1rem}dd{margin:0}"
    "code,pre{font:.875rem/1.5 ui-monospace,monospace;overflow-wrap:anywhere}"
    "pre{margin:.25rem 0;padding:.5rem .75rem;background:#e9ecf1;border-radius:.375rem;white-space:pre-wrap}"
    "a{color:#0b5cad}small{color:#4a5565}"
)


def described_routes(described: Sequence[Route]) -> list[web.RouteDef]:
    async def page(request: web.Request) -> web.Response:
        html = _page(request.app[SANDBOX], described, _root(request))
        return web.Response(text=html, content_type="text/html", headers=HEADERS)

    async def openapi(request: web.Request) -> web.Response:
        return web.json_response(document(described, _root(request)))

    return [web.get(PAGE, page), web.get(DOCUMENT, openapi)]


def _root(request: web.Request) -> str:
    return request.app[SANDBOX].root(request)


def _page(sandbox: Sandbox, described: Sequence[Route], root: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Payproof sandbox</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>Payproof sandbox</h1>"
        "<p>Simulated payment gateways with hosted checkout pages, for a shop's own tests in any language. "
        "No real money moves here.</p>"
        "<p>Open a checkout at a gateway as its documentation says, with the address and keys below. Then let a script "
        "go wrong, let the shopper pay, and look at what your shop made of it. Bodies and answers are JSON; a refusal "
        'is <code>{"error", "field"}</code> with 400 (cannot be read), 404 (no such checkout) or 409 (cannot happen). '
        f'<a href="{DOCUMENT}">OpenAPI document</a></p>'
        f"<h2>Gateways</h2><dl>{''.join(_gateway(sandbox, name, root) for name in GATEWAYS)}</dl>"
        "<h2>Scripts</h2><p>Each goes wrong for the one order that it was set for. The seconds are those of the script "
        f"unless told otherwise.</p><dl>{_scripts(sandbox)}</dl>"
        f"<h2>Calls</h2><dl>{''.join(_route(route, root) for route in described)}</dl></main></body></html>"
    )


def _gateway(sandbox: Sandbox, name: str, root: str) -> str:
    keys = "<br>".join(
        f"<code>{key} = {escape(sandbox.config.credential(name, key))}</code>" for key in CREDENTIALS[name]
    )
    return f"<dt>{name}</dt><dd><code>{escape(root)}/{name}</code><br>{keys}{_messages(sandbox, name)}</dd>"


def _messages(sandbox: Sandbox, name: str) -> str:
    """Where the gateway's messages go, if it sends any of itself."""
    gateway = sandbox.gateways[name]
    if gateway.event_type("paid") is None and not gateway.panel:
        return ""
    url = webhook_url(gateway)
    told = (
        f"messages go to <code>{escape(url)}</code>" if url else f"messages go nowhere: {escape(how_to_set(gateway))}"
    )
    return f"<br><small>{told}, unless an order names its own address</small>"


def _scripts(sandbox: Sandbox) -> str:
    told = []
    for script in scripts_of(sandbox):
        at = "all" if len(script.gateways) == len(GATEWAYS) else ", ".join(script.gateways)
        seconds = "" if script.seconds is None else f" ({script.seconds:g} s)"
        told.append(f"<dt><code>{script.script}</code>{seconds}</dt><dd>{escape(script.what)} <small>{at}</small></dd>")
    return "".join(told)


def _route(route: Route, root: str) -> str:
    curl = f"curl {root}{route.path}"
    if route.query is not None:
        curl = f"curl {shlex.quote(f'{root}{route.path}?{urlencode(route.example)}')}"
    if route.method == "DELETE":
        curl = curl.replace("curl", "curl -X DELETE", 1)
    if route.method == "POST":
        body = f" -d {shlex.quote(json.dumps(route.example))}" if route.body is not None else ""
        curl = f"curl{body} {root}{route.path}" if body else f"curl -X POST {root}{route.path}"
    return (
        f"<dt>{route.method} {route.path.removeprefix('/_control')}</dt><dd>{escape(route.summary)}."
        f"<pre>{escape(curl, quote=False)}</pre></dd>"
    )
