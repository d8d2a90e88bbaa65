"""The shop as a web application: its routes, and the task that reads events while it runs.

Forms sent from other sites are refused: every POST of a browser must come from a page of ours. Payproof's webhook comes
from no browser, and is known by its signature.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler

from worker.playground.shop.hooks import Forged, Unreadable
from worker.playground.shop.ordering import Ordering
from worker.playground.shop.orders import Orders
from worker.playground.shop.shop import Shop
from worker.playground.shop.shop_config import ShopConfig
from worker.runtime.cancellation import end_one


def mount(app: web.Application, config: ShopConfig) -> None:
    """Add the shop to an application that has nothing at `/`, `/orders` and `/hooks`."""
    shop = Shop(config)
    ordering, orders = Ordering(shop), Orders(shop)

    async def running(_: web.Application) -> AsyncIterator[None]:
        reading = asyncio.create_task(shop.feed.run())
        yield
        await end_one(reading)
        await shop.http.close()

    async def hook(request: web.Request) -> web.Response:
        return await receive(shop, request)

    app.cleanup_ctx.append(running)
    app.add_routes(
        [
            web.get("/", ordering.catalogue),
            web.post("/orders", _from_here(ordering.place)),
            web.get("/orders", orders.all),
            web.get("/orders/{reference}", orders.one),
            web.get("/orders/{reference}/live", orders.live),
            web.post("/orders/{reference}/again", _from_here(ordering.again)),
            web.post("/orders/{reference}/verify", _from_here(orders.verify)),
            web.post("/orders/{reference}/refund", _from_here(orders.refund)),
            web.post("/orders/{reference}/resolve", _from_here(orders.resolve)),
            web.post("/hooks/payproof", hook),
        ]
    )


async def receive(shop: Shop, request: web.Request) -> web.Response:
    """Payproof's webhook: 204 once it was taken, also when it is no news."""
    if shop.hooks is None:
        return web.Response(status=503, text="the shop was given no secret to check webhooks by")
    try:
        shop.hooks.receive(request.headers, await request.read())
    except Forged as error:
        return web.Response(status=401, text=str(error))
    except Unreadable as error:
        return web.Response(status=400, text=str(error))
    return web.Response(status=204)


def _from_here(handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            raise web.HTTPForbidden(text="This form was sent from another site.")
        return await handler(request)

    return handle
