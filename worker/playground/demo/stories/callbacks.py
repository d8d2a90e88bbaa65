"""What becomes of callbacks: lost, doubled, late, in the wrong order, made up, or somebody else's."""

from __future__ import annotations

from worker.playground.demo.browser import CONFIRMING
from worker.playground.demo.scene import Scene
from worker.playground.demo.stories.deeds import leaves, pays
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


async def approves_and_never_returns(scene: Scene) -> None:
    """Nobody executes, so no money moved: what the buyer approved ends with the checkout."""
    await leaves(scene)
    await scene.gateway_closes()


async def pays_in_the_dark(scene: Scene) -> None:
    """Nothing tells of the money and there is no id to ask by: the clock closes it."""
    await scene.open(lives=1.5)
    await scene.at_gateway("pay")


async def pretends_to_have_paid(scene: Scene) -> None:
    """Asked closely, and open for as long as the checkout is; the gateway then says that nobody paid."""
    await scene.open(lives=LIVES)
    await scene.returns(await scene.at_gateway("pay"))


FOUND = completed(saw=())
NOBODY_PAID = closed("expired", CONFIRMING, "failed (expired)")
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
)
