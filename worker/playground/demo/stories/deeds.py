"""What most buyers do, whatever goes wrong around them."""

from __future__ import annotations

from worker.playground.demo.scene import Scene


async def pays(scene: Scene) -> None:
    """The buyer pays and comes back."""
    await scene.open()
    await scene.returns(await scene.at_gateway("pay"))


async def leaves(scene: Scene) -> None:
    """The buyer pays and does not come back."""
    await scene.open()
    await scene.at_gateway("pay")
