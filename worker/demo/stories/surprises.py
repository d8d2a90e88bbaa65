"""What gateways answer that no script says: other people's orders."""

from __future__ import annotations

from worker.demo.scene import Scene
from worker.demo.story import ONEPAYBD, PAYPARSE, Story, held

FOR_GOOD = 1000


async def answers_about_another(scene: Scene) -> None:
    await scene.open()
    await scene.gateway_troubles("wrong_identity", on="any", times=FOR_GOOD)
    await scene.returns(await scene.at_gateway("pay", webhook=False))


STORIES = tuple(
    Story("Answer about another order", gateway, answers_about_another, held("identity_mismatch"))
    for gateway in (PAYPARSE, ONEPAYBD)
)
