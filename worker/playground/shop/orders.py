"""The orders: all of them, one order's state, and a shopkeeper's actions on it.

The address that a buyer returns to is a page like any other: visiting it changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable

from aiohttp import web

from worker.playground.shop.books import Believed
from worker.playground.shop.client import AWAY, Document, Refused
from worker.playground.shop.pages.order import Shown, live, order_page
from worker.playground.shop.pages.order_list import orders_page, unknown_page
from worker.playground.shop.return_signature import read_return
from worker.playground.shop.shop import Shop
from worker.playground.shop.simulator import SimulatorError


class Orders:
    """The handlers of `/orders`. Every page first reads the events that came since the last page."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def all(self, request: web.Request) -> web.Response:
        await self._shop.catch_up()
        number = request.query.get("page", "1")
        page = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 1
        return orders_page(self._shop.books, self._shop.names, max(page, 1), self._shop.feed.trouble)

    async def one(self, request: web.Request) -> web.Response:
        """An order's page, and the address that payproof sends the buyer back to."""
        await self._shop.catch_up()
        reference = request.match_info["reference"]
        believed = self._shop.books.by_reference(reference)
        if believed is None:
            return unknown_page(reference, self._shop.feed.trouble)
        brought = read_return(request.query, reference, self._shop.config.secret)
        return order_page(await self._shown(believed), brought, notice=self._shop.feed.trouble)

    async def live(self, request: web.Request) -> web.Response:
        await self._shop.catch_up()
        return live(await self._shown(self._believed(request)))

    async def verify(self, request: web.Request) -> web.Response:
        payment = self._believed(request).payment
        return await self._do(request, self._shop.payproof.verify(payment.payment_id))

    async def refund(self, request: web.Request) -> web.Response:
        """Refund money at the simulated gateway; the shop learns of it by an event, as of any refund."""
        payment = self._believed(request).payment
        return await self._do(request, self._shop.simulator(request).refund(payment.provider, payment.reference))

    async def resolve(self, request: web.Request) -> web.Response:
        """A person's decision. The version says what that person was looking at, so nothing newer is overruled."""
        payment, sent = self._believed(request).payment, await request.post()
        version = str(sent.get("version", ""))
        decision: dict[str, str | int] = {
            "status": str(sent.get("status", "")),
            "actor": "demo-shop",
            "reason": str(sent.get("reason", "")),
            "version": int(version) if version.isascii() and version.isdigit() else payment.version,
        }
        return await self._do(request, self._shop.payproof.resolve(payment.payment_id, **decision))

    async def _do(self, request: web.Request, deed: Awaitable[Document | None]) -> web.Response:
        """Do it and go back to the page; where it is refused, the page says so."""
        try:
            await deed
        except Refused as refused:
            why, status = refused.detail, refused.status if refused.status < 500 else 502
        except SimulatorError as error:
            why, status = f"At the gateway: {error}", 409
        except AWAY as error:
            why, status = f"Payproof does not answer ({type(error).__name__})", 502
        else:
            raise web.HTTPSeeOther(f"/orders/{request.match_info['reference']}")
        await self._shop.catch_up()
        return order_page(await self._shown(self._believed(request)), None, notice=f"{why}.", status=status)

    def _believed(self, request: web.Request) -> Believed:
        believed = self._shop.books.by_reference(request.match_info["reference"])
        if believed is None:
            raise web.HTTPNotFound(text="No such order.")
        return believed

    async def _shown(self, believed: Believed) -> Shown:
        payment, books = believed.payment, self._shop.books
        try:
            entries = await self._shop.payproof.timeline(payment.payment_id)
        except (Refused, *AWAY):
            entries = None
        return Shown(
            believed=believed,
            shipped=books.shipped.get(believed.order),
            attempts=books.attempts(believed.order),
            entries=entries,
            gateway=self._shop.names.get(payment.account, payment.account),
        )
