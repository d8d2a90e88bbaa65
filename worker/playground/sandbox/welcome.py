"""`/` of a sandbox without a shop: what this is, and how a shop is connected."""

from __future__ import annotations

from aiohttp import web

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Payproof sandbox</title><style>
body{margin:0;font:1rem/1.6 system-ui,sans-serif;background:#f6f5f1;color:#17212b}
main{max-width:42rem;margin:8vh auto;padding:0 1.25rem}a{color:#1b5a47}h1,h2{line-height:1.25}
pre{background:#fff;border:1px solid #dde1e0;border-radius:.5rem;padding:.8rem 1rem;white-space:pre-wrap}
</style></head><body><main><h1>Simulated gateways</h1>
<p>The gateways of Bangladesh, each under its own name on this port, with hosted checkout pages.
No real money moves here. Buyers, troubles and time are moved by <a href="/_control">the control API</a>.</p>
<h2>A demo shop at this address</h2>
<p>Connected to a running Payproof, the sandbox also serves a shop to click through:</p>
<pre>payproof sandbox --shop http://127.0.0.1:8080 \\
    --shop-key env:PAYPROOF_API_KEY \\
    --shop-secret env:PAYPROOF_WEBHOOK_SECRET</pre>
</main></body></html>
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def welcome_routes() -> list[web.RouteDef]:
    return [web.get("/", _welcome)]


async def _welcome(request: web.Request) -> web.Response:
    del request
    return web.Response(text=_PAGE, content_type="text/html", headers={"Content-Security-Policy": _POLICY})
