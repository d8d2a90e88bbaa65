"""One story's stage: a buyer, the shop and one gateway's books, and what the buyer saw.

Each method belongs to one actor. The buyer acts at the gateway (`at_gateway`) and comes back (`returns`). The gateway's
own actions are `gateway_*`. The shop opens, waits for events (`until`), and may look again (`looks_again`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

from worker.playground.demo.browser import CONFIRMING
from worker.playground.demo.elsewhere import OPENED
from worker.playground.demo.heard import all_heard, answers
from worker.playground.demo.stage import Gateway, Stage
from worker.playground.demo.stories_shop import Document
from worker.playground.demo.told_events import ToldEvent
from worker.playground.demo.waiting import UNTIL_SECONDS, Otherwise, until
from worker.playground.shop.ordering import CUSTOMER


class Scene:
    """`payment` is the last opened payment; `callback_at`, in Unix time, is when payproof first received word of it.

    `script` is set for the first reference before its checkout is opened, except where that is opened with
    `scripted=False`.
    """

    def __init__(
        self, stage: Stage, gateway: Gateway, number: int, *, script: str | None = None, seconds: float | None = None
    ) -> None:
        self.stage, self.gateway = stage, gateway
        self.payment: Document = {}
        self.saw: list[str] = []
        self.callback_at: float | None = None
        self._script, self._seconds = script, seconds
        self._scripted: list[dict[str, str]] = []
        self._forms: dict[str, dict[str, str]] = {}
        self._number = number
        self._amount = f"{1000 + number}.50"

    # -- the shop ------------------------------------------------------------------------------------------------------

    async def request(self, *, lives: float | None = None, order: str | None = None, scripted: bool = True) -> Document:
        """The body of a payment to open; its checkout lives so many seconds where a story must not take long."""
        reference = f"demo-{self._number:03d}-{secrets.token_hex(4)}"
        if lives is not None:
            provider = self.gateway.provider
            await self.stage.control.post("lifetime", provider=provider, reference=reference, seconds=lives)
        if scripted:
            await self.gateway_follows_script(reference)
        pages = self.stage.shop.pages_url
        body = {
            "account": self.gateway.account,
            "reference": reference,
            "amount": self._amount,
            "currency": "BDT",
            "description": f"Demo order {self._number}",
            "return_url": f"{pages}/thanks",
            "failure_url": f"{pages}/failed",
            "cancel_url": f"{pages}/cancelled",
            "customer": CUSTOMER,
        }
        return body if order is None else body | {"order": order}

    async def open(self, *, lives: float | None = None, order: str | None = None, scripted: bool = True) -> Document:
        payment = await self.open_as(await self.request(lives=lives, order=order, scripted=scripted))
        if lives is not None:
            await self.stage.shorten(payment["payment_id"], lives)
        return payment

    async def open_as(self, request: Document) -> Document:
        self.payment = await self.stage.shop.open(request)
        return self.payment

    async def opens_elsewhere(self) -> None:
        """The shop opens a checkout at the gateway itself, and does not tell payproof of it yet: see `registers`."""
        order = await self.request()
        returns_to = f"{self.stage.url}/return/{self.gateway.account}"
        session_id = await OPENED[self.gateway.provider](self.stage.control, order, returns_to)
        kept = ("account", "reference", "amount", "currency", "description", "return_url", "failure_url", "cancel_url")
        self.payment = {name: order[name] for name in kept} | {"session_id": session_id}

    async def registers(self) -> None:
        """The shop registers the checkout that it opened elsewhere, and repeats that where it got no answer."""
        self.payment = await self.stage.shop.track(self.payment, idempotency_key=self.payment["reference"])

    async def until(self, *told: str, seconds: float = UNTIL_SECONDS) -> Document:
        """Wait until the shop got exactly these events of the payment, in this order.

        Returns the payment of the last event.
        """
        payment_id = self.payment["payment_id"]

        def fits(events: list[ToldEvent]) -> bool:
            return tuple(event.word for event in events) == told

        try:
            await self.stage.feed.until(payment_id, fits, seconds=seconds)
        except TimeoutError:
            heard = ", ".join(self.stage.feed.words(payment_id)) or "nothing"
            raise Otherwise(f"the shop got {heard} instead of {', '.join(told)} within {seconds:g} s") from None
        return self.stage.feed.by_payment[payment_id][-1].data

    async def looks_again(self) -> None:
        """The shop has the gateway asked once more, and waits for its answer."""
        payment_id, shop = self.payment["payment_id"], self.stage.shop
        before = answers(await shop.timeline(payment_id))
        await shop.verify(payment_id)

        async def answered() -> bool:
            return answers(await shop.timeline(payment_id)) > before

        await until(answered, "the gateway did not answer")

    async def all_is_heard(self) -> None:
        """Wait until every callback that made payproof ask was followed by an answer."""

        async def heard() -> bool:
            return all_heard(await self.stage.shop.timeline(self.payment["payment_id"]))

        await until(heard, "a callback was not followed by an answer")

    def beside(self, gateway: Gateway) -> Scene:
        """Another scene of this story, at another gateway: the buyer has the choice."""
        return Scene(self.stage, gateway, self._number)

    def still(self, payment: Document, *told: str) -> None:
        """Check that another payment of this story has not changed."""
        heard = self.stage.feed.words(payment["payment_id"])
        if heard != told:
            raise Otherwise(f"the other payment has the events {', '.join(heard)}")

    # -- the buyer -----------------------------------------------------------------------------------------------------

    async def at_gateway(self, does: str, *, webhook: bool = True, **falsified: str) -> str:
        """The buyer acts at the gateway's page. Returns where the gateway sends the browser, "" for nowhere.

        Where the gateway sends it by a form, the browser posts that form when it visits the address.

        `webhook` False: the gateway stays silent. `falsified` is what it books instead of the truth: amount, currency,
        transaction_id.
        """
        began = time.time()
        acted = await self.stage.control.post(
            "shopper", **self._named(), does=does, webhook=webhook, returns=False, **falsified
        )
        redirect = str(acted["redirect"] or "")
        if acted["form"] is not None:
            self._forms[redirect] = acted["form"]
        if self.gateway.notifies and webhook and redirect:  # such a script withholds the webhook too
            self.callback_at = self.callback_at or began
        return redirect

    async def returns(self, url: str, *, leave_at: str | None = None) -> None:
        self._called_back()
        self.saw += await self.stage.browser.visit(url, form=self._forms.get(url), leave_at=leave_at)

    async def hits(self, url: str, times: int) -> None:
        """The same return many times at once, as impatient browsers and eager proxies do.

        Each is sent on to the shop, or held on the confirming page: at once after a form, and if the outcome is slow.
        """
        self._called_back()
        form = self._forms.get(url)
        answered = await asyncio.gather(*[self.stage.browser.get(url, form=form) for _ in range(times)])
        if wrong := {status for status, _, text in answered if status != 303 and CONFIRMING not in text}:
            raise Otherwise(f"the returns were answered {sorted(wrong)}")

    def forged(self, query: str = "") -> str:
        """The success page's address as a buyer who never paid would write it by hand."""
        return f"{self.stage.url}/return/{self.gateway.account}/{self.payment['payment_id']}/success{query}"

    # -- the gateway ---------------------------------------------------------------------------------------------------

    async def gateway_follows_script(self, reference: str | None = None) -> None:
        """From here on it goes wrong as the story's script says; for one order, and once."""
        script, self._script = self._script, None
        if script is not None:
            named = self._named(reference)
            await self.stage.control.post("scripts", **named, script=script, seconds=self._seconds)
            self._scripted.append(named)

    async def gateway_has_done_all(self) -> None:
        """Wait until it has done its postponed work, and check that every trouble of the story's script was used."""
        await self.stage.control.until_all_done(**self._named())
        if left := [trouble for one in self._scripted for trouble in await self.stage.control.troubles(**one)]:
            raise Otherwise(f"{left[0]['trouble']} was never used")

    async def gateway_is_back(self) -> None:
        """Wait until its calls about this payment are answered again."""
        await self.stage.control.until_troubles_end(**self._named())

    async def gateway_took_nothing(self) -> None:
        """Check in its books that no money moved, once payproof has processed all callbacks."""
        await self.all_is_heard()
        session = await self.stage.control.session(**self._named())
        if session is None or session["paid_at"] is not None:
            raise Otherwise("the gateway took the money")

    async def gateway_was_refused(self) -> None:
        """Wait until its webhooks were sent, and check that all were refused."""
        await self.gateway_has_done_all()
        sent = await self.stage.control.deliveries(**self._named())
        statuses = {status for one in sent if one["event_type"] != "ipn" for status in one["statuses"]}
        if statuses != {401}:
            raise Otherwise(f"the forged webhooks were answered {sorted(statuses)} instead of 401")

    async def gateway_was_heard(self) -> None:
        """Wait until its webhooks were sent, and check that all were accepted."""
        await self.gateway_has_done_all()
        sent = await self.stage.control.deliveries(**self._named())
        statuses = {status for one in sent for status in one["statuses"]}
        if statuses != {200}:
            raise Otherwise(f"the webhooks were answered {sorted(statuses)} instead of 200")

    async def gateway_closes(self) -> None:
        """End the checkout at the gateway now."""
        await self.stage.control.post("expire", **self._named())

    async def gateway_refunds(self, amount: str | None = None) -> None:
        await self.stage.control.post("refund", **self._named(), amount=amount)

    async def gateway_troubles(self, trouble: str, *, on: str, times: int = 1) -> None:
        """Set a trouble for the next answers about the payment."""
        await self.stage.control.post("troubles", **self._named(), trouble=trouble, on=on, times=times)

    async def gateway_recovers(self) -> None:
        """End the troubles that are set for the payment."""
        await self.stage.control.clear_troubles(**self._named())

    async def gateway_notifies(self, answer: int, *, by: str = "webhook", **how: Any) -> None:
        """A webhook outside the gateway's own schedule, which must get the status `answer`; `by="sns"`: bKash's."""
        if answer == 200:
            self._called_back()
        named = self._named() if by == "webhook" else {"reference": self.payment["reference"]}
        statuses = (await self.stage.control.post(by, **named, **how))["statuses"]
        if set(statuses) != {answer}:
            raise Otherwise(f"the webhooks were answered {sorted(set(statuses))} instead of {answer}")

    def _named(self, reference: str | None = None) -> dict[str, str]:
        return {"provider": self.gateway.provider, "reference": reference or self.payment["reference"]}

    def _called_back(self) -> None:
        self.callback_at = self.callback_at or time.time()
