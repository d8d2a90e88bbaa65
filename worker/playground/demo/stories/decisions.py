"""A person's decision about a payment that could not be verified."""

from __future__ import annotations

from worker.playground.demo.scene import Scene
from worker.playground.demo.story import BLIND, End, Story


async def is_confirmed_by_a_person(scene: Scene) -> None:
    """The money is on the statement: a person completes a payment that no API could verify."""
    await scene.open()
    await scene.returns(await scene.at_gateway("pay"))
    await scene.until("opened", "held")
    await scene.stage.shop.resolve(
        scene.payment["payment_id"],
        status="completed",
        actor="demo operator",
        reason="seen on the wallet's statement",
        transaction_id=f"STATEMENT-{scene.payment['reference']}",
    )


async def is_turned_down_by_a_person(scene: Scene) -> None:
    await scene.open()
    await scene.returns(scene.forged())
    await scene.until("opened", "held")
    await scene.stage.shop.resolve(
        scene.payment["payment_id"], status="failed", actor="demo operator", reason="not on the wallet's statement"
    )


def _decided(status: str) -> End:
    return End(status=status, told=("opened", "held", status), saw=("thanks (held)",))


STORIES = (
    Story("Confirmed by a person", BLIND, is_confirmed_by_a_person, _decided("completed")),
    Story("Turned down by a person", BLIND, is_turned_down_by_a_person, _decided("failed")),
)
