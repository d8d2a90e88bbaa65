"""Now: what needs a person, in one sentence first."""

from __future__ import annotations

from aiohttp import web

from worker.console.layout import page
from worker.console.visit import Visit

REFRESH_SECONDS = 5


async def show_now(visit: Visit) -> web.StreamResponse:
    return page(visit, visit.say("nav.now"), refresh=REFRESH_SECONDS)
