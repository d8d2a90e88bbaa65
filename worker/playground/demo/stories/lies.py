"""Lies beyond the scripts: a false word in the address, a stranger's transaction, a forged webhook."""

from __future__ import annotations

from worker.playground.demo.browser import CONFIRMING
from worker.playground.demo.scene import Scene
from worker.playground.demo.story import MONEYBAG, SHADHINPAY, Story, closed, held

GIVE_UP = 25.0


async def claims_without_a_transaction(scene: Scene) -> None:
    """A claim says paid, and there is no id to ask by: asked until the schedule ends, then a person decides."""
    await scene.open(lives=8)
    await scene.returns(scene.forged(), leave_at=CONFIRMING)


async def cancels_and_edits_the_address(scene: Scene) -> None:
    await scene.open()
    returned = await scene.at_gateway("cancel", webhook=False)
    await scene.returns(returned.replace("/cancel?", "/success?").replace("CANCELLED", "SUCCESS"))


async def shows_a_strangers_transaction(scene: Scene) -> None:
    """The transaction of another buyer of this shop, beside this order's reference. Neither payment is changed."""
    stranger = await scene.open()
    await scene.at_gateway("pay")
    transaction_id = (await scene.until("opened", "completed"))["transaction_id"]
    mine = await scene.open(lives=5)
    query = f"?transaction_id={transaction_id}&status=SUCCESS&order_id={mine['reference']}"
    await scene.returns(scene.forged(query))
    scene.still(stranger, "opened", "completed")


async def forges_a_webhook(scene: Scene) -> None:
    await scene.open(lives=1.5)
    await scene.gateway_notifies(401, forged=True, event="paid")
    await scene.at_gateway("walk_away", webhook=False)


STORIES = (
    Story(
        "Success claimed, nothing to ask by",
        MONEYBAG,
        claims_without_a_transaction,
        held("unresolved", saw=(CONFIRMING,)),
        lasts=GIVE_UP,
    ),
    Story(
        "Cancel edited to success",
        MONEYBAG,
        cancels_and_edits_the_address,
        closed("cancelled", "cancelled (cancelled)"),
    ),
    Story(
        "Somebody else's transaction",
        MONEYBAG,
        shows_a_strangers_transaction,
        closed("expired", CONFIRMING, "failed (expired)"),
        lasts=8,
    ),
    *(
        Story("Webhook forged, nothing paid", gateway, forges_a_webhook, closed("expired"))
        for gateway in (SHADHINPAY, MONEYBAG)
    ),
)
