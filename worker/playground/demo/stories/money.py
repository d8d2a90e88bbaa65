"""Money that differs from the request: less, foreign, late, twice, refunded."""

from __future__ import annotations

from worker.playground.demo.scene import Scene
from worker.playground.demo.stories.ends import pays
from worker.playground.demo.story import (
    BLIND,
    CHECKED,
    IPAY,
    MONEYBAG,
    ONEPAYBD,
    PAYPARSE,
    SHADHINPAY,
    THANKS,
    End,
    closed,
    held,
    scripted,
)

LIVES = 2.0


async def pays_when_it_is_over(scene: Scene) -> None:
    """The gateway takes money for a checkout that it had called expired, and the buyer comes back."""
    await scene.open(lives=LIVES)
    await scene.until("opened", "expired")
    await scene.returns(await scene.at_gateway("pay"))


async def approves_when_it_is_over(scene: Scene) -> None:
    """Payproof calls Execute, and does not call it for a payment that has ended."""
    await pays_when_it_is_over(scene)
    await scene.gateway_took_nothing()


async def pays_when_it_is_over_and_the_webhook_tells(scene: Scene) -> None:
    """The buyer pays after the end without coming back, and the gateway's webhook reports it."""
    await scene.open(lives=LIVES)
    await scene.until("opened", "expired")
    await scene.at_gateway("pay")


async def pays_when_it_is_over_and_nobody_tells(scene: Scene) -> None:
    """The buyer pays after the end without coming back, and no webhook reports it: a later check finds the money."""
    await scene.open(lives=LIVES)
    await scene.until("opened", "expired")
    await scene.at_gateway("pay", webhook=False)


async def is_refunded_and_looked_up(scene: Scene) -> None:
    """The buyer pays and comes back. The refund has no webhook, so the shop has the gateway asked."""
    await pays(scene)
    await scene.until("opened", "completed")
    await scene.gateway_has_done_all()
    await scene.looks_again()


def late(*saw: str) -> End:
    return End(status="completed", late=True, told=("opened", "expired", "completed"), saw=saw)


TOLD_EXPIRED = "failed (expired)"
NOT_TAKEN = closed("expired", TOLD_EXPIRED)
TO_BE_CHECKED = End(status="expired", hold="unverifiable", told=("opened", "expired", "held"), saw=(TOLD_EXPIRED,))
PAID_TWICE = End(status="completed", hold="duplicate_for_order", told=("opened", "completed", "held"), saw=THANKS)
REFUNDED = End(status="refunded", told=("opened", "completed", "refunded"), saw=THANKS)
IN_PART = End(status="completed", told=("opened", "completed", "partially_refunded"), saw=THANKS)

STORIES = (
    *(scripted("amount_tampered", gateway, pays, held("amount_mismatch")) for gateway in CHECKED),
    *(
        scripted("currency_tampered", gateway, pays, held("currency_mismatch"))
        for gateway in (PAYPARSE, ONEPAYBD, SHADHINPAY, MONEYBAG)
    ),
    *(scripted("paid_after_expiry", one, pays_when_it_is_over, late(TOLD_EXPIRED)) for one in (PAYPARSE, IPAY)),
    *(
        scripted("paid_after_expiry", gateway, pays_when_it_is_over_and_the_webhook_tells, late())
        for gateway in (SHADHINPAY, MONEYBAG)
    ),
    scripted("paid_after_expiry", ONEPAYBD, approves_when_it_is_over, NOT_TAKEN, but="nothing executed"),
    scripted("paid_after_expiry", BLIND, pays_when_it_is_over, TO_BE_CHECKED),
    *(
        scripted("paid_after_expiry", gateway, pays_when_it_is_over_and_nobody_tells, late(), but="nobody tells")
        for gateway in (PAYPARSE, SHADHINPAY, IPAY)
    ),
    *(scripted("paid_twice", gateway, pays, PAID_TWICE) for gateway in (PAYPARSE, MONEYBAG, IPAY)),
    scripted("refunded_in_part", SHADHINPAY, pays, IN_PART),
    scripted("refunded_in_full", PAYPARSE, is_refunded_and_looked_up, REFUNDED, but="looked up"),
    *(scripted("refunded_in_full", gateway, pays, REFUNDED) for gateway in (SHADHINPAY, MONEYBAG)),
)
