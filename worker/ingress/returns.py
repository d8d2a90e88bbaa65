"""A buyer comes back from the gateway: publish the claim, wait for the verified outcome, send the buyer on.

The request of a buyer proves nothing. It makes a worker ask the gateway, and may choose between the shop's URLs while
the payment is pending. The status that the buyer and the shop are told is the gateway's answer.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress

import structlog
from aiohttp import web

from consumers.ports.unavailable import BusUnavailable, DatabaseUnavailable, error_name
from schemas.callbacks import Claim
from schemas.payments import Glance
from schemas.words import Said, Source
from worker.ingress.buyer_answers import BuyerAnswers, not_found_page
from worker.ingress.ingress import RETRY_AFTER, Ingress, Priority, slashed
from worker.ingress.polling import seconds_to_wait
from worker.ingress.read_callback import make_claim, read_callback
from worker.ingress.redirect import outcome_known
from worker.ingress.waiters import Waiter

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
            "/return/{account}": self.returned,
        }
        both = [web.route(method, path, handler) for path, handler in paths.items() for method in ("GET", "POST")]
        return slashed([*both, web.get("/return/{account}/{payment_id}/wait", self.waiting)])

    async def returned(self, request: web.Request) -> web.Response:
        """Publish a claim, wait for the verified outcome, and send the buyer on.

        A path without a payment id belongs to a checkout that the shop opened itself; its payment is found by the ids
        in the request.
        """
        account, named = self._ingress.account(request), "payment_id" in request.match_info
        payment_id = self._ingress.payment_id(request) if named else None
        if account is None or (named and payment_id is None):
            return not_found_page(request)
        answers = BuyerAnswers(self._ingress, request, account)
        said = Said(request.match_info["said"]) if "said" in request.match_info else None
        if not self._ingress.limits.allows(request):
            self._ingress.count_unread(Source.RETURN, account, "limited")
            return answers.come_again(429, payment_id, said)
        now = self._ingress.clock.now()
        try:
            callback = await read_callback(request, Source.RETURN, account, now, payment_id=payment_id, said=said)
        except web.HTTPException as unread:
            answer = answers.come_again(unread.status, payment_id, said)
            answer.force_close()  # the rest of the body may still come
            return answer
        claim = make_claim(account, callback, lenient=True)
        try:
            return await self._take(answers, claim)
        except (BusUnavailable, TimeoutError) as error:
            self._ingress.count(claim, "unavailable")
            log.warning("callback.not_durable", account=claim.account, source=claim.source, error=error_name(error))
            return answers.come_again(503, claim.payment_id, claim.said)

    async def _take(self, answers: BuyerAnswers, claim: Claim) -> web.Response:
        """Make the claim durable, and answer the buyer. Raises BusUnavailable and TimeoutError: maybe not durable."""
        try:
            payment_id = claim.payment_id or await self._ingress.find(claim)
        except DatabaseUnavailable:
            return await self._publish_unseen(answers, claim, Priority.NORMAL)
        if payment_id is None:
            return await self._publish_unknown(answers, claim)
        priority = self._ingress.prioritise(claim, payment_id)
        if priority is Priority.REJECT:
            return answers.come_again(429, claim.payment_id, claim.said)
        with self._ingress.waiters.of(payment_id) as waiter:
            try:
                payment = await self._ingress.look_up(claim.account, payment_id)
            except DatabaseUnavailable:
                return await self._publish_unseen(answers, claim, priority)
            if payment is None:
                return await self._publish_unknown(answers, claim)
            await self._ingress.publish(answers.request, claim, payment_id, priority)
            # A transaction id counts once an answer has confirmed it. The question that this claim causes may do so.
            if _is_ticket(claim, payment) or claim.transaction_id is not None:
                payment = await self._outcome(payment, waiter, self._ingress.config.return_wait)
        if not _is_ticket(claim, payment):
            return answers.noted()
        return answers.send_on(payment, claim.said)

    async def _publish_unseen(self, answers: BuyerAnswers, claim: Claim, priority: Priority) -> web.Response:
        """Postgres is away: publish the claim without it, and let the buyer's page wait until Postgres is back."""
        await self._ingress.publish(answers.request, claim, claim.payment_id, priority)
        if claim.payment_id is None:
            return answers.noted()
        return answers.confirming(claim.payment_id, headers=RETRY_AFTER)

    async def _publish_unknown(self, answers: BuyerAnswers, claim: Claim) -> web.Response:
        """The payment may still come, so the claim's ids are kept. The page says only that no payment was found."""
        if not await self._ingress.publish_unknown(answers.request, claim):
            return answers.come_again(429, claim.payment_id, claim.said)
        return not_found_page(answers.request)

    async def waiting(self, request: web.Request) -> web.Response:
        """Look again for a buyer on the confirming page. Waits for the outcome if the browser prefers to wait.

        Publishes no claim.
        """
        account = self._ingress.account(request)
        payment_id = self._ingress.payment_id(request)
        if account is None or payment_id is None:
            return not_found_page(request)
        answers = BuyerAnswers(self._ingress, request, account)
        if not self._ingress.limits.allows(request):
            return answers.confirming(payment_id, status=429, headers=RETRY_AFTER)
        try:
            seconds, waiters = seconds_to_wait(request, self._ingress.config.return_wait), self._ingress.waiters
            waits = seconds > 0 and not waiters.full(payment_id)
            with waiters.of(payment_id) if waits else nullcontext() as waiter:
                payment = await self._ingress.look_up(account.id, payment_id)
                if payment is not None and waiter is not None:
                    payment = await self._outcome(payment, waiter, seconds)
        except DatabaseUnavailable:
            return answers.confirming(payment_id, headers=RETRY_AFTER)
        if payment is None:
            return not_found_page(request)
        return answers.send_on(payment, None)

    async def _outcome(self, payment: Glance, waiter: Waiter, seconds: float) -> Glance:
        """Wait for the payment's outcome, up to `seconds`. Returns the payment as it is then."""
        if outcome_known(payment) or seconds <= 0:
            return payment
        # The wait is over, or Postgres went away and the claim is safe all the same.
        with suppress(DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(seconds):
                while not outcome_known(payment):
                    told = await waiter.change()
                    if told is not None and told.version > payment.version and outcome_known(told):
                        return told
                    payment = await self._ingress.look_up(payment.account, payment.id) or payment
        return payment


def _is_ticket(claim: Claim, payment: Glance) -> bool:
    """Whether the request names the payment by an id that cannot be guessed, so that its sender may see the payment.

    Such ids are our payment id in its path, and the gateway's session and confirmed transaction ids. The shop's
    reference can be guessed.
    """
    confirmed = {one.transaction_id for one in payment.candidates if one.state == "confirmed"}
    session = claim.session_id is not None and claim.session_id in confirmed.union(payment.sessions)
    transaction = claim.transaction_id is not None and claim.transaction_id in confirmed | {payment.transaction_id}
    return claim.payment_id is not None or session or transaction
