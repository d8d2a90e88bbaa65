"""The public endpoints: what gateways and browsers reach without a key.

The one thing to get wrong: 200 only after the claim is durable. And nothing that a stranger sends decides anything; it
only makes us look.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import structlog
from aiohttp import web
from msgspec import Struct

from consumers.account import Account
from consumers.bus import Bus, BusAway
from schemas.callbacks import Claim
from schemas.payments import Payment
from schemas.wire import Unreadable
from schemas.words import Said, Source
from worker.clock import DatabaseClock
from worker.config import Config
from worker.http.callbacks import ForgedError, make_claim, read_callback
from worker.http.pages import outcome_name, page
from worker.http.shop import outcome_known, shop_url
from worker.metrics import Metrics
from worker.outcomes import Outcomes
from worker.postgres.database import UNAVAILABLE
from worker.postgres.ledger import PostgresLedger

LOOK_AGAIN_SECONDS = 3
GO_ON_SECONDS = 600
LOOK_UP_SECONDS = 5
PUBLISH_SECONDS = 10
RETRY_AFTER = {"Retry-After": "5"}
_PAYMENT_ID = re.compile(r"pay_[0-9a-z]{26}")

log = structlog.get_logger()


class Ingress(Struct, frozen=True):
    """What the public endpoints need."""

    config: Config
    ledger: PostgresLedger
    bus: Bus
    clock: DatabaseClock
    outcomes: Outcomes
    metrics: Metrics

    def routes(self) -> list[web.RouteDef]:
        said = "|".join(word.value for word in Said)
        paths = {
            "/return/{account}": self.returned_unnamed,
            "/return/{account}/{payment_id}": self.returned,
            f"/return/{{account}}/{{payment_id}}/{{said:{said}}}": self.returned,
            "/ipn/{account}/{payment_id}": self.notified,
        }
        both = [web.route(method, path, handler) for path, handler in paths.items() for method in ("GET", "POST")]
        waiting = web.get("/return/{account}/{payment_id}/wait", self.waiting)
        return [waiting, *both, web.post("/webhooks/{account}", self.webhook)]

    async def returned(self, request: web.Request) -> web.Response:
        """A buyer comes back: publish a claim, wait for the verified outcome, send the buyer on."""
        account = self._account(request)
        payment_id = request.match_info["payment_id"]
        if account is None or not _PAYMENT_ID.fullmatch(payment_id):
            return page(request, "not_found", status=404)
        word = request.match_info.get("said")
        callback = await read_callback(
            request, Source.RETURN, account, self.clock.now(), payment_id=payment_id, said=Said(word) if word else None
        )
        claim = make_claim(account, callback, lenient=True)
        try:
            payment = await self._look_up(account.id, payment_id)
            if payment is None:
                self._count(claim, "unknown")
                return page(request, "not_found", status=404)
            with self.outcomes.of(payment_id) as changed:
                await self._publish(claim)
                payment = await self._outcome(payment, changed)
        except (BusAway, *UNAVAILABLE) as error:
            return self._busy(request, claim, error)
        return self._send_on(request, payment, claim.said)

    async def returned_unnamed(self, request: web.Request) -> web.Response:
        """A buyer comes back from a checkout that the shop opened itself: only an id of the gateway's is a ticket."""
        account = self._account(request)
        if account is None:
            return page(request, "not_found", status=404)
        callback = await read_callback(request, Source.RETURN, account, self.clock.now())
        claim = make_claim(account, callback, lenient=True)
        try:
            found = (await self.ledger.find([claim])).get(claim.id)
            payment = await self._look_up(account.id, found) if found else None
            if payment is None:
                self._count(claim, "unknown")
                return page(request, "not_found", status=404)
            with self.outcomes.of(payment.id) as changed:
                await self._publish(claim)
                # A transaction id counts once an answer confirmed it, which the question now asked may do.
                if _issued(claim, payment) or claim.transaction_id is not None:
                    payment = await self._outcome(payment, changed)
                if not _issued(claim, payment):
                    return page(request, "noted")
        except (BusAway, *UNAVAILABLE) as error:
            return self._busy(request, claim, error)
        return self._send_on(request, payment, claim.said)

    async def waiting(self, request: web.Request) -> web.Response:
        """Look again for a buyer on the confirming page; publishes no claim."""
        account = self._account(request)
        payment_id = request.match_info["payment_id"]
        if account is None or not _PAYMENT_ID.fullmatch(payment_id):
            return page(request, "not_found", status=404)
        try:
            payment = await self._look_up(account.id, payment_id)
        except UNAVAILABLE:
            return self._confirming(request, account, payment_id, None, headers=RETRY_AFTER)
        if payment is None:
            return page(request, "not_found", status=404)
        return self._send_on(request, payment, None)

    async def webhook(self, request: web.Request) -> web.Response:
        account = self._account(request)
        if account is None or not account.provider.capabilities.signs:
            return _json(404, {"error": "there are no webhooks here"})
        return await self._take(request, Source.WEBHOOK, account)

    async def notified(self, request: web.Request) -> web.Response:
        """An unsigned notification about one order; about a payment we do not know it is refused, and asks nothing."""
        account = self._account(request)
        payment_id = request.match_info["payment_id"]
        if account is None or not _PAYMENT_ID.fullmatch(payment_id):
            return _json(404, {"error": "unknown"})
        with suppress(*UNAVAILABLE):
            if await self._look_up(account.id, payment_id) is None:
                return _json(404, {"error": "unknown"})
        return await self._take(request, Source.IPN, account, payment_id)

    async def _take(
        self, request: web.Request, source: Source, account: Account, payment_id: str | None = None
    ) -> web.Response:
        callback = await read_callback(request, source, account, self.clock.now(), payment_id=payment_id)
        labels = (source.value, account.provider.name)
        try:
            claim = make_claim(account, callback)
        except ForgedError as error:
            self.metrics.callbacks.labels(*labels, "forged").inc()
            log.warning("callback.forged", account=account.id, source=source, why=str(error))
            return _json(401, {"error": "the signature is not right"})
        except Unreadable as error:
            self.metrics.callbacks.labels(*labels, "unreadable").inc()
            return _json(400, {"error": str(error)})
        try:
            await self._publish(claim)
        except (BusAway, TimeoutError) as error:
            self.metrics.callbacks.labels(*labels, "unavailable").inc()
            log.warning("callback.not_durable", account=account.id, source=source, error=type(error).__name__)
            return _json(503, {"error": "come again"}, RETRY_AFTER)
        return _json(200, {"received": True})

    async def _look_up(self, account: str, payment_id: str) -> Payment | None:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            return await self.ledger.peek(account, payment_id)

    async def _publish(self, claim: Claim) -> None:
        async with asyncio.timeout(PUBLISH_SECONDS):
            await self.bus.publish([claim])
        self._count(claim, claim.authenticity.value)

    async def _outcome(self, payment: Payment, changed: asyncio.Event) -> Payment:
        """The payment once its outcome is recorded, or as it is when the wait is over. A known end does not wait."""
        if payment.hold is None and outcome_known(payment):
            return payment
        with suppress(TimeoutError):
            async with asyncio.timeout(self.config.return_wait):
                while True:
                    fresh = await self.ledger.peek(payment.account, payment.id)
                    payment = fresh or payment
                    if outcome_known(payment):
                        return payment
                    await changed.wait()
                    changed.clear()
        return payment

    def _send_on(self, request: web.Request, payment: Payment, said: Said | None) -> web.Response:
        merchant = self.config.merchant(payment.merchant)
        assert merchant is not None, "the account was found under its merchant"
        since = _since(request, self.clock)
        patience_over = self.clock.now().timestamp() - since > GO_ON_SECONDS
        if outcome_known(payment) or said in (Said.FAILURE, Said.CANCEL) or patience_over:
            target = shop_url(payment, merchant, said)
            if target is None:
                return page(request, outcome_name(payment), shop=merchant.name, reference=payment.reference)
            return web.Response(status=303, headers={"Location": target, "Cache-Control": "no-store"})
        account = self.config.account(payment.account)
        assert account is not None, "the payment was found in it"
        return self._confirming(request, account, payment.id, shop_url(payment, merchant), since=since)

    def _confirming(
        self,
        request: web.Request,
        account: Account,
        payment_id: str,
        shop_link: str | None,
        *,
        since: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        merchant = self.config.merchant(account.merchant)
        since = _since(request, self.clock) if since is None else since
        path = f"/return/{account.id}/{payment_id}/wait?since={int(since)}"
        return page(
            request,
            "confirming",
            shop=merchant.name if merchant else None,
            shop_link=shop_link,
            again=(LOOK_AGAIN_SECONDS, path),
            headers=headers,
        )

    def _busy(self, request: web.Request, claim: Claim, error: BaseException) -> web.Response:
        """Nothing could be made durable: the browser comes again, and a gateway's own retry is told to."""
        self._count(claim, "unavailable")
        log.warning("callback.not_durable", account=claim.account, source=claim.source, error=type(error).__name__)
        return page(request, "busy", status=503, again=(5, str(request.rel_url)), headers=RETRY_AFTER)

    def _account(self, request: web.Request) -> Account | None:
        return self.config.account(request.match_info["account"])

    def _count(self, claim: Claim, result: str) -> None:
        self.metrics.callbacks.labels(claim.source.value, claim.provider, result).inc()


def _issued(claim: Claim, payment: Payment) -> bool:
    """Whether the hit carries an id that the gateway issued, which nobody guesses, as opposed to our reference."""
    session = claim.session_id is not None and claim.session_id in (payment.session_id, *payment.aliases)
    confirmed = {one.transaction_id for one in payment.candidates if one.state == "confirmed"} | {
        payment.transaction_id
    }
    return session or (claim.transaction_id is not None and claim.transaction_id in confirmed)


def _since(request: web.Request, clock: DatabaseClock) -> float:
    """When this buyer began to wait, as the confirming page carries it along; a forged one only shortens the wait."""
    said = request.query.get("since", "")
    now = clock.now().timestamp()
    return min(float(said), now) if re.fullmatch(r"[0-9]{1,12}", said, re.ASCII) else now


def _json(status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store", **(headers or {})})
