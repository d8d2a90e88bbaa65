"""Callbacks and signed webhooks that are lost, doubled, late, out of order, forged, or another payment's."""

from __future__ import annotations

from worker.playground.demo.browser import CONFIRMING
from worker.playground.demo.scene import Scene
from worker.playground.demo.stories.ends import leaves, pays
from worker.playground.demo.story import (
    BLIND,
    CHECKED,
    IPAY,
    MONEYBAG,
    ONEPAYBD,
    PAYPARSE,
    SHADHINPAY,
    End,
    closed,
    completed,
    held,
    scripted,
)

LIVES = 6.0
"""Longer than a returning buyer is held, so that the confirming page is seen before the end."""


async def is_refused(scene: Scene) -> None:
    """The forged webhook is refused, and the buyer's return is asked about as usual."""
    await pays(scene)
    await scene.gateway_was_refused()


async def hears_of_the_money_late(scene: Scene) -> None:
    """The clock closes the payment, and then the gateway's webhook arrives after all."""
    await scene.open(lives=1.5)
    await scene.at_gateway("pay")


async def approves_and_never_returns(scene: Scene) -> None:
    """Execute is never asked, so no money moved: the approved payment ends with its checkout."""
    await leaves(scene)
    await scene.gateway_closes()


async def pays_in_the_dark(scene: Scene) -> None:
    """No callback reports the money in time and there is no id to ask by: the clock closes the payment."""
    await scene.open(lives=1.5)
    await scene.at_gateway("pay")


async def pretends_to_have_paid(scene: Scene) -> None:
    """Asked about closely, and open as long as the checkout; then the gateway says that the payment is unpaid."""
    await scene.open(lives=LIVES)
    await scene.returns(await scene.at_gateway("pay"))


FOUND = completed(saw=())
NOBODY_PAID = closed("expired", CONFIRMING, "failed (expired)")
LATE = End(status="completed", late=True, told=("opened", "expired", "completed"))
TOO_LATE_TO_ASK = End(status="expired", hold="unverifiable", told=("opened", "expired", "held"))

STORIES = (
    *(scripted("callback_lost", one, leaves, FOUND) for one in (PAYPARSE, SHADHINPAY, IPAY)),
    scripted("callback_lost", ONEPAYBD, approves_and_never_returns, closed("expired"), but="nothing executed"),
    *(
        scripted("callback_lost", one, pays_in_the_dark, closed("expired"), but="nothing to ask by")
        for one in (MONEYBAG, BLIND)
    ),
    *(scripted("callback_doubled", gateway, pays, completed()) for gateway in CHECKED),
    scripted("callback_doubled", BLIND, pays, held("unverifiable", questions=0)),
    *(scripted("callback_late", gateway, leaves, FOUND, seconds=4) for gateway in CHECKED),
    scripted("callback_late", BLIND, pays_in_the_dark, TOO_LATE_TO_ASK, but="after the end", seconds=5),
    *(scripted("callback_reordered", gateway, pays, completed()) for gateway in CHECKED),
    scripted("callback_reordered", BLIND, pays, held("unverifiable", questions=0)),
    *(scripted("callback_forged", one, pretends_to_have_paid, NOBODY_PAID, lasts=8) for one in CHECKED),
    scripted("callback_forged", BLIND, pays, held("unverifiable", questions=0)),
    *(
        scripted("callback_of_another", one, pretends_to_have_paid, NOBODY_PAID, lasts=8)
        for one in (ONEPAYBD, MONEYBAG)
    ),
    *(scripted("webhook_forged", gateway, is_refused, completed()) for gateway in (SHADHINPAY, MONEYBAG)),
    *(scripted("webhook_late", one, leaves, completed(saw=()), seconds=4) for one in (SHADHINPAY, MONEYBAG)),
    scripted("webhook_late", MONEYBAG, hears_of_the_money_late, LATE, but="after the end", seconds=5),
    # One question for the event however often it comes, one for the return, and one for the copy with an old signature;
    # Moneybag's unsigned notification is one more.
    scripted("webhook_replayed", SHADHINPAY, pays, completed(questions=3)),
    scripted("webhook_replayed", MONEYBAG, pays, completed(questions=4)),
)
