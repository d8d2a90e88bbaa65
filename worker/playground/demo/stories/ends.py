"""The ordinary ends: paid, failed, cancelled, abandoned; other stories begin like these."""

from __future__ import annotations

from worker.playground.demo.scene import Scene
from worker.playground.demo.story import BLIND, CHECKED, EVERY, Story, closed, completed, held


async def pays(scene: Scene) -> None:
    """The buyer pays and comes back."""
    await scene.open()
    await scene.returns(await scene.at_gateway("pay"))


async def leaves(scene: Scene) -> None:
    """The buyer pays and does not come back."""
    await scene.open()
    await scene.at_gateway("pay")


async def fails(scene: Scene) -> None:
    await scene.open()
    await scene.returns(await scene.at_gateway("fail"))


async def cancels(scene: Scene) -> None:
    await scene.open()
    await scene.returns(await scene.at_gateway("cancel"))


async def cancels_in_the_dark(scene: Scene) -> None:
    """The gateway cannot be asked, so the buyer goes back with `pending`, and the clock closes the payment."""
    await scene.open(lives=6)
    await scene.returns(await scene.at_gateway("cancel"))


async def abandons(scene: Scene) -> None:
    """The buyer looks at the checkout, leaves, and never comes back."""
    await scene.open(lives=1.5)
    await scene.at_gateway("walk_away", webhook=False)


STORIES = (
    *(Story("Success", gateway, pays, completed()) for gateway in CHECKED),
    Story("Success, for a person to confirm", BLIND, pays, held("unverifiable")),
    *(Story("Failure", gateway, fails, closed("failed", "failed (failed)")) for gateway in CHECKED),
    *(Story("Cancel", gateway, cancels, closed("cancelled", "cancelled (cancelled)")) for gateway in CHECKED),
    Story("Cancel", BLIND, cancels_in_the_dark, closed("expired", "cancelled (pending)"), lasts=6),
    *(Story("Abandoned checkout", gateway, abandons, closed("expired")) for gateway in EVERY),
)
