"""The answers to a buyer who comes back: a redirect to the shop, or a page that says why not yet.

If the claim was not taken, the page makes the browser send it again; otherwise the claim would be lost.
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
    """The answers to one request. `account` is the account that its path names."""

    ingress: Ingress
    request: web.Request
    account: Account

    def send_on(self, payment: Glance, said: Said | None) -> web.Response:
        """Redirect to the shop, if the outcome is known, the buyer failed or cancelled, or has waited GO_ON_SECONDS.

        `said` is the claim's word on the outcome; it chooses between the shop's URLs while the payment is pending. Else
        shows the confirming page; without a URL of the shop, a page with the outcome.
        """
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
        """The page that looks again by itself. `payment` None: it could not be looked up now."""
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
        """A page without details: nothing in the request shows that the payment is this buyer's."""
        return buyer_page(self.request, "noted", shop=self._merchant.name)

    def come_again(self, status: int, payment_id: str | None, said: Said | None) -> web.Response:
        """The claim was not taken: a page that makes the browser send the request again, with Retry-After.

        A page cannot repeat a POST. But the path of a GET can name the payment and the word `said`. Only other ids are
        lost, and the gateway tells them when it is asked. If only the body names the payment, the page asks the buyer
        to reload it.
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


def not_found_page(request: web.Request) -> web.Response:
    """A page that tells nothing of the request. The link to its other language drops the query; its ids were read."""
    return buyer_page(request, "not_found", status=404, own_path="?")
