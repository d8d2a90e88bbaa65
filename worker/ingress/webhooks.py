"""The notifications of gateways: signed webhooks at `/webhooks`, and unsigned notifications at `/ipn`.

A missing signature is refused like a wrong one. An old signature is no forgery: it may be a late retry.
"""

from __future__ import annotations

from contextlib import suppress

import structlog
from aiohttp import web

from consumers.account import Account
from consumers.early_claims import may_wait
from consumers.ports.gateway import CertificateWanted, Forged, Signed, Unsigned
from consumers.ports.unavailable import BusUnavailable, DatabaseUnavailable, error_name
from schemas.callbacks import Callback, Claim
from schemas.wire import Unreadable
from schemas.words import Source
from worker.ingress.ingress import RETRY_AFTER, Ingress, Priority, slashed
from worker.ingress.read_callback import ForgedError, make_claim, read_callback
from worker.ingress.signing_certificates import Away, Refused, SigningCertificates

RECEIVED = b'{"received": true}'
NOT_KEPT = {"Cache-Control": "no-store"}

log = structlog.get_logger()


class Webhooks:
    """The handlers of `/webhooks` and `/ipn`."""

    def __init__(self, ingress: Ingress) -> None:
        self._ingress = ingress
        self._certificates = SigningCertificates(private=ingress.config.allow_private_webhooks)

    def routes(self) -> list[web.RouteDef]:
        ipn = {"/ipn/{account}": self.notified_unnamed, "/ipn/{account}/{payment_id}": self.notified}
        both = [route(path, handler) for path, handler in ipn.items() for route in (web.get, web.post)]
        return slashed([web.post("/webhooks/{account}", self.webhook), *both])

    async def webhook(self, request: web.Request) -> web.Response:
        """A signed webhook of an account. 401 for a missing or wrong signature."""
        account = self._ingress.account(request)
        if account is None or not account.provider.capabilities.signs:
            return _json(404, {"error": "there are no webhooks here"})
        return await self._take(request, Source.WEBHOOK, account)

    async def notified(self, request: web.Request) -> web.Response:
        """An unsigned notification with a payment id in its path. 404 for an unknown payment.

        Its other ids may still be kept for a payment that comes later; see `Ingress.publish_unknown`.
        """
        account = self._ingress.account(request)
        payment_id = self._ingress.payment_id(request)
        if account is None or payment_id is None:
            return _json(404, {"error": "unknown"})
        return await self._notified(request, account, payment_id)

    async def notified_unnamed(self, request: web.Request) -> web.Response:
        """An unsigned notification to an address that was set in the gateway's panel. Its ids name the payment."""
        account = self._ingress.account(request)
        return _json(404, {"error": "unknown"}) if account is None else await self._notified(request, account)

    async def _notified(self, request: web.Request, account: Account, payment_id: str | None = None) -> web.Response:
        if not self._ingress.limits.allows(request):
            return self._too_many(Source.IPN, account)
        return await self._take(request, Source.IPN, account, payment_id)

    async def _take(
        self, request: web.Request, source: Source, account: Account, payment_id: str | None = None
    ) -> web.Response:
        callback = await read_callback(request, source, account, self._ingress.clock.now(), payment_id=payment_id)
        try:
            claim = make_claim(account, callback, await self._proof(request, account, callback))
        except ForgedError as error:
            if not self._ingress.limits.allows(request):
                return self._too_many(source, account)
            self._ingress.count_unread(source, account, "forged")
            log.warning("callback.forged", account=account.id, source=source, why=str(error))
            return _json(401, {"error": "the signature is not right"})
        except Unreadable as error:
            self._ingress.count_unread(source, account, "unreadable")
            return _json(400, {"error": str(error)})
        except Away as error:
            self._ingress.count_unread(source, account, "unavailable")
            log.warning("callback.sender_away", account=account.id, source=source, why=str(error))
            return _json(503, {"error": "come again"}, RETRY_AFTER)
        try:
            return await self._publish(request, claim)
        except (BusUnavailable, TimeoutError) as error:
            self._ingress.count(claim, "unavailable")
            log.warning("callback.not_durable", account=account.id, source=source, error=error_name(error))
            return _json(503, {"error": "come again"}, RETRY_AFTER)

    async def _proof(self, request: web.Request, account: Account, callback: Callback) -> Signed | Unsigned:
        """Authenticate a callback, with the certificate of its signature where that needs one.

        A subscription that the signed callback asks us to confirm is confirmed. Raises ForgedError, and Away where the
        sender has to come again.
        """
        found = account.provider.authenticate(callback)
        if isinstance(found, CertificateWanted):
            if not self._certificates.knows(found.url) and not self._ingress.limits.allows(request):
                raise Away("too many certificates are wanted by this address")
            try:
                found = found.check(await self._certificates.fetch(found.url))
            except Refused as error:
                raise ForgedError(f"its certificate cannot be fetched: {error}") from None
        if isinstance(found, Forged):
            raise ForgedError(found.why)
        if isinstance(found, Signed) and found.visit is not None:
            first = not self._certificates.knows(found.visit)
            try:
                await self._certificates.fetch(found.visit)
            except Refused as error:
                raise Away(f"the subscription was not confirmed: {error}") from None
            if first:
                log.info("webhook.subscribed", account=account.id)
        return found

    async def _publish(self, request: web.Request, claim: Claim) -> web.Response:
        """Make the claim durable, and answer its sender. Raises BusUnavailable and TimeoutError."""
        home, known = claim.payment_id, True
        if claim.source is Source.IPN:
            with suppress(DatabaseUnavailable):
                home = await self._ingress.find(claim)
                known = home is not None
        if not known:
            return await self._publish_unknown(request, claim)
        priority = self._ingress.prioritise(claim, home)
        if priority is Priority.REJECT:
            return _json(429, {"error": "too many about this payment"}, RETRY_AFTER)
        await self._ingress.publish(request, claim, home, priority)
        return _received()

    async def _publish_unknown(self, request: web.Request, claim: Claim) -> web.Response:
        """The payment may still come, so the claim's ids are kept. 404 if the path names the unknown payment."""
        if not await self._ingress.publish_unknown(request, claim):
            return _json(429, {"error": "too many at once"}, RETRY_AFTER)
        if claim.payment_id is not None:
            return _json(404, {"error": "unknown"})
        return _received() if may_wait(claim) else _json(400, {"error": "it names no payment"})

    def _too_many(self, source: Source, account: Account) -> web.Response:
        """The answer to an address over its limit. A correctly signed webhook never gets it: it is the gateway's."""
        self._ingress.count_unread(source, account, "limited")
        return _json(429, {"error": "too many from this address"}, RETRY_AFTER)


def _received() -> web.Response:
    return web.Response(body=RECEIVED, content_type="application/json", headers=NOT_KEPT)


def _json(status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers={**NOT_KEPT, **(headers or {})})
