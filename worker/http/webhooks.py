"""What gateways tell by themselves: signed webhooks, and unsigned notifications about one order.

The one thing to get wrong: a missing signature is as bad as a wrong one, and an old one is no forgery but a late retry.
"""

from __future__ import annotations

from contextlib import suppress

import structlog
from aiohttp import web

from consumers.account import Account
from consumers.bus import BusAway
from schemas.wire import Unreadable
from schemas.words import Source
from worker.http.callbacks import ForgedError, make_claim, read_callback
from worker.http.ingress import RETRY_AFTER, Ingress, Turn
from worker.postgres.database import UNAVAILABLE

RECEIVED = b'{"received": true}'
NOT_KEPT = {"Cache-Control": "no-store"}

log = structlog.get_logger()


class Webhooks:
    """The handlers of `/webhooks` and `/ipn`."""

    def __init__(self, ingress: Ingress) -> None:
        self._ingress = ingress

    def routes(self) -> list[web.RouteDef]:
        ipn = "/ipn/{account}/{payment_id}"
        return [
            web.post("/webhooks/{account}", self.webhook),
            web.get(ipn, self.notified),
            web.post(ipn, self.notified),
        ]

    async def webhook(self, request: web.Request) -> web.Response:
        account = self._ingress.account(request)
        if account is None or not account.provider.capabilities.signs:
            return _json(404, {"error": "there are no webhooks here"})
        return await self._take(request, Source.WEBHOOK, account)

    async def notified(self, request: web.Request) -> web.Response:
        """An unsigned notification about one order; about a payment we do not know it is refused, and asks nothing."""
        account = self._ingress.account(request)
        payment_id = self._ingress.payment_id(request)
        if account is None or payment_id is None:
            return _json(404, {"error": "unknown"})
        if not self._ingress.limits.allows(request):
            return self._too_many(Source.IPN, account)
        with suppress(*UNAVAILABLE):
            if await self._ingress.look_up(account.id, payment_id) is None:
                return _json(404, {"error": "unknown"})
        return await self._take(request, Source.IPN, account, payment_id)

    async def _take(
        self, request: web.Request, source: Source, account: Account, payment_id: str | None = None
    ) -> web.Response:
        callback = await read_callback(request, source, account, self._ingress.clock.now(), payment_id=payment_id)
        try:
            claim = make_claim(account, callback)
        except ForgedError as error:
            if not self._ingress.limits.allows(request):
                return self._too_many(source, account)
            self._ingress.count_unread(source, account, "forged")
            log.warning("callback.forged", account=account.id, source=source, why=str(error))
            return _json(401, {"error": "the signature is not right"})
        except Unreadable as error:
            self._ingress.count_unread(source, account, "unreadable")
            return _json(400, {"error": str(error)})
        turn = self._ingress.turn(claim, claim.payment_id)
        if turn is Turn.NEVER:
            return _json(429, {"error": "too many about this payment"}, RETRY_AFTER)
        try:
            await self._ingress.publish(claim, turn)
        except (BusAway, TimeoutError) as error:
            self._ingress.count(claim, "unavailable")
            log.warning("callback.not_durable", account=account.id, source=source, error=type(error).__name__)
            return _json(503, {"error": "come again"}, RETRY_AFTER)
        return web.Response(body=RECEIVED, content_type="application/json", headers=NOT_KEPT)

    def _too_many(self, source: Source, account: Account) -> web.Response:
        """Never the answer to a correct signature: whoever has the secret is the gateway."""
        self._ingress.count_unread(source, account, "limited")
        return _json(429, {"error": "too many from this address"}, RETRY_AFTER)


def _json(status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers={**NOT_KEPT, **(headers or {})})
