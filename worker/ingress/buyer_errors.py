"""Unknown paths and errors of ours under `/return` are pages in the buyer's language, and no English line of aiohttp.

A wrong method keeps its plain 405: no gateway sends a buyer's browser with one.
"""

from __future__ import annotations

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from worker.ingress.buyer_answers import not_found_page
from worker.ingress.pages import buyer_page

log = structlog.get_logger()


@web.middleware
async def buyer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The middleware that answers what the handlers under `/return` do not."""
    if not f"{request.path}/".startswith("/return/"):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return not_found_page(request)
    except web.HTTPException:
        raise
    except Exception as error:
        resource = request.match_info.route.resource
        route = "none" if resource is None else resource.canonical
        log.error("request.failed", method=request.method, route=route, exc_info=error)  # noqa: TRY400
        return buyer_page(request, "send_again", status=500)
