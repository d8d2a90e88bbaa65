"""What every answer says to browsers, on every path, whoever handles it and however it fails.

The one thing to get wrong: a handler that forgets. These are set where each answer leaves, unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

YEAR_SECONDS = 365 * 24 * 3600

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""For what is no page: it is not kept, framed, run, guessed at or embedded. The pages say more (ingress.pages)."""

HTTPS_ONLY = {"Strict-Transport-Security": f"max-age={YEAR_SECONDS}"}
"""Only where the address under which we are reached is https. Hosts below ours are not ours to speak for."""


def guarded(public_url: str | None = None) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """For `on_response_prepare`; `public_url` None where no browser comes."""
    headers = {**HEADERS, **(HTTPS_ONLY if (public_url or "").startswith("https://") else {})}

    async def guard(_: web.Request, response: web.StreamResponse) -> None:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        response.headers.popall("Server", None)  # strangers are not told which versions run here

    return guard
