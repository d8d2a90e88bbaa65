"""A buyer comes back from the gateway: the claim is published, the verified outcome awaited, the buyer sent on.

The one thing to get wrong: what the buyer brings. It makes us look, and may choose between the shop's pages while
nothing is verified; what the buyer is told is what the gateway answered.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress

import structlog
from aiohttp import web

from consumers.account import Account
from consumers.ports.bus import BusAway
from schemas.callbacks import Claim
from schemas.payments import Glance
from schemas.words import Said, Source
from worker.ingress.ingress import COME_AGAIN_SECONDS, RETRY_AFTER, Ingress, Priority, slashed
from worker.ingress.pages import buyer_page, outcome_name
from worker.ingress.pages.again import Again
from worker.ingress.polling import GO_ON_SECONDS, LOOK_AGAIN_SECONDS, in_language, seconds_to_wait, since, waiting_path
from worker.ingress.read_callback import make_claim, read_callback
from worker.ingress.redirect import outcome_known, shop_url
from worker.ingress.waiters import Waiter
from worker.postgres.database import UNAVAILABLE

log = structlog.get_logger()


class Returns:
    """The handlers of `/return`."""

    def __init__(self, ingress: Ingress) -> None:
        self._ingress = ingress

    def routes(self) -> list[web.RouteDef]:
        said = "|".join(word.value for word in Said)
        paths = {
            f"/return/{{account}}/{{payment_id}}/{{said:{said}}}": self.returned,
            "/return/{account}/{payment_id}": self.returned,
            "/return/{account}": self.returned_unnamed,
        }
        both = [web.route(method, path, handler) for path, handler in paths.items() for method in ("GET", "POST")]
        return slashed([*both, web.get("/return/{account}/{payment_id}/wait", self.waiting)])

    async def returned(self, request: web.Request) -> web.Response:
        """A buyer comes back: publish a claim, wait for the verified outcome, send the buyer on."""
        account = self._ingress.account(request)
        payment_id = self._ingress.payment_id(request)
        if account is None or payment_id is None:
            return buyer_page(request, "not_found", status=404)
        said = Said(request.match_info["said"]) if "said" in request.match_info else None
        if not self._ingress.limits.allows(request):
            self._ingress.count_unread(Source.RETURN, account, "limited")
            return self._come_again(request, account, 429, payment_id, said)
        now = self._ingress.clock.now()
        callback = await read_callback(request, Source.RETURN, account, now, payment_id=payment_id, said=said)
        claim = make_claim(account, callback, lenient=True)
        priority = self._ingress.prioritise(claim, payment_id)
        if priority is Priority.REJECT:
            return self._come_again(request, account, 429, payment_id, claim.said)
        with self._ingress.waiters.of(payment_id) as waiter:
            try:
                payment = await self._ingress.look_up(account.id, payment_id)
            except UNAVAILABLE:
                return await self._taken_unseen(request, account, claim, priority)
            if payment is None:
                return await self._unknown(request, account, claim)
            try:
                await self._ingress.publish(claim, priority)
                payment = await self._outcome(payment, waiter, self._ingress.config.return_wait)
            except (BusAway, TimeoutError) as error:
                return self._busy(request, account, claim, error)
        return self._send_on(request, payment, claim.said)

    async def returned_unnamed(self, request: web.Request) -> web.Response:
        """A buyer comes back from a checkout that the shop opened itself: only an id of the gateway's is a ticket."""
        account = self._ingress.account(request)
        if account is None:
            return buyer_page(request, "not_found", status=404)
        if not self._ingress.limits.allows(request):
            self._ingress.count_unread(Source.RETURN, account, "limited")
            return self._come_again(request, account, 429, None, None)
        callback = await read_callback(request, Source.RETURN, account, self._ingress.clock.now())
        claim = make_claim(account, callback, lenient=True)
        try:
            found = await self._ingress.find(claim)
        except UNAVAILABLE:
            return await self._taken_unseen(request, account, claim)
        if found is None:
            return await self._unknown(request, account, claim)
        with self._ingress.waiters.of(found) as waiter:
            try:
                payment = await self._ingress.look_up(account.id, found)
            except UNAVAILABLE:
                return await self._taken_unseen(request, account, claim)
            if payment is None:
                return await self._unknown(request, account, claim)
            priority = self._ingress.prioritise(claim, payment.id)
            if priority is Priority.REJECT:
                return self._come_again(request, account, 429, None, None)
            try:
                await self._ingress.publish(claim, priority)
                # A transaction id counts once an answer confirmed it, which the question now asked may do.
                if _issued(claim, payment) or claim.transaction_id is not None:
                    payment = await self._outcome(payment, waiter, self._ingress.config.return_wait)
            except (BusAway, TimeoutError) as error:
                return self._busy(request, account, claim, error)
        if not _issued(claim, payment):
            return buyer_page(request, "noted", shop=self._ingress.merchant(account).name)
        return self._send_on(request, payment, claim.said)

    async def waiting(self, request: web.Request) -> web.Response:
        """Look again for a buyer on the confirming page, waiting for the outcome if it prefers; publishes no claim."""
        account = self._ingress.account(request)
        payment_id = self._ingress.payment_id(request)
        if account is None or payment_id is None:
            return buyer_page(request, "not_found", status=404)
        if not self._ingress.limits.allows(request):
            return self._confirming(request, account, payment_id, status=429, headers=RETRY_AFTER)
        try:
            seconds, waiters = seconds_to_wait(request, self._ingress.config.return_wait), self._ingress.waiters
            waits = seconds > 0 and not waiters.full(payment_id)
            with waiters.of(payment_id) if waits else nullcontext() as waiter:
                payment = await self._ingress.look_up(account.id, payment_id)
                if payment is not None and waiter is not None:
                    payment = await self._outcome(payment, waiter, seconds)
        except UNAVAILABLE:
            return self._confirming(request, account, payment_id, headers=RETRY_AFTER)
        if payment is None:
            return buyer_page(request, "not_found", status=404)
        return self._send_on(request, payment, None)

    async def _taken_unseen(
        self, request: web.Request, account: Account, claim: Claim, priority: Priority = Priority.NORMAL
    ) -> web.Response:
        """Postgres is away: what can be made durable without it is, and the buyer waits for it to come back."""
        try:
            await self._ingress.publish(claim, priority)
        except (BusAway, TimeoutError) as error:
            return self._busy(request, account, claim, error)
        if claim.payment_id is None:
            return buyer_page(request, "noted", shop=self._ingress.merchant(account).name)
        return self._confirming(request, account, claim.payment_id, headers=RETRY_AFTER)

    async def _unknown(self, request: web.Request, account: Account, claim: Claim) -> web.Response:
        """The payment may yet be registered, so what names it is kept; the page says nothing of that."""
        try:
            taken = await self._ingress.publish_unknown(claim)
        except (BusAway, TimeoutError) as error:
            return self._busy(request, account, claim, error)
        if not taken:
            return self._come_again(request, account, 429, claim.payment_id, claim.said)
        return buyer_page(request, "not_found", status=404)

    async def _outcome(self, payment: Glance, waiter: Waiter, seconds: float) -> Glance:
        """The payment once its outcome is recorded, or as it is when the wait is over. A known end does not wait."""
        if outcome_known(payment) or seconds <= 0:
            return payment
        with suppress(*UNAVAILABLE):  # the wait is over, or Postgres went away and the claim is safe all the same
            async with asyncio.timeout(seconds):
                while not outcome_known(payment):
                    told = await waiter.change()
                    if told is not None and told.version > payment.version and outcome_known(told):
                        return told
                    payment = await self._ingress.look_up(payment.account, payment.id) or payment
        return payment

    def _send_on(self, request: web.Request, payment: Glance, said: Said | None) -> web.Response:
        account = self._ingress.config.account(payment.account)
        assert account is not None, "the payment was found in it"
        merchant = self._ingress.merchant(account)
        now = self._ingress.clock.now().timestamp()
        began = since(request, now)
        if outcome_known(payment) or said in (Said.FAILURE, Said.CANCEL) or now - began > GO_ON_SECONDS:
            target = shop_url(payment, merchant, said)
            if target is not None:
                return web.Response(status=303, headers={"Location": target, "Cache-Control": "no-store"})
            path = self._ingress.reached_at(waiting_path(account.id, payment.id, began))
            name = outcome_name(payment)
            return buyer_page(request, name, shop=merchant.name, reference=payment.reference, own_path=path)
        return self._confirming(request, account, payment.id, payment=payment)

    def _confirming(
        self,
        request: web.Request,
        account: Account,
        payment_id: str,
        *,
        payment: Glance | None = None,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        """`payment` None: it could not be looked up just now."""
        merchant = self._ingress.merchant(account)
        began = since(request, self._ingress.clock.now().timestamp())
        path = self._ingress.reached_at(waiting_path(account.id, payment_id, began))
        return buyer_page(
            request,
            "confirming",
            status=status,
            shop=merchant.name,
            shop_link=shop_url(payment, merchant) if payment else None,
            reference=payment.reference if payment else None,
            again=Again(path=in_language(request, path), seconds=LOOK_AGAIN_SECONDS, at_once=headers is None),
            own_path=path,
            headers=headers,
        )

    def _busy(self, request: web.Request, account: Account, claim: Claim, error: BaseException) -> web.Response:
        """Nothing could be made durable."""
        self._ingress.count(claim, "unavailable")
        log.warning("callback.not_durable", account=claim.account, source=claim.source, error=type(error).__name__)
        return self._come_again(request, account, 503, claim.payment_id, claim.said)

    def _come_again(
        self, request: web.Request, account: Account, status: int, payment_id: str | None, said: Said | None
    ) -> web.Response:
        """The claim was not taken: the browser comes again, and a gateway's own retry is told to.

        Coming again must bring the claim again. A page cannot repeat a POST, but its path names the payment and can
        carry the word that the body said, so that nothing is lost but ids, which the gateway tells when it is asked.
        Where only the body names the payment, the buyer is asked to send it again.
        """
        again: Again | None = Again(path=None, seconds=COME_AGAIN_SECONDS)
        if request.method == "POST":
            path = self._ingress.reached_at(f"/return/{account.id}/{payment_id}{f'/{said.value}' if said else ''}")
            again = Again(path=path, seconds=COME_AGAIN_SECONDS) if payment_id else None
        name = "busy" if again else "send_again"
        shop = self._ingress.merchant(account).name
        return buyer_page(request, name, status=status, shop=shop, again=again, headers=RETRY_AFTER)


def _issued(claim: Claim, payment: Glance) -> bool:
    """Whether the hit carries an id that the gateway issued, which nobody guesses, as opposed to our reference."""
    session = claim.session_id is not None and claim.session_id in (payment.session_id, *payment.aliases)
    confirmed = {one.transaction_id for one in payment.candidates if one.state == "confirmed"} | {
        payment.transaction_id
    }
    return session or (claim.transaction_id is not None and claim.transaction_id in confirmed)
