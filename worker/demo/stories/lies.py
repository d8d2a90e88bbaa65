"""What liars try: a success page by hand, somebody else's payment, less money, a webhook of their own."""

from __future__ import annotations

from worker.demo.browser import CONFIRMING
from worker.demo.scene import Scene
from worker.demo.story import (
    BLIND,
    CHECKED,
    IPAY,
    MONEYBAG,
    ONEPAYBD,
    PAYPARSE,
    SHADHINPAY,
    Story,
    closed,
    held,
)


async def edits_the_address(scene: Scene) -> None:
    """The buyer opens the success page without having paid; later the checkout's time is over."""
    await scene.open(lives=6)
    await scene.returns(scene.forged())


async def cancels_and_edits_the_address(scene: Scene) -> None:
    await scene.open()
    returned = await scene.at_gateway("cancel", webhook=False)
    await scene.returns(returned.replace("/cancel?", "/success?").replace("CANCELLED", "SUCCESS"))


async def shows_a_strangers_transaction(scene: Scene) -> None:
    """A transaction that is paid, and not for this order. Neither payment is touched."""
    stranger = await scene.open()
    await scene.at_gateway("pay")
    transaction_id = (await scene.until("opened", "completed"))["transaction_id"]
    mine = await scene.open(lives=5)
    query = f"?transaction_id={transaction_id}&status=SUCCESS&order_id={mine['reference']}"
    await scene.returns(scene.forged(query))
    scene.still(stranger, "opened", "completed")


async def claims_without_a_transaction(scene: Scene) -> None:
    """There is no id to ask by, and somebody says that it was paid: asked until the schedule ends, then a person."""
    await scene.open(lives=3)
    await scene.returns(scene.forged(), leave_at=CONFIRMING)


async def pays_too_little(scene: Scene) -> None:
    await scene.open()
    await scene.returns(await scene.at_gateway("pay", amount="1.00"))


async def pays_in_dollars(scene: Scene) -> None:
    await scene.open()
    await scene.returns(await scene.at_gateway("pay", currency="USD"))


async def forges_a_webhook(scene: Scene) -> None:
    await scene.open(lives=1.5)
    await scene.gateway_notifies(401, forged=True, event="paid")
    await scene.at_gateway("walk_away", webhook=False)


FORGED = closed("expired", CONFIRMING, "failed (expired)")

STORIES = (
    Story(
        "success claimed, nothing to ask by",
        MONEYBAG,
        claims_without_a_transaction,
        held("unresolved", saw=(CONFIRMING,)),
    ),
    Story("forged success redirect", PAYPARSE, edits_the_address, FORGED),
    Story("forged success redirect", BLIND, edits_the_address, held("unverifiable")),
    Story("forged success redirect", ONEPAYBD, edits_the_address, FORGED),
    Story("forged success redirect", SHADHINPAY, edits_the_address, FORGED),
    Story(
        "forged success redirect",
        MONEYBAG,
        cancels_and_edits_the_address,
        closed("cancelled", "cancelled (cancelled)"),
    ),
    Story("forged success redirect", IPAY, edits_the_address, FORGED),
    Story("somebody else's transaction", MONEYBAG, shows_a_strangers_transaction, FORGED),
    *(Story("tampered amount", gateway, pays_too_little, held("amount_mismatch")) for gateway in CHECKED),
    Story("tampered currency", SHADHINPAY, pays_in_dollars, held("currency_mismatch")),
    *(Story("forged webhook", gateway, forges_a_webhook, closed("expired")) for gateway in (SHADHINPAY, MONEYBAG)),
)
