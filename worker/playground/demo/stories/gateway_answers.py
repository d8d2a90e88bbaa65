"""The gateway's answers: slow, refused, unreadable, unknown, lost, or cut off for a while."""

from __future__ import annotations

import secrets

from worker.playground.demo.browser import CONFIRMING
from worker.playground.demo.scene import Scene
from worker.playground.demo.stories.ends import pays
from worker.playground.demo.stories_shop import Refused
from worker.playground.demo.story import (
    CHECKED,
    IPAY,
    MONEYBAG,
    ONEPAYBD,
    PAYPARSE,
    SHADHINPAY,
    THANKS,
    End,
    completed,
    scripted,
)
from worker.playground.demo.waiting import Otherwise

UNKNOWN_SECONDS = 4.0
"""Longer than the buyer is held at the return, and than a short-lived checkout lasts."""
HANGING_SECONDS = 6.0
DOWN_SECONDS = 12.0
"""In reality minutes; here longer than the page holds the buyer, and shorter than payproof asks."""
FIRST = 60.0


async def pays_and_no_webhook_comes(scene: Scene) -> None:
    """The buyer pays and comes back, and no webhook comes, so that the return's question meets the first answer."""
    await scene.open()
    await scene.returns(await scene.at_gateway("pay", webhook=False))


async def is_told_the_opposite(scene: Scene) -> None:
    """Paid, and then of two more looks one says that it failed, where the gateway has a word for that."""
    await scene.open(scripted=False)
    await scene.returns(await scene.at_gateway("pay", webhook=False))
    await scene.until("opened", "completed")
    await scene.gateway_follows_script()
    await scene.looks_again()
    await scene.looks_again()


async def loses_the_checkout(scene: Scene) -> None:
    """The gateway opened a checkout and its answer was lost: the same request opens it again."""
    request = await scene.request()
    await _open_in_vain(scene, request)
    await scene.open_as(request)
    await scene.returns(await scene.at_gateway("pay"))


async def loses_the_reference(scene: Scene) -> None:
    """The opening's answer was lost, and a reference is good for one checkout: a new reference opens another.

    Some gateways have a code for a used reference, and some only a reason in words.
    """
    order = f"order-{secrets.token_hex(4)}"
    request = await scene.request(order=order)
    await _open_in_vain(scene, request)
    try:
        await scene.open_as(request)
    except Refused as refused:
        if refused.code not in ("reference_used_at_gateway", "gateway_refused"):
            raise
    else:
        raise Otherwise("a used reference was opened again")
    await scene.open(order=order)
    await scene.returns(await scene.at_gateway("pay"))


async def pays_and_the_webhook_comes_last(scene: Scene) -> None:
    """The buyer returns, and the gateway sends its webhook, before the gateway's answers know of the payment."""
    await scene.open()
    await scene.returns(await scene.at_gateway("pay", webhook=False), leave_at=CONFIRMING)
    await scene.gateway_notifies(200, event="paid")


async def pays_and_nobody_tells(scene: Scene) -> None:
    """The buyer pays without a callback, and a proxy answers 404 past the end. A proxy's word decides nothing."""
    await scene.open(lives=1.5)
    await scene.at_gateway("pay", webhook=False)


async def approves_the_second_of_two(scene: Scene) -> None:
    """A first attempt, never approved, hangs in its Execute; meanwhile the buyer approves and pays a second attempt."""
    order = f"order-{secrets.token_hex(4)}"
    first = await scene.open(order=order)
    await scene.stage.browser.visit(scene.forged(), leave_at=CONFIRMING)
    await scene.open(order=order)
    await scene.returns(await scene.at_gateway("pay"))
    scene.still(first, "opened")


async def approves_and_returns_when_it_is_back(scene: Scene) -> None:
    """The buyer is away as long as the gateway is, and the money is taken at the return.

    An Execute that was cut off is asked again a minute later at the earliest, which is longer than a story lasts.
    """
    await scene.open()
    returned = await scene.at_gateway("pay")
    await scene.gateway_is_back()
    await scene.returns(returned)


async def _open_in_vain(scene: Scene, request: dict[str, object]) -> None:
    try:
        await scene.open_as(request)
    except Refused as refused:
        if refused.status not in (502, 504):
            raise
    else:
        raise Otherwise("the lost answer to the opening arrived")


FOUND = completed(saw=())
WAITED = (CONFIRMING, *THANKS)
LIFTED = End(status="completed", told=("opened", "held", "completed"), saw=("thanks (held)",))
TAKEN_BACK = End(status="completed", hold="contradiction", told=("opened", "completed", "held"), saw=THANKS)
ASKED_ON = 5


def back(*saw: str) -> End:
    return End(status="completed", told=("opened", "completed"), saw=saw, least_questions=ASKED_ON)


STORIES = (
    *(scripted("status_slow", gateway, pays, completed(saw=WAITED)) for gateway in CHECKED),
    *(
        scripted(script, gateway, pays, completed())
        for script in ("status_500", "status_429", "status_html", "status_401")
        for gateway in CHECKED
    ),
    *(
        scripted("status_unknown_word", gateway, pays_and_no_webhook_comes, LIFTED)
        for gateway in (PAYPARSE, ONEPAYBD, SHADHINPAY, MONEYBAG)
    ),
    *(
        scripted(script, gateway, pays, completed(saw=WAITED), seconds=UNKNOWN_SECONDS)
        for script in ("status_not_found", "status_proxy_404", "status_pending")
        for gateway in CHECKED
    ),
    *(
        scripted(
            *("status_not_found", one, pays_and_the_webhook_comes_last, completed(saw=(CONFIRMING,))),
            but="and the webhook last",
            seconds=UNKNOWN_SECONDS,
        )
        for one in (SHADHINPAY, MONEYBAG)
    ),
    *(
        scripted("status_proxy_404", one, pays_and_nobody_tells, FOUND, but="over the end", seconds=UNKNOWN_SECONDS)
        for one in (PAYPARSE, SHADHINPAY, IPAY)
    ),
    # A code that is not listed is `pending` there, and never holds.
    scripted("status_unknown_word", IPAY, pays_and_no_webhook_comes, completed()),
    *(scripted("status_contradiction", gateway, is_told_the_opposite, TAKEN_BACK) for gateway in CHECKED),
    *(
        scripted("create_lost", gateway, loses_the_checkout, completed())
        for gateway in (PAYPARSE, ONEPAYBD, SHADHINPAY, MONEYBAG)
    ),
    scripted("create_lost", IPAY, loses_the_reference, completed(), but="another reference"),
    # It refuses the token of every story of its gateway, and some of them count the calls. So it is played first.
    scripted("token_revoked", ONEPAYBD, pays, completed(), lasts=FIRST),
    scripted("execute_lost", ONEPAYBD, pays, completed()),
    scripted("execute_slow", ONEPAYBD, pays, completed(saw=WAITED)),
    scripted(
        *("execute_slow", ONEPAYBD, approves_the_second_of_two, completed(saw=WAITED)),
        but="and another attempt is approved",
        seconds=HANGING_SECONDS,
    ),
    *(
        scripted("gateway_down", gateway, pays, back(*WAITED), seconds=DOWN_SECONDS)
        for gateway in (PAYPARSE, SHADHINPAY, MONEYBAG, IPAY)
    ),
    scripted("gateway_down", ONEPAYBD, approves_and_returns_when_it_is_back, back(*THANKS), seconds=DOWN_SECONDS),
)
