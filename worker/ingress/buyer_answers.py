"""What a buyer who comes back is answered: sent on to the shop, or shown a page that says why not yet.

The one thing to get wrong: coming again must bring the claim again, or a claim that was not taken is lost.
"""

from __future__ import annotations

from aiohttp import web
from msgspec import Struct

from consumers.account import Account
from schemas.payments import Glance
from schemas.words import Said
from worker.config import Merchant
from worker.ingress.ingress import COME_AGAIN_SECONDS, RETRY_AFTER, Ingress
from worker.ingress.pages import buyer_page, outcome_name
from worker.ingress.pages.again import Again
from worker.ingress.polling import GO_ON_SECONDS, LOOK_AGAIN_SECONDS, in_language, since, waiting_path
from worker.ingress.redirect import outcome_known, shop_url


class BuyerAnswers(Struct, frozen=True):
    """The answers to one request, which names that account."""

    ingress: Ingress
    request: web.Request
    account: Account

    def send_on(self, payment: Glance, said: Said | None) -> web.Response:
        """To the shop, when there is something to tell or the buyer has waited long enough. `said` chooses the page."""
        now = self._now()
        began = since(self.request, now)
        if not (outcome_known(payment) or said in (Said.FAILURE, Said.CANCEL) or now - began > GO_ON_SECONDS):
            return self.confirming(payment.id, payment=payment)
        target = shop_url(payment, self._merchant, said)
        if target is not None:
            return web.Response(status=303, headers={"Location": target, "Cache-Control": "no-store"})
        return buyer_page(
            self.request,
            outcome_name(payment),
            shop=self._merchant.name,
            reference=payment.reference,
            own_path=self._waiting_path(payment.id, began),
        )

    def confirming(
        self,
        payment_id: str,
        *,
        payment: Glance | None = None,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        """The page that looks again. `payment` None: it could not be looked up just now."""
        path = self._waiting_path(payment_id, since(self.request, self._now()))
        return buyer_page(
            self.request,
            "confirming",
            status=status,
            shop=self._merchant.name,
            shop_link=shop_url(payment, self._merchant) if payment else None,
            reference=payment.reference if payment else None,
            again=Again(path=in_language(self.request, path), seconds=LOOK_AGAIN_SECONDS, at_once=headers is None),
            own_path=path,
            headers=headers,
        )

    def noted(self) -> web.Response:
        """Nothing that the buyer brought shows that the payment is this buyer's, so the page tells nothing of it."""
        return buyer_page(self.request, "noted", shop=self._merchant.name)

    def come_again(self, status: int, payment_id: str | None, said: Said | None) -> web.Response:
        """The claim was not taken: the browser comes again, and a gateway's own retry is told to.

        A page cannot repeat a POST, but its path names the payment and can carry the word that the body said. So
        nothing is lost but ids, which the gateway tells when it is asked. Where only the body names the payment, the
        buyer is asked to send it again.
        """
        again: Again | None = Again(path=None, seconds=COME_AGAIN_SECONDS)
        if self.request.method == "POST":
            path = f"/return/{self.account.id}/{payment_id}{f'/{said.value}' if said else ''}"
            again = Again(path=self.ingress.reached_at(path), seconds=COME_AGAIN_SECONDS) if payment_id else None
        name = "busy" if again else "send_again"
        return buyer_page(self.request, name, status=status, shop=self._merchant.name, again=again, headers=RETRY_AFTER)

    @property
    def _merchant(self) -> Merchant:
        return self.ingress.merchant(self.account)

    def _now(self) -> float:
        return self.ingress.clock.now().timestamp()

    def _waiting_path(self, payment_id: str, began: float) -> str:
        return self.ingress.reached_at(waiting_path(self.account.id, payment_id, began))


def not_found(request: web.Request) -> web.Response:
    return buyer_page(request, "not_found", status=404)
