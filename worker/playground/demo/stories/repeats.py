"""Repetitions: of callbacks, payments of one order, transactions."""

from __future__ import annotations

import secrets

from worker.playground.demo.browser import CONFIRMING
from worker.playground.demo.scene import Scene
from worker.playground.demo.story import (
    AAMARPAY,
    BKASH,
    BLIND,
    CHECKED,
    EPS,
    IPAY,
    MONEYBAG,
    ONEPAYBD,
    SHADHINPAY,
    SHURJOPAY,
    SSLCOMMERZ,
    UDDOKTAPAY,
    End,
    Story,
    closed,
    completed,
    held,
)

MANY = 30


async def returns_many_times(scene: Scene) -> None:
    await scene.open()
    await scene.hits(await scene.at_gateway("pay"), MANY)


async def pays_the_order_twice(scene: Scene) -> None:
    """Two attempts of one order, and the buyer pays both: the second has to be refunded.

    At UddoktaPay only a message has the invoice to ask by.
    """
    order = f"order-{secrets.token_hex(4)}"
    first = await scene.open(order=order)
    await scene.at_gateway("pay", webhook=scene.gateway.provider == UDDOKTAPAY.provider)
    await scene.until("opened", "completed")
    await scene.open(order=order)
    await scene.returns(await scene.at_gateway("pay"))
    scene.still(first, "opened", "completed")


async def approves_the_order_twice(scene: Scene) -> None:
    """Where payproof takes the money itself, the second attempt is not executed."""
    order = f"order-{secrets.token_hex(4)}"
    await scene.open(order=order)
    await scene.stage.browser.visit(await scene.at_gateway("pay"))
    await scene.until("opened", "completed")
    await scene.open(order=order)
    returned = await scene.at_gateway("pay")
    await scene.returns(returned, leave_at=CONFIRMING)
    await scene.gateway_closes()


async def pays_again_what_was_refunded(scene: Scene) -> None:
    """A first attempt was refunded in full, so the order is not paid: the second attempt counts."""
    order = f"order-{secrets.token_hex(4)}"
    await _paid_and_refunded(scene, order)
    await scene.open(order=order)
    await scene.returns(await scene.at_gateway("pay"))


async def pays_elsewhere_what_was_refunded(scene: Scene) -> None:
    """A first attempt at ShadhinPay was refunded in full, so a second attempt at OnePayBD is executed."""
    order = f"order-{secrets.token_hex(4)}"
    await _paid_and_refunded(scene.beside(SHADHINPAY), order)
    await scene.open(order=order)
    await scene.returns(await scene.at_gateway("pay"))


async def shows_one_transaction_twice(scene: Scene) -> None:
    """The gateway answers with the transaction of a payment that was recorded before."""
    await scene.open()
    await scene.at_gateway("pay", webhook=False)
    transaction_id = (await scene.until("opened", "completed"))["transaction_id"]
    await scene.open()
    await scene.returns(await scene.at_gateway("pay", transaction_id=transaction_id))


async def _paid_and_refunded(scene: Scene, order: str) -> None:
    await scene.open(order=order)
    await scene.at_gateway("pay")
    await scene.until("opened", "completed")
    await scene.gateway_refunds()
    await scene.until("opened", "completed", "refunded")


SECOND = End(status="completed", hold="duplicate_for_order", told=("opened", "held"), saw=("thanks (held)",))

STORIES = (
    *(Story(f"{MANY} callbacks at once", one, returns_many_times, completed(saw=(), questions=3)) for one in CHECKED),
    Story(f"{MANY} callbacks at once", BLIND, returns_many_times, held("unverifiable", saw=(), questions=0)),
    *(
        Story("Order paid twice", gateway, pays_the_order_twice, SECOND)
        for gateway in (SHADHINPAY, IPAY, SSLCOMMERZ, SHURJOPAY, AAMARPAY, EPS, UDDOKTAPAY)
    ),
    *(
        Story("Order paid again after a full refund", gateway, pays_again_what_was_refunded, completed())
        for gateway in (SHADHINPAY, MONEYBAG)
    ),
    Story("Order paid again after a full refund", ONEPAYBD, pays_elsewhere_what_was_refunded, completed()),
    *(
        Story("Order approved twice", gateway, approves_the_order_twice, closed("expired", CONFIRMING))
        for gateway in (ONEPAYBD, BKASH)
    ),
    Story("Transaction used twice", IPAY, shows_one_transaction_twice, held("transaction_reused")),
)
