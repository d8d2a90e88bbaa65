"""After the money arrived: refunds, in part and in full, and what a person decides."""

from __future__ import annotations

from worker.demo.scene import Scene
from worker.demo.story import BLIND, MONEYBAG, PAYPARSE, SHADHINPAY, End, Story

PART = "250.00"


async def is_refunded(scene: Scene) -> None:
    await scene.open()
    await scene.returns(await scene.at_gateway("pay"))
    await scene.until("opened", "completed")
    await scene.gateway_refunds()


async def is_refunded_in_part(scene: Scene) -> None:
    await scene.open()
    await scene.returns(await scene.at_gateway("pay"))
    await scene.until("opened", "completed")
    await scene.gateway_refunds(PART)


async def is_refunded_and_looked_up(scene: Scene) -> None:
    """No webhook tells of it, so the shop asks payproof to look."""
    await is_refunded(scene)
    await scene.stage.shop.verify(scene.payment["payment_id"])


async def is_confirmed_by_a_person(scene: Scene) -> None:
    """The money is on the statement: a person completes what no API could prove."""
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


def _after(status: str, *told: str, saw: str = "thanks (completed)") -> End:
    return End(status=status, told=("opened", *told), saw=(saw,))


REFUNDED = _after("refunded", "completed", "refunded")

STORIES = (
    *(Story("refund in full", gateway, is_refunded, REFUNDED) for gateway in (SHADHINPAY, MONEYBAG)),
    Story("refund in full, looked up", PAYPARSE, is_refunded_and_looked_up, REFUNDED),
    Story("refund in part", SHADHINPAY, is_refunded_in_part, _after("completed", "completed", "partially_refunded")),
    Story(
        "confirmed by a person",
        BLIND,
        is_confirmed_by_a_person,
        _after("completed", "held", "completed", saw="thanks (held)"),
    ),
    Story(
        "turned down by a person",
        BLIND,
        is_turned_down_by_a_person,
        _after("failed", "held", "failed", saw="thanks (held)"),
    ),
)
