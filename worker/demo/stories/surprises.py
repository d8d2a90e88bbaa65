"""What gateways answer that nobody wrote down: new words, other people's orders, the opposite of yesterday's answer."""

from __future__ import annotations

from worker.demo.scene import Scene
from worker.demo.story import IPAY, ONEPAYBD, PAYPARSE, SHADHINPAY, End, Story, held

FOR_GOOD = 1000


async def answers_with_a_new_word(scene: Scene) -> None:
    """Held until an answer that can be read comes, which lifts the hold without a person."""
    await scene.open()
    await scene.gateway_troubles("unknown_word", on="status")
    await scene.returns(await scene.at_gateway("pay", webhook=False))


async def answers_about_another(scene: Scene) -> None:
    await scene.open()
    await scene.gateway_troubles("wrong_identity", on="any", times=FOR_GOOD)
    await scene.returns(await scene.at_gateway("pay", webhook=False))


async def takes_it_back(scene: Scene) -> None:
    """Paid, and then the gateway says that it failed: a person looks, and the shop is told no more until then."""
    await scene.open()
    await scene.returns(await scene.at_gateway("pay", webhook=False))
    await scene.until("opened", "completed")
    await scene.gateway_troubles("contradiction", on="status")
    await scene.stage.shop.verify(scene.payment["payment_id"])


LIFTED = End(status="completed", told=("opened", "held", "completed"), saw=("thanks (held)",))
TAKEN_BACK = End(
    status="completed",
    hold="contradiction",
    told=("opened", "completed", "held"),
    saw=("thanks (completed)",),
)

STORIES = (
    *(Story("unknown status word", gateway, answers_with_a_new_word, LIFTED) for gateway in (PAYPARSE, SHADHINPAY)),
    *(
        Story("answer about another order", gateway, answers_about_another, held("identity_mismatch"))
        for gateway in (PAYPARSE, ONEPAYBD)
    ),
    *(Story("gateway contradicts itself", gateway, takes_it_back, TAKEN_BACK) for gateway in (SHADHINPAY, IPAY)),
)
