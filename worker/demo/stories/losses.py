"""What gets lost on the way: the redirect, the gateway for a while, an answer."""

from __future__ import annotations

import secrets

from worker.demo.browser import CONFIRMING
from worker.demo.scene import Otherwise, Scene
from worker.demo.shop import Refused
from worker.demo.story import (
    BLIND,
    IPAY,
    MONEYBAG,
    ONEPAYBD,
    PAYPARSE,
    SHADHINPAY,
    End,
    Story,
    closed,
    completed,
)


async def pays_and_never_returns(scene: Scene) -> None:
    """No redirect, no webhook: the sweep asks by itself."""
    await scene.open()
    await scene.at_gateway("pay", webhook=False)


async def pays_and_the_webhook_tells(scene: Scene) -> None:
    await scene.open()
    await scene.at_gateway("pay")


async def approves_and_never_returns(scene: Scene) -> None:
    """Nobody executes, so no money moved: what the buyer approved ends with the checkout."""
    await scene.open()
    await scene.at_gateway("pay")
    await scene.gateway_closes()


async def pays_in_the_dark(scene: Scene) -> None:
    """Nothing tells of the money and nobody can be asked: the clock closes it."""
    await scene.open(lives=1.5)
    await scene.at_gateway("pay", webhook=False)


async def hears_of_the_money_late(scene: Scene) -> None:
    """The clock has closed it when the gateway's webhook gets through after all."""
    await pays_in_the_dark(scene)
    await scene.until("opened", "expired")
    await scene.gateway_notifies(200)


async def returns_late(scene: Scene) -> None:
    """The buyer is told what stands, and what the buyer claims is put before a person."""
    await scene.open(lives=1.5)
    returned = await scene.at_gateway("pay", webhook=False)
    await scene.until("opened", "expired")
    await scene.returns(returned)


async def is_paid_after_the_end(scene: Scene) -> None:
    """The gateway takes money for a checkout that it said had expired; nobody tells."""
    await scene.open(lives=1.5)
    await scene.until("opened", "expired")
    await scene.at_gateway("pay", webhook=False)


async def pays_while_the_gateway_is_away(scene: Scene) -> None:
    await scene.open()
    await scene.gateway_troubles("503", on="status")
    await scene.returns(await scene.at_gateway("pay", webhook=False))


async def pays_while_the_gateway_is_away_for_longer(scene: Scene) -> None:
    """Its redirect carries no word of success, so the next questions are not so close and the buyer sees a page."""
    await scene.open()
    await scene.gateway_troubles("503", on="status", times=2)
    await scene.returns(await scene.at_gateway("pay", webhook=False))


async def loses_the_answer_to_execute(scene: Scene) -> None:
    """The money was taken and the answer lost: the query tells, and nothing is executed twice."""
    await scene.open()
    await scene.gateway_troubles("lost_answer", on="execute")
    await scene.returns(await scene.at_gateway("pay"))


async def loses_the_token(scene: Scene) -> None:
    """The gateway refuses our token before its time: a new one, and the same call again."""
    await scene.open()
    await scene.gateway_troubles("401", on="execute")
    await scene.returns(await scene.at_gateway("pay"))


async def loses_the_checkout(scene: Scene) -> None:
    """The gateway opened a checkout and nobody heard of it: the same request opens it again."""
    request = await scene.request()
    await _open_in_vain(scene, request)
    await scene.open_as(request)
    await scene.returns(await scene.at_gateway("pay"))


async def loses_the_reference(scene: Scene) -> None:
    """The same where a reference is good for one checkout: another attempt of the order, by another reference."""
    order = f"order-{secrets.token_hex(4)}"
    request = await scene.request(order=order)
    await _open_in_vain(scene, request)
    try:
        await scene.open_as(request)
    except Refused as refused:
        if refused.code != "reference_used_at_gateway":
            raise
    else:
        raise Otherwise("a used reference was opened again")
    await scene.open(order=order)
    await scene.returns(await scene.at_gateway("pay"))


async def _open_in_vain(scene: Scene, request: dict[str, object]) -> None:
    await scene.gateway_troubles("lost_answer", on="create", reference=str(request["reference"]))
    try:
        await scene.open_as(request)
    except Refused as refused:
        if refused.status not in (502, 504):
            raise
    else:
        raise Otherwise("a checkout was opened whose answer was lost")


FOUND = completed(saw=())
LATE = End(status="completed", late=True, told=("opened", "expired", "completed"))

STORIES = (
    *(Story("lost callback", one, pays_and_never_returns, FOUND) for one in (PAYPARSE, SHADHINPAY, IPAY)),
    Story("lost callback, nothing executed", ONEPAYBD, approves_and_never_returns, closed("expired")),
    Story("lost callback, webhook arrives", MONEYBAG, pays_and_the_webhook_tells, FOUND),
    Story("lost callback, webhook too late", MONEYBAG, hears_of_the_money_late, LATE),
    Story("lost callback", BLIND, pays_in_the_dark, closed("expired")),
    Story(
        "buyer returns too late",
        BLIND,
        returns_late,
        End(status="expired", hold="unverifiable", told=("opened", "expired", "held"), saw=("failed (expired)",)),
    ),
    *(Story("paid after the end", one, is_paid_after_the_end, LATE) for one in (PAYPARSE, SHADHINPAY, IPAY)),
    *(
        Story("gateway away for a moment", gateway, pays_while_the_gateway_is_away, completed())
        for gateway in (PAYPARSE, MONEYBAG, IPAY)
    ),
    Story(
        "gateway away for longer",
        SHADHINPAY,
        pays_while_the_gateway_is_away_for_longer,
        completed(saw=(CONFIRMING, "thanks (completed)")),
    ),
    Story("answer to Execute lost", ONEPAYBD, loses_the_answer_to_execute, completed()),
    Story("token refused", ONEPAYBD, loses_the_token, completed()),
    *(
        Story("answer to the opening lost", gateway, loses_the_checkout, completed())
        for gateway in (PAYPARSE, ONEPAYBD, SHADHINPAY, MONEYBAG)
    ),
    Story("answer to the opening lost", IPAY, loses_the_reference, completed()),
)
