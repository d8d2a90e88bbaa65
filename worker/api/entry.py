"""`/docs`, and `/` that leads there: for a person a small page, for a program the same three links as JSON.

They are served by the public listener to everyone, without a key. Neither is an operation of the API.
"""

from __future__ import annotations

import asyncio
from html import escape

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from worker.api.docs_style import POLICY, STYLE
from worker.api.documents import published, serving

_LINKS = (
    ("docs", "/docs", "The API in words, with a request to paste for each operation"),
    ("openapi", "/openapi.json", "The same for programs, to generate a client from"),
    ("asyncapi", "/asyncapi.json", "The events that go over RabbitMQ"),
)
_HEADERS = {"Content-Security-Policy": POLICY}


def entry_routes(public_url: str) -> list[web.RouteDef]:
    return [web.get("/docs", _Docs(public_url).serve), web.get("/", _Entry(public_url).serve)]


class _Docs:
    """`/docs`. The page takes a tenth of a second to make, so it is made when it is first asked for, in a thread."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url
        self._serving: Handler | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._serving is None:
            page = await asyncio.to_thread(self._page)
            self._serving = serving(page, "text/html", _HEADERS)
        return await self._serving(request)

    def _page(self) -> bytes:
        from worker.api.docs_page import docs_page  # noqa: PLC0415 - most processes are never asked for it

        return docs_page(published(self._public_url)["/openapi.json"]).encode()


class _Entry:
    """`/`. A browser names text/html in `Accept`; other clients get JSON."""

    def __init__(self, public_url: str) -> None:
        links = {name: public_url + path for name, path, _ in _LINKS}
        self._json = msgspec.json.encode({"service": "payproof", **links})
        self._html = _page(links).encode()

    async def serve(self, request: web.Request) -> web.Response:
        if "text/html" in request.headers.get("Accept", "").lower():
            response = web.Response(body=self._html, content_type="text/html", charset="utf-8", headers=_HEADERS)
        else:
            response = web.Response(body=self._json, content_type="application/json")
        response.headers["Vary"] = "Accept"
        return response


def _page(links: dict[str, str]) -> str:
    told = "".join(f'<p><a href="{escape(links[name])}">{path}</a><br>{about}</p>' for name, path, about in _LINKS)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><title>Payproof</title><link rel="icon" href="data:,">'
        f"<style>{STYLE}</style></head><body><main><h1>Payproof</h1>"
        f"<p>A browser redirect is a hint. Payproof turns it into proof.</p><article>{told}</article>"
        "</main></body></html>"
    )
