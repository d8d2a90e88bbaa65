"""Cases without a script: answers about other orders, and a webhook before its payment is registered."""

from __future__ import annotations

from worker.playground.demo.browser import CONFIRMING
from worker.playground.demo.scene import Scene
from worker.playground.demo.story import (
    AAMARPAY,
    BKASH,
    EPS,
    MONEYBAG,
    ONEPAYBD,
    PAYPARSE,
    SHADHINPAY,
    SHURJOPAY,
    SSLCOMMERZ,
    UDDOKTAPAY,
    Story,
    completed,
    held,
)

FOR_GOOD = 1000
LASTS = 25.0


async def answers_about_another(scene: Scene) -> None:
    await scene.open()
    await scene.gateway_troubles("wrong_identity", on="any", times=FOR_GOOD)
    await scene.returns(await scene.at_gateway("pay", webhook=False))


async def answers_about_nobody(scene: Scene) -> None:
    """The answer is read as about another payment only, so it tells nothing about ours, and a person has to look."""
    await scene.open()
    await scene.gateway_troubles("wrong_identity", on="any", times=FOR_GOOD)
    await scene.returns(await scene.at_gateway("pay", webhook=False), leave_at=CONFIRMING)


async def is_registered_after_its_webhook(scene: Scene) -> None:
    """The shop opens the checkout by its own code, and registers it after the gateway's webhook."""
    await scene.opens_elsewhere()
    await scene.stage.browser.visit(await scene.at_gateway("pay"))
    await scene.gateway_was_heard()
    await scene.registers()


UNRESOLVED = held("unresolved", saw=(CONFIRMING,))

STORIES = (
    *(
        Story("Answer about another order", gateway, answers_about_another, held("identity_mismatch"))
        for gateway in (PAYPARSE, ONEPAYBD, BKASH, SHURJOPAY, AAMARPAY, EPS)
    ),
    # SSLCOMMERZ's attempts are read one by one, and UddoktaPay's invoice is a candidate alone: neither is then ours.
    *(
        Story("Answer about another order", one, answers_about_nobody, UNRESOLVED, lasts=LASTS)
        for one in (SSLCOMMERZ, UDDOKTAPAY)
    ),
    *(
        Story("Registered after its webhook", gateway, is_registered_after_its_webhook, completed(saw=()))
        for gateway in (SHADHINPAY, MONEYBAG)
    ),
)
